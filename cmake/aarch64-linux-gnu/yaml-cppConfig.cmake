# Debian's libyaml-cpp-dev can be installed for one architecture only. Its headers are the same for all, so the library
# for arm64 (libyaml-cpp0.7:arm64, without a -dev package) goes with those of the machine that builds.
find_library(YAML_CPP_ARM64 NAMES libyaml-cpp.so.0.7 PATHS /usr/lib/aarch64-linux-gnu NO_DEFAULT_PATH REQUIRED)
if(NOT TARGET yaml-cpp)
  add_library(yaml-cpp SHARED IMPORTED)
  set_target_properties(yaml-cpp PROPERTIES IMPORTED_LOCATION "${YAML_CPP_ARM64}")
endif()
