# Helpers that every folder uses.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()

add_library(aikd_flags INTERFACE)
# Exact by default: no contraction or reassociation the source does not ask for, so that builds agree bit for bit.
target_compile_options(aikd_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;\
-Wsign-conversion;-Wnon-virtual-dtor;-Wold-style-cast;-Woverloaded-virtual;-Wundef;-Wcast-align;-Wdouble-promotion;\
-Wimplicit-fallthrough;-ffp-contract=off;-fno-fast-math>"
  # nvcc's own host code does not bear the pedantic half of them; the same files pass it as C++ in tests/simt.
  "$<$<COMPILE_LANGUAGE:CUDA>:-fmad=false;-Xcompiler=-Wall,-Wextra,-ffp-contract=off>")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 sees an overlap that is not there in "literal" + std::string&& (GCC bug 105651, fixed in 13).
  target_compile_options(aikd_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
if(AIKD_WERROR)
  target_compile_options(aikd_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>
                         "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Werror>")
endif()
if(AIKD_SANITIZE)
  add_compile_options(-fsanitize=${AIKD_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${AIKD_SANITIZE})
endif()

# aikd_library(name SOURCES... ) : a static library of the sources below its folder, with the house's warnings.
function(aikd_library name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  list(FILTER sources EXCLUDE REGEX "/cuda/")
  add_library(${name} STATIC ${sources})
  add_library(aikd::${name} ALIAS ${name})
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/aikd>)
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:aikd_flags>)
endfunction()
