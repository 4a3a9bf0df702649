#include "core/hash.h"

#include <stdint.h>
#include <sys/types.h>
#include <sha2.h>

void mk_sha256(char hex[MK_SHA256_HEX], const void *data, size_t size)
{
  SHA256Data(data, size, hex);
}
