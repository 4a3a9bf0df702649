#ifndef MK_CORE_HASH_H
#define MK_CORE_HASH_H

#include <stddef.h>

enum { MK_SHA256_HEX = 65 };

/* SHA-256 of `size` bytes as 64 lower-case hexadecimal digits and a terminating zero. */
void mk_sha256(char hex[MK_SHA256_HEX], const void *data, size_t size);

#endif
