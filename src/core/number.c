#include "core/number.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool mk_parse_number(const char *text, double *number)
{
  if (strspn(text, "+-.0123456789eE") != strlen(text)) return false; /* no space, hex, nan, inf */
  /* The whole "C" locale is one that the C library has ready: this allocates nothing. */
  locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!c_locale) return false;
  char *end;
  double found = strtod_l(text, &end, c_locale);
  bool whole = end != text && *end == 0 && isfinite(found);
  freelocale(c_locale);
  if (whole) *number = found;
  return whole;
}
