#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/float_types.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/safetensors.h"

/* The digests are printed by fixtures/make_safetensors.py, which computes them with numpy. */

static void every_half_is_converted_as_numpy_does(void **state)
{
  (void)state;
  float *values;
  assert_int_equal(mk_alloc(&values, 65536, sizeof *values), MKD_OK);
  for (uint32_t i = 0; i < 65536; ++i) {
    values[i] = mk_float_from_half((uint16_t)i);
    if (isnan(values[i])) {
      uint32_t quiet = 0x7fc00000;
      memcpy(&values[i], &quiet, 4);
    } else {
      assert_int_equal(mk_half_from_float(values[i]), i);
    }
  }
  char hex[MK_SHA256_HEX];
  mk_sha256(hex, values, 65536 * sizeof *values);
  assert_string_equal(hex, "385ff5fe69182797cda5f1827e20cf423f4416bc9246f27d0eec27cac9039259");
  mk_free(values);
}

static void floats_are_rounded_to_halves_as_numpy_does(void **state)
{
  (void)state;
  enum { SPREAD = 1 << 20, MIDDLES = 0x7bff, COUNT = SPREAD + 3 * MIDDLES };
  uint16_t *halves;
  assert_int_equal(mk_alloc(&halves, COUNT, sizeof *halves), MKD_OK);
  for (uint32_t i = 0; i < COUNT; ++i) {
    uint32_t bits = i * 4099u;
    float value;
    if (i >= SPREAD) {
      uint16_t half = (uint16_t)((i - SPREAD) % MIDDLES);
      value = (mk_float_from_half(half) + mk_float_from_half((uint16_t)(half + 1))) / 2;
      memcpy(&bits, &value, 4);
      if (i >= SPREAD + MIDDLES) bits = i < SPREAD + 2 * MIDDLES ? bits - 1 : bits + 1;
    }
    memcpy(&value, &bits, 4);
    halves[i] = isnan(value) ? 0x7e00 : mk_half_from_float(value);
    if (isnan(value)) assert_true(isnan(mk_float_from_half(mk_half_from_float(value))));
  }
  char hex[MK_SHA256_HEX];
  mk_sha256(hex, halves, COUNT * sizeof *halves);
  assert_string_equal(hex, "f77f8cf977140fb6389af27ce376d65780720c80ca3481d5c806bae48f2eddf2");
  mk_free(halves);
}

static mkd_status read_file(mk_tensors *tensors, const char *path)
{
  mk_bytes bytes;
  MK_TRY(mk_file_read(&bytes, path, 1 << 26));
  mk_tensors taken;
  mkd_status status = mk_safetensors_parse(tensors, bytes.data, bytes.size, path);
  assert_int_equal(mk_safetensors_take(&taken, &bytes, path), status);
  assert_null(bytes.data);
  if (status != MKD_OK) return status;
  assert_int_equal(taken.count, tensors->count);
  for (size_t i = 0; i < taken.count; ++i) {
    const mk_tensor *a = &taken.tensors[i], *b = &tensors->tensors[i];
    assert_string_equal(a->name, b->name);
    assert_memory_equal(a->data, b->data, b->count * sizeof(float));
  }
  mk_tensors_free(&taken);
  return status;
}

static double ramp(int i, int count)
{
  return (i - count / 2) * 0.37;
}

static void files_of_the_reference_implementation_are_read(void **state)
{
  (void)state;
  mk_tensors tensors = {0};
  assert_int_equal(read_file(&tensors, FIXTURES "/reference.safetensors"), MKD_OK);
  assert_int_equal(tensors.count, 6);
  assert_null(mk_tensors_find(&tensors, "integers"));
  const mk_tensor *single = mk_tensors_find(&tensors, "single");
  assert_int_equal(single->rank, 3);
  assert_int_equal(single->shape[0], 2);
  assert_int_equal(single->shape[1], 3);
  assert_int_equal(single->shape[2], 4);
  for (int i = 0; i < 24; ++i) assert_true(single->data[i] == (float)ramp(i, 24));
  const mk_tensor *half = mk_tensors_find(&tensors, "half");
  for (int i = 0; i < 6; ++i)
    assert_true(half->data[i] == mk_float_from_half(mk_half_from_float((float)ramp(i, 6))));
  const mk_tensor *brain = mk_tensors_find(&tensors, "bfloat");
  for (int i = 0; i < 6; ++i) {
    uint32_t bits;
    memcpy(&bits, &brain->data[i], 4);
    assert_int_equal(bits & 0xffff, 0);
    assert_true(fabs(brain->data[i] - ramp(i, 6)) <= fabs(ramp(i, 6)) / 256);
  }
  const mk_tensor *wide = mk_tensors_find(&tensors, "double");
  for (int i = 0; i < 4; ++i) assert_true(wide->data[i] == (float)ramp(i, 4));
  const mk_tensor *scalar = mk_tensors_find(&tensors, "scalar");
  assert_int_equal(scalar->rank, 0);
  assert_true(scalar->data[0] == 2.5f);
  assert_int_equal(mk_tensors_find(&tensors, "empty")->count, 0);
  assert_string_equal(mk_tensors_metadata(&tensors, "title"), "gr\xc3\xbcn \"quoted\"");
  assert_null(mk_tensors_metadata(&tensors, "absent"));
  mk_tensors_free(&tensors);
}

