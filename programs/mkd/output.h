/* Results on standard output: JSON and CSV fields, and noticing when they cannot be written. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

/* Length of the valid UTF-8 sequence (RFC 3629) at `s`, or 0. */
int utf8_length(const unsigned char *s);

/* A JSON string with its quotes, always valid UTF-8: bytes that are not become U+FFFD. */
void json_text(FILE *file, const char *text);

/* As json_text; NULL becomes null. */
void json_text_or_null(FILE *file, const char *text);

/* The shortest decimal number that reads back as the same double, which is finite. */
enum { NUMBER_TEXT = 32 };
void number_text(char text[NUMBER_TEXT], double value);

/* As number_text; NaN and infinities are null. */
void json_number(FILE *file, double value);

/* A CSV field, quoted where RFC 4180 wants it. */
void csv_text(FILE *file, const char *text);

/* As json_number; what is not finite is an empty field. */
void csv_number(FILE *file, double value);

/* For people: control characters, which could command the terminal, and bytes that are not UTF-8
 * become '?'. */
void plain_text(FILE *file, const char *text);

/* Raises `width` to the number of characters that plain_text prints. */
void plain_widen(int *width, const char *text);

/* plain_text, and blanks to fill `width` characters; a longer text is not cut. */
void plain_field(FILE *file, int width, const char *text);

/* A line "NAME  TEXT": the name in a field of `width`, the text as plain_text prints it. */
void plain_line(FILE *file, int width, const char *name, const char *text);

/* "%.*f" in a field of `width`; NaN is "-". */
void plain_number(FILE *file, int width, int decimals, double value);

/* Flushes standard output. False when something could not be written, now or before. */
bool output_flush(void);

/* Flushes; when standard output could not be written, EXIT_RESOURCES after a message (none when its
 * reader has gone away), else `status`. */
int output_end(int status);

#endif
