include(CMakePackageConfigHelpers)
add_library(aikd INTERFACE)
target_link_libraries(aikd INTERFACE aikd_core)
set(AIKD_LIBRARIES aikd_core aikd_nn aikd_nn_cuda aikd_io aikd_tensor aikd_cuda_runtime aikd_kernels)
if(AIKD_HAS_CUDA)
  list(APPEND AIKD_LIBRARIES aikd_kernels_cuda)
endif()
install(TARGETS aikd ${AIKD_LIBRARIES} EXPORT aikdTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(folder tensor kernels nn aikd io)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/aikd
          FILES_MATCHING PATTERN "*.h" PATTERN "cuda" EXCLUDE)
endforeach()
install(FILES ${PROJECT_BINARY_DIR}/generated/tensor/config.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/aikd/tensor)
install(EXPORT aikdTargets NAMESPACE aikd:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/aikd)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/aikdConfig.cmake.in ${PROJECT_BINARY_DIR}/aikdConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/aikd)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/aikdConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/aikdConfig.cmake ${PROJECT_BINARY_DIR}/aikdConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/aikd)
# Relative to the .pc file, so that `cmake --install --prefix ANYWHERE` works. Not so with absolute install folders.
file(RELATIVE_PATH AIKD_PC_TO_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
# Ours are static libraries over shared ones, so what they need is public: no `pkg-config --static`, which would also ask
# for the static dependencies of those.
set(AIKD_PC_REQUIRES "libhwy libzip yaml-cpp libcrypto")
if(AIKD_LIBJPEG)
  string(APPEND AIKD_PC_REQUIRES " libjpeg")
endif()
if(AIKD_LIBPNG)
  string(APPEND AIKD_PC_REQUIRES " libpng")
endif()
# The tensor layer and the CUDA runtime behind it need each other: named twice.
set(AIKD_PC_OURS "-laikd_core -laikd_nn -laikd_io -laikd_tensor -laikd_cuda_runtime -laikd_tensor -laikd_kernels")
set(AIKD_PC_LIBS "-pthread")
if(AIKD_HAS_CUDA)
  string(REPLACE "-laikd_nn " "-laikd_nn -laikd_nn_cuda -laikd_nn " AIKD_PC_OURS "${AIKD_PC_OURS}")
  string(REPLACE "-laikd_cuda_runtime -laikd_tensor" "-laikd_cuda_runtime -laikd_tensor -laikd_kernels_cuda"
         AIKD_PC_OURS "${AIKD_PC_OURS}")
  string(APPEND AIKD_PC_LIBS " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/aikd.pc.in ${PROJECT_BINARY_DIR}/aikd.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/aikd.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
