/* Numbers in text that people and files write. */
#ifndef MK_CORE_NUMBER_H
#define MK_CORE_NUMBER_H

#include <stdbool.h>

/* The whole text as a finite decimal number; the decimal point is '.', whatever the locale of the
 * program that the library is part of. False, and *number as it was, for anything else. */
bool mk_parse_number(const char *text, double *number);

#endif
