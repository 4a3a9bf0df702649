# Makes mistakes in the parsers of foreign files harder to exploit, where compiler and linker know
# how.
include(CheckCCompilerFlag)
include(CheckLinkerFlag)

set(optimized $<CONFIG:Release,RelWithDebInfo,MinSizeRel>) # _FORTIFY_SOURCE needs the optimizer

check_c_compiler_flag(-fstack-protector-strong MKD_HAS_STACK_PROTECTOR)
if(MKD_HAS_STACK_PROTECTOR)
  add_compile_options($<${optimized}:-fstack-protector-strong>)
endif()

# Level 3 is taken for level 2 where the C library does not know it.
add_compile_options($<${optimized}:-U_FORTIFY_SOURCE> $<${optimized}:-D_FORTIFY_SOURCE=3>)

check_linker_flag(C -Wl,-z,relro,-z,now MKD_HAS_RELRO)
if(MKD_HAS_RELRO)
  add_link_options($<${optimized}:-Wl,-z,relro,-z,now>)
endif()
