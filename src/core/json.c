#include "core/json.h"

#include "core/memory.h"
#include "core/number.h"
#include "core/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const char *text;
  size_t length, at;
  int depth;
  char *token; /* room for a text or number that is as long as all the input */
} reader;

static mkd_status fail_at(const reader *r, const char *what)
{
  size_t line = 1;
  for (size_t i = 0; i < r->at && i < r->length; ++i) line += r->text[i] == '\n';
  return mk_fail(MKD_ERROR_FILE, "not valid JSON, line %zu: %s%s", line, what,
                 r->at >= r->length ? " (the text ends there)" : "");
}

/* The character that is next, or 0 at the end; a NUL in the text is never right either. */
static char peek(const reader *r)
{
  if (r->at == r->length) return '\0';
  return r->text[r->at];
}

static bool accept(reader *r, char c)
{
  if (peek(r) != c || r->at == r->length) return false;
  ++r->at;
  return true;
}

static void skip_space(reader *r)
{
  while (r->at < r->length && strchr(" \t\r\n", peek(r)) && peek(r)) ++r->at;
}

/* Allocators of jansson give NULL for nothing else. */
static mkd_status check_value(const json_t *value)
{
  return value ? MKD_OK : mk_fail_memory(0);
}

/* ---- Texts ----------------------------------------------------------------------------------- */

/* Four hexadecimal digits, or -1. */
static int read_hex(reader *r)
{
  int code = 0;
  for (int i = 0; i < 4; ++i, ++r->at) {
    char c = peek(r);
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0) return -1;
    code = code << 4 | digit;
  }
  return code;
}

static size_t put_utf8(char *to, unsigned code)
{
  if (code < 0x80) {
    to[0] = (char)code;
    return 1;
  }
  size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = length - 1; i > 0; --i, code >>= 6) to[i] = (char)(0x80 | (code & 0x3f));
  to[0] = (char)(0xf00 >> length | code);
  return length;
}

/* What follows \u, with the second half of a surrogate pair; 0 when that is wrong, or NUL. */
static unsigned read_code(reader *r)
{
  int code = read_hex(r);
  if (code < 0 || (code >= 0xdc00 && code < 0xe000)) return 0;
  if (code < 0xd800 || code >= 0xe000) return (unsigned)code;
  int low = accept(r, '\\') && accept(r, 'u') ? read_hex(r) : -1;
  if (low < 0xdc00 || low >= 0xe000) return 0;
  return 0x10000u + ((unsigned)(code - 0xd800) << 10) + (unsigned)(low - 0xdc00);
}

/* What stands behind a backslash. */
static mkd_status read_escape(reader *r, size_t *used)
{
  static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  char c = peek(r);
  const char *letter = c ? strchr(letters, c) : NULL;
  if (letter) {
    r->token[(*used)++] = meanings[letter - letters];
    ++r->at;
    return MKD_OK;
  }
  unsigned code = accept(r, 'u') ? read_code(r) : 0;
  if (code == 0) return fail_at(r, "invalid escape in a text");
  *used += put_utf8(r->token + *used, code);
  return MKD_OK;
}

