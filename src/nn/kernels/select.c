#include "nn/kernels/kernels.h"
#include "nn/kernels/sets.h"

int mk_kernels_list(const mk_kernels **list, int room)
{
  const mk_kernels *found[4];
  int count = 0;
  found[count++] = &mk_kernels_reference;
  found[count++] = &mk_kernels_generic;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    found[count++] = &mk_kernels_avx2;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma"))
    found[count++] = &mk_kernels_avx512;
#endif
  if (count > room) count = room;
  for (int i = 0; i < count; ++i) list[i] = found[i];
  return count;
}

const mk_kernels *mk_kernels_best(void)
{
  const mk_kernels *list[4];
  return list[mk_kernels_list(list, 4) - 1];
}