/* Writes the file that fixtures/check_safetensors.py knows. */
static void write_sample(const char *path)
{
  mk_tensors tensors = {0};
  mk_tensor *t;
  assert_int_equal(mk_tensors_add(&tensors, "b \xc3\xa9", 1, (size_t[]){20000}, &t), MKD_OK);
  for (int i = 0; i < 20000; ++i) t->data[i] = (float)-i;
  assert_int_equal(mk_tensors_add(&tensors, "a", 2, (size_t[]){2, 3}, &t), MKD_OK);
  for (int i = 0; i < 6; ++i) t->data[i] = 1.5f * (float)i;
  assert_int_equal(mk_tensors_add(&tensors, "none", 2, (size_t[]){0, 7}, &t), MKD_OK);
  assert_int_equal(mk_tensors_add(&tensors, "scalar", 0, NULL, &t), MKD_OK);
  t->data[0] = 0.25f;
  assert_int_equal(mk_tensors_add(&tensors, "a", 0, NULL, &t), MKD_ERROR_FILE);
  assert_int_equal(mk_tensors_add_metadata(&tensors, "kind", "test"), MKD_OK);
  assert_int_equal(mk_tensors_add_metadata(&tensors, "text", "line\nand \"quotes\""), MKD_OK);
  assert_int_equal(mk_tensors_add_metadata(&tensors, "kind", "again"), MKD_ERROR_FILE);
  assert_int_equal(mk_safetensors_write(&tensors, path), MKD_OK);
  mk_tensors_free(&tensors);
}

static void a_written_file_reads_back(void **state)
{
  (void)state;
  char folder[] = "/tmp/mkd-safetensors-XXXXXX", path[64], again[64], command[4096];
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/file", folder);
  snprintf(again, sizeof again, "%s/again", folder);
  write_sample(path);

  mk_tensors tensors = {0};
  assert_int_equal(read_file(&tensors, path), MKD_OK);
  assert_int_equal(tensors.count, 4);
  assert_string_equal(tensors.tensors[0].name, "b \xc3\xa9"); /* the order is kept */
  assert_true(tensors.tensors[0].data[19999] == -19999);
  assert_int_equal(mk_tensors_find(&tensors, "none")->shape[1], 7);
  assert_string_equal(mk_tensors_metadata(&tensors, "text"), "line\nand \"quotes\"");
  assert_int_equal(mk_safetensors_write(&tensors, again), MKD_OK);
  mk_tensors_free(&tensors);

  mk_bytes first, second;
  assert_int_equal(mk_file_read(&first, path, 1 << 20), MKD_OK);
  assert_int_equal(mk_file_read(&second, again, 1 << 20), MKD_OK);
  assert_int_equal(first.size, second.size);
  assert_memory_equal(first.data, second.data, first.size);
  uint64_t header;
  memcpy(&header, first.data, 8);
  assert_int_equal(header % 8, 0);
  mk_free(first.data);
  mk_free(second.data);

  const char *python = getenv("MKD_TEST_PYTHON");
  snprintf(command, sizeof command, "'%s' '%s/check_safetensors.py' '%s'",
           python ? python : "python3", FIXTURES, path);
  int result = system(command);
  unlink(path);
  unlink(again);
  rmdir(folder);
  assert_true(WIFEXITED(result));
  if (WEXITSTATUS(result) == 77 || WEXITSTATUS(result) == 127)
    print_message("no safetensors in Python: not checked against it\n");
  else
    assert_int_equal(WEXITSTATUS(result), 0);
}

static mkd_status parse_text(const char *header, size_t data_size)
{
  size_t length = strlen(header);
  uint8_t *bytes;
  assert_int_equal(mk_alloc(&bytes, 8 + length + data_size, 1), MKD_OK);
  bytes[0] = (uint8_t)length;
  bytes[1] = (uint8_t)(length >> 8);
  memcpy(bytes + 8, header, length);
  mk_tensors tensors = {0};
  mkd_status status = mk_safetensors_parse(&tensors, bytes, 8 + length + data_size, "x.st");
  mk_tensors_free(&tensors);
  mk_free(bytes);
  return status;
}

