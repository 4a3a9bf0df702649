#ifndef MK_CORE_UTF8_H
#define MK_CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the bytes are UTF-8 as of RFC 3629: no overlong forms, no surrogates. */
bool mk_is_utf8(const char *bytes, size_t size);

#endif
