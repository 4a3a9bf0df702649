#include "output.h"

#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int write_error; /* errno of the first flush that failed */

/* The terminating zero is not a continuation byte, so nothing is read behind it. */
int utf8_length(const unsigned char *s)
{
  if (s[0] < 0x80) return 1;
  if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
  int length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
  for (int i = 1; i < length; ++i)
    if ((s[i] & 0xc0) != 0x80) return 0;
  bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
  bool surrogate = s[0] == 0xed && s[1] >= 0xa0;
  bool beyond = s[0] == 0xf4 && s[1] >= 0x90;
  return overlong || surrogate || beyond ? 0 : length;
}

void json_text(FILE *file, const char *text)
{
  const unsigned char *s = (const unsigned char *)text;
  fputc('"', file);
  while (*s) {
    int length = utf8_length(s);
    if (length == 0) {
      fputs("\\ufffd", file);
      ++s;
      continue;
    }
    if (*s == '"' || *s == '\\')
      fprintf(file, "\\%c", *s);
    else if (*s < 0x20)
      fprintf(file, "\\u%04x", *s);
    else
      fwrite(s, 1, (size_t)length, file);
    s += length;
  }
  fputc('"', file);
}

void json_text_or_null(FILE *file, const char *text)
{
  if (text)
    json_text(file, text);
  else
    fputs("null", file);
}

void number_text(char text[NUMBER_TEXT], double value)
{
  for (int digits = 6; digits <= 17; ++digits) {
    snprintf(text, NUMBER_TEXT, "%.*g", digits, value);
    if (strtod(text, NULL) == value) break;
  }
}

static void shortest_number(FILE *file, double value)
{
  char text[NUMBER_TEXT];
  number_text(text, value);
  fputs(text, file);
}

void json_number(FILE *file, double value)
{
  if (isfinite(value))
    shortest_number(file, value);
  else
    fputs("null", file);
}

void csv_text(FILE *file, const char *text)
{
  if (!text[strcspn(text, ",\"\r\n")]) {
    fputs(text, file);
    return;
  }
  fputc('"', file);
  for (; *text; ++text) {
    if (*text == '"') fputc('"', file);
    fputc(*text, file);
  }
  fputc('"', file);
}

void csv_number(FILE *file, double value)
{
  if (isfinite(value)) shortest_number(file, value);
}

void plain_text(FILE *file, const char *text)
{
  const unsigned char *s = (const unsigned char *)text;
  while (*s) {
    int length = utf8_length(s);
    bool control = *s < 0x20 || *s == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
    if (control || length == 0)
      fputc('?', file);
    else
      fwrite(s, 1, (size_t)length, file);
    s += length ? length : 1;
  }
}

static int plain_length(const char *text)
{
  const unsigned char *s = (const unsigned char *)text;
  int count = 0;
  for (; *s; ++count) {
    int length = utf8_length(s);
    s += length ? length : 1;
  }
  return count;
}

void plain_widen(int *width, const char *text)
{
  int length = plain_length(text);
  if (length > *width) *width = length;
}

void plain_field(FILE *file, int width, const char *text)
{
  plain_text(file, text);
  int length = plain_length(text);
  if (length < width) fprintf(file, "%*s", width - length, "");
}

void plain_line(FILE *file, int width, const char *name, const char *text)
{
  fprintf(file, "%-*s", width, name);
  plain_text(file, text);
  fputc('\n', file);
}

void plain_number(FILE *file, int width, int decimals, double value)
{
  if (isnan(value))
    fprintf(file, "%*s", width, "-");
  else
    fprintf(file, "%*.*f", width, decimals, value);
}

bool output_flush(void)
{
  if (write_error) return false;
  errno = 0;
  if (fflush(stdout) != 0 || ferror(stdout)) write_error = errno ? errno : EIO;
  return !write_error;
}

int output_end(int status)
{
  if (output_flush()) return status;
  if (write_error != EPIPE)
    fprintf(stderr, "mkd: cannot write to standard output: %s\n", strerror(write_error));
  return EXIT_RESOURCES;
}