static void refused(const char *header, size_t data_size, const char *text)
{
  assert_int_equal(parse_text(header, data_size), MKD_ERROR_FILE);
  if (!strstr(mkd_last_error(), text) || strncmp(mkd_last_error(), "x.st: ", 6) != 0)
    fail_msg("'%s' should be in '%s'", text, mkd_last_error());
}

#define F32(shape, offsets) "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void bad_headers_are_refused(void **state)
{
  (void)state;
  assert_int_equal(parse_text("{\"a\":" F32("[2]", "[0,8]") "}", 8), MKD_OK);
  assert_int_equal(parse_text("{}", 0), MKD_OK);
  refused("{\"a\":" F32("[2]", "[0,8]") "}", 7, "outside the file");
  refused("{\"a\":" F32("[2]", "[0,8]") "}", 9, "1 bytes after the last tensor");
  refused("{\"a\":" F32("[2]", "[4,12]") "}", 12, "follows a gap");
  refused("{\"a\":" F32("[2]", "[0,8]") ",\"b\":" F32("[2]", "[4,12]") "}", 12, "overlaps");
  refused("{\"a\":" F32("[2]", "[0,8]") ",\"a\":" F32("[2]", "[8,16]") "}", 16, "duplicate");
  refused("{\"a\":" F32("[2]", "[8,0]") "}", 8, "outside the file");
  refused("{\"a\":" F32("[2]", "[-8,0]") "}", 8, "outside the file");
  refused("{\"a\":" F32("[2]", "[0,8.0]") "}", 8, "outside the file");
  refused("{\"a\":" F32("[2]", "[0]") "}", 8, "outside the file");
  refused("{\"a\":" F32("[3]", "[0,8]") "}", 8, "8 bytes, its shape asks for 12");
  refused("{\"a\":" F32("[-2]", "[0,8]") "}", 8, "impossible shape");
  refused("{\"a\":" F32("[4611686018427387904,4]", "[0,0]") "}", 0, "impossible shape");
  refused("{\"a\":" F32("[4611686018427387904]", "[0,0]") "}", 0, "impossible shape");
  refused("{\"a\":" F32("[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "9 dimensions");
  refused("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "F8_E4M3");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "lacks");
  refused("{\"a\":7}", 4, "lacks");
  refused("{\"__metadata__\":[]}", 0, "not a dictionary");
  refused("{\"__metadata__\":{\"k\":1}}", 0, "'k' is not a text");
  refused("{\"a\":", 0, "not valid JSON");
  refused("[]", 0, "not a safetensors file");
}

static void every_cut_and_bit_flip_is_survived(void **state)
{
  (void)state;
  mk_bytes file;
  assert_int_equal(mk_file_read(&file, FIXTURES "/reference.safetensors", 1 << 20), MKD_OK);
  mk_tensors tensors = {0};
  for (size_t size = 0; size < file.size; ++size) {
    uint8_t *cut;
    assert_int_equal(mk_alloc(&cut, size, 1), MKD_OK);
    memcpy(cut, file.data, size);
    assert_int_equal(mk_safetensors_parse(&tensors, cut, size, "cut"), MKD_ERROR_FILE);
    mk_bytes bytes = {cut, size};
    assert_int_equal(mk_safetensors_take(&tensors, &bytes, "cut"), MKD_ERROR_FILE);
  }
  for (size_t bit = 0; bit < 8 * file.size; ++bit) {
    file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    if (mk_safetensors_parse(&tensors, file.data, file.size, "flipped") == MKD_OK)
      mk_tensors_free(&tensors);
    file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  mk_free(file.data);
}

static void a_header_longer_than_the_file_is_not_recognised(void **state)
{
  (void)state;
  uint8_t bytes[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}'};
  assert_false(mk_safetensors_recognise(bytes, sizeof bytes));
  memset(bytes, 0, 8);
  bytes[0] = 8;
  assert_true(mk_safetensors_recognise(bytes, sizeof bytes));
  bytes[0] = 9;
  assert_false(mk_safetensors_recognise(bytes, sizeof bytes));
  assert_false(mk_safetensors_recognise(bytes, 4));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_half_is_converted_as_numpy_does),
      cmocka_unit_test(floats_are_rounded_to_halves_as_numpy_does),
      cmocka_unit_test(files_of_the_reference_implementation_are_read),
      cmocka_unit_test(a_written_file_reads_back),
      cmocka_unit_test(bad_headers_are_refused),
      cmocka_unit_test(every_cut_and_bit_flip_is_survived),
      cmocka_unit_test(a_header_longer_than_the_file_is_not_recognised),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