/* Into the token, terminated; `*size` is its length. */
static mkd_status read_text(reader *r, size_t *size)
{
  size_t used = 0;
  if (!accept(r, '"')) return fail_at(r, "'\"' expected");
  while (!accept(r, '"')) {
    if ((unsigned char)peek(r) < 0x20)
      return fail_at(r, r->at < r->length ? "control character in a text" : "'\"' expected");
    if (accept(r, '\\'))
      MK_TRY(read_escape(r, &used));
    else
      r->token[used++] = r->text[r->at++];
  }
  if (!mk_is_utf8(r->token, used)) return fail_at(r, "a text is not UTF-8");
  r->token[used] = '\0';
  *size = used;
  return MKD_OK;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static bool accept_digits(reader *r)
{
  size_t start = r->at;
  while (peek(r) >= '0' && peek(r) <= '9') ++r->at;
  return r->at > start;
}

static mkd_status read_number(json_t **value, reader *r)
{
  size_t start = r->at;
  accept(r, '-');
  bool leading_zero = peek(r) == '0', whole = true;
  size_t digits = r->at;
  bool valid = accept_digits(r) && (!leading_zero || r->at == digits + 1);
  if (valid && accept(r, '.')) {
    whole = false;
    valid = accept_digits(r);
  }
  if (valid && (accept(r, 'e') || accept(r, 'E'))) {
    whole = false;
    if (!accept(r, '+')) accept(r, '-');
    valid = accept_digits(r);
  }
  if (!valid) return fail_at(r, "invalid number");
  memcpy(r->token, r->text + start, r->at - start);
  r->token[r->at - start] = '\0';
  if (whole) {
    errno = 0;
    long long number = strtoll(r->token, NULL, 10);
    if (errno) return fail_at(r, "whole number of more than 63 bits");
    *value = json_integer(number);
  } else {
    double number = 0;
    if (!mk_parse_number(r->token, &number)) return fail_at(r, "number out of range");
    *value = json_real(number);
  }
  return check_value(*value);
}

/* ---- Values ---------------------------------------------------------------------------------- */

static mkd_status read_value(json_t **value, reader *r);

/* NOLINTNEXTLINE(misc-no-recursion): to MK_JSON_DEPTH */
static mkd_status read_members(json_t *object, reader *r)
{
  size_t size;
  skip_space(r);
  if (accept(r, '}')) return MKD_OK;
  do {
    skip_space(r);
    MK_TRY(read_text(r, &size));
    if (json_object_get(object, r->token)) return fail_at(r, "duplicate key in an object");
    char *key;
    json_t *value = NULL;
    MK_TRY(mk_text_copy_n(&key, r->token, size)); /* as the value needs the token */
    skip_space(r);
    mkd_status status = accept(r, ':') ? read_value(&value, r) : fail_at(r, "':' expected");
    if (status == MKD_OK && json_object_set_new(object, key, value) != 0)
      status = mk_fail_memory(0);
    mk_free(key);
    MK_TRY(status);
    skip_space(r);
  } while (accept(r, ','));
  return accept(r, '}') ? MKD_OK : fail_at(r, "',' or '}' expected");
}

/* NOLINTNEXTLINE(misc-no-recursion): to MK_JSON_DEPTH */
static mkd_status read_items(json_t *array, reader *r)
{
  skip_space(r);
  if (accept(r, ']')) return MKD_OK;
  do {
    json_t *value = NULL;
    MK_TRY(read_value(&value, r));
    if (json_array_append_new(array, value) != 0) return mk_fail_memory(0);
    skip_space(r);
  } while (accept(r, ','));
  return accept(r, ']') ? MKD_OK : fail_at(r, "',' or ']' expected");
}

/* NOLINTNEXTLINE(misc-no-recursion): to MK_JSON_DEPTH */
static mkd_status read_compound(json_t **value, reader *r)
{
  if (r->depth == MK_JSON_DEPTH) return fail_at(r, "values are nested too deep");
  ++r->depth;
  bool is_object = r->text[r->at++] == '{';
  *value = is_object ? json_object() : json_array();
  mkd_status status = check_value(*value);
  if (status == MKD_OK) status = is_object ? read_members(*value, r) : read_items(*value, r);
  --r->depth;
  if (status != MKD_OK) json_decref(*value);
  return status;
}

/* NOLINTNEXTLINE(misc-no-recursion): to MK_JSON_DEPTH */
static mkd_status read_value(json_t **value, reader *r)
{
  static const char *const words[] = {"true", "false", "null"};
  skip_space(r);
  char c = peek(r);
  if (c == '{' || c == '[') return read_compound(value, r);
  if (c == '-' || (c >= '0' && c <= '9')) return read_number(value, r);
  if (c == '"') {
    size_t size;
    MK_TRY(read_text(r, &size));
    *value = json_stringn(r->token, size);
    return check_value(*value);
  }
  for (size_t i = 0; i < sizeof words / sizeof *words; ++i) {
    size_t length = strlen(words[i]);
    if (r->length - r->at < length || memcmp(r->text + r->at, words[i], length) != 0) continue;
    r->at += length;
    *value = i == 0 ? json_true() : i == 1 ? json_false() : json_null();
    return MKD_OK;
  }
  return fail_at(r, "a value expected");
}

static mkd_status read_whole(json_t **root, reader *r)
{
  skip_space(r);
  if (peek(r) != '{' && peek(r) != '[') return fail_at(r, "'{' or '[' expected");
  MK_TRY(read_compound(root, r));
  skip_space(r);
  if (r->at == r->length) return MKD_OK;
  json_decref(*root);
  return fail_at(r, "something follows the end");
}

mkd_status mk_json_parse(json_t **root, const char *text, size_t length)
{
  reader r = {.text = text, .length = length};
  *root = NULL;
  MK_TRY(mk_alloc(&r.token, length + 1, 1));
  mkd_status status = read_whole(root, &r);
  mk_free(r.token);
  if (status != MKD_OK) *root = NULL; /* what there was of it is freed */
  return status;
}

/* ---- Writing --------------------------------------------------------------------------------- */

typedef struct {
  char *text;
  size_t used, room;
  mkd_status status;
} writer;

/* jansson does not look at every result, so a failure is kept. */
static int append(const char *bytes, size_t size, void *context)
{
  writer *w = context;
  size_t needed = w->used + size + 1;
  if (w->status == MKD_OK && needed > w->room) {
    size_t room = 2 * needed;
    w->status = mk_grow(&w->text, w->room, room, 1);
    if (w->status == MKD_OK) w->room = room;
  }
  if (w->status != MKD_OK) return -1;
  memcpy(w->text + w->used, bytes, size);
  w->used += size;
  return 0;
}

mkd_status mk_json_format(char **text, json_t *value, size_t flags)
{
  writer w = {0};
  bool complete = json_dump_callback(value, append, &w, flags) == 0;
  json_decref(value);
  if (complete && w.status == MKD_OK) {
    w.text[w.used] = '\0';
    *text = w.text;
    return MKD_OK;
  }
  mk_free(w.text);
  return mk_fail_memory(0);
}
