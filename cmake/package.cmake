# Installs the library with what CMake (mkd::mkd, mkd::mkd_static) and pkg-config need to find it.
# Both work from wherever the installation has been moved to.
include(CMakePackageConfigHelpers)

list(JOIN MKD_DEPS_LIST " " dependencies)

# With the shared library alone, nobody needs the development files of its dependencies. Beside the
# static one, these stay shared: Requires.private would ask for static ones, and all that they need.
set(private_of_static "")
if(MKD_STATIC)
  list(JOIN MKD_DEPS_LDFLAGS " " private_of_static)
  set(private_of_static "Libs.private: ${private_of_static} -pthread -lm")
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mkd)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/mkd DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/recipes DESTINATION ${CMAKE_INSTALL_DATADIR}/mkd)
install(TARGETS mkd_shared EXPORT mkd
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(MKD_STATIC)
  install(TARGETS mkd_static EXPORT mkd
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
          INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endif()
install(EXPORT mkd NAMESPACE mkd:: FILE mkdTargets.cmake DESTINATION ${package_dir})

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/mkdConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/mkdConfig.cmake
                              INSTALL_DESTINATION ${package_dir}
                              NO_SET_AND_CHECK_MACRO)
# Before 1.0, a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mkdConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mkdConfig.cmake ${PROJECT_BINARY_DIR}/mkdConfigVersion.cmake
        DESTINATION ${package_dir})

# Paths in mkd.pc start at its own place.
set(pc_dir ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_libdir ${pc_dir} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH pc_includedir ${pc_dir} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
configure_file(${CMAKE_CURRENT_LIST_DIR}/mkd.pc.in ${PROJECT_BINARY_DIR}/mkd.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/mkd.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
