/* Checksums would stop nearly every change of a PNG: they are set right after each. */
#include "fuzz.h"

#include <string.h>
#include <zlib.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static uint32_t read_32(const uint8_t *p)
{
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void set_checksums(uint8_t *data, size_t size)
{
  size_t at = 8;
  if (size < at || memcmp(data, "\x89PNG\r\n\x1a\n", 8) != 0) return;
  while (size - at >= 12) {
    size_t length = read_32(data + at);
    if (length > size - at - 12) return;
    uint32_t sum = (uint32_t)crc32(0, data + at + 4, (uInt)(length + 4));
    for (size_t i = 0; i < 4; ++i) data[at + 8 + length + i] = (uint8_t)(sum >> (24 - 8 * i));
    at += 12 + length;
  }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
  size = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 8) set_checksums(data, size);
  return size;
}
