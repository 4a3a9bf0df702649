# Makes the default expert of its weights, with the program that has just been built. It lies where
# the program looks for it: in expert/ of the build folder, and in share/mkd of an installation.
set(MKD_EXPERT "" CACHE FILEPATH
    "Weights of EfficientNet-Lite0; empty = what scripts/fetch-expert.sh has put in build/expert")

set(weights ${MKD_EXPERT})
if(NOT weights)
  file(GLOB weights CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/build/expert/efficientnet-lite0*.pth)
endif()
if(weights)
  list(GET weights 0 weights)
  if(NOT EXISTS ${weights})
    message(FATAL_ERROR "MKD_EXPERT: ${weights} does not exist; scripts/fetch-expert.sh gets it")
  endif()
  set(expert ${PROJECT_BINARY_DIR}/expert/efficientnet-lite0.safetensors)
  add_custom_command(
    OUTPUT ${expert}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/expert
    COMMAND mkd import ${weights} -o ${expert}
    DEPENDS ${weights} ${PROJECT_SOURCE_DIR}/src/expert/expert.c # which knows the file's version
    COMMENT "Importing the default expert"
    VERBATIM)
  add_custom_target(mkd_expert ALL DEPENDS ${expert})
  install(FILES ${expert} DESTINATION ${CMAKE_INSTALL_DATADIR}/mkd)
endif()
