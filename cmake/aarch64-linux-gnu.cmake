# Debian's cross-compiler for 64-bit Arm, the libraries of Debian's arm64 beside the machine's own (scripts/aarch64.sh
# installs both), and the emulator that runs what is built.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
# pkg-config would answer for the machine that builds.
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
set(yaml-cpp_DIR "${CMAKE_CURRENT_LIST_DIR}/aarch64-linux-gnu")
