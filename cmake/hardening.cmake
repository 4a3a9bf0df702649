# Makes mistakes in the parsers of foreign files harder to exploit, where compiler and linker know
# how.
include(CheckCCompilerFlag)
include(CheckLinkerFlag)
include(CheckPIESupported)

set(optimized $<CONFIG:Release,RelWithDebInfo,MinSizeRel>) # _FORTIFY_SOURCE needs the optimizer

# The last two let processors check where jumps and returns go, on x86-64 and Arm. They take effect
# with a C runtime that is built so, too, which Debian 12's is not.
set(CMAKE_REQUIRED_FLAGS -Werror) # Clang merely warns of flags that are not for its target
foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection=full
        -mbranch-protection=standard)
  string(MAKE_C_IDENTIFIER "MKD_HAS${flag}" known)
  check_c_compiler_flag(${flag} ${known})
  if(${known})
    add_compile_options($<${optimized}:${flag}>)
  endif()
endforeach()
unset(CMAKE_REQUIRED_FLAGS)

# Level 3 is taken for level 2 where the C library does not know it.
add_compile_options($<${optimized}:-U_FORTIFY_SOURCE> $<${optimized}:-D_FORTIFY_SOURCE=3>)

check_pie_supported(LANGUAGES C) # CMake compiles for it, but links so only after this
check_linker_flag(C -Wl,-z,relro,-z,now MKD_HAS_RELRO)
if(MKD_HAS_RELRO)
  add_link_options($<${optimized}:-Wl,-z,relro,-z,now>)
endif()
