# Finds the libraries of docs/dependencies.md. One that is missing is named with its Debian package.

find_package(Threads REQUIRED)
find_package(PkgConfig)
if(NOT PKG_CONFIG_FOUND)
  message(FATAL_ERROR "pkg-config is missing: apt install pkg-config")
endif()

# mkd_find(PREFIX MODULE=DEBIAN-PACKAGE...) makes the imported target PkgConfig::PREFIX of all
# modules, and lists them in PREFIX_LIST.
function(mkd_find prefix)
  set(modules)
  set(missing)
  set(packages)
  foreach(pair ${ARGN})
    string(REPLACE "=" ";" pair ${pair})
    list(GET pair 0 module)
    list(GET pair 1 package)
    list(APPEND modules ${module})
    pkg_check_modules(${prefix}_${module} QUIET ${module})
    if(NOT ${prefix}_${module}_FOUND)
      list(APPEND missing ${module})
      list(APPEND packages ${package})
    endif()
  endforeach()
  if(missing)
    list(REMOVE_DUPLICATES packages)
    list(JOIN missing ", " missing)
    list(JOIN packages " " packages)
    message(FATAL_ERROR "pkg-config does not find ${missing}: apt install ${packages}")
  endif()
  pkg_check_modules(${prefix} REQUIRED QUIET IMPORTED_TARGET GLOBAL ${modules})
  set(${prefix}_LIST ${modules} PARENT_SCOPE)
endfunction()

mkd_find(MKD_DEPS libjpeg=libjpeg-dev libpng=libpng-dev libtiff-4=libtiff-dev libwebp=libwebp-dev
         libwebpdemux=libwebp-dev jansson=libjansson-dev libzip=libzip-dev libmd=libmd-dev
         zlib=zlib1g-dev)
mkd_find(MKD_JANSSON jansson=libjansson-dev) # what the program uses itself
if(MKD_BUILD_TESTS)
  mkd_find(CMOCKA cmocka=libcmocka-dev)
  find_package(Python3 COMPONENTS Interpreter)
  if(NOT Python3_FOUND)
    message(FATAL_ERROR "the tests need Python 3: apt install python3 (or -DMKD_BUILD_TESTS=OFF)")
  endif()
endif()
