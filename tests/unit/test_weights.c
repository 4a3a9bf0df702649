#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

#include "core/memory.h"
#include "expert/pth.h"
#include "expert/weights.h"

#define WEIGHTS FIXTURES "/weights/"

static mk_bytes read_file(const char *path)
{
  mk_bytes file;
  assert_int_equal(mk_file_read(&file, path, 1 << 26), MKD_OK);
  return file;
}

static void assert_same_tensors(const mk_tensors *x, const mk_tensors *y)
{
  assert_int_equal(x->count, y->count);
  for (size_t i = 0; i < x->count; ++i) {
    const mk_tensor *a = &x->tensors[i], *b = mk_tensors_find(y, a->name);
    if (!b) fail_msg("'%s' is missing", a->name);
    assert_int_equal(a->rank, b->rank);
    for (int k = 0; k < a->rank; ++k) assert_int_equal(a->shape[k], b->shape[k]);
    assert_memory_equal(a->data, b->data, a->count * sizeof(float));
  }
}

static void every_form_of_torch_save_is_read(void **state)
{
  (void)state;
  static const char *const files[] = {
      "zip2.pth",    "zip3.pth",    "zip4.pth",    "zip5.pth",   "legacy2.pth",
      "legacy3.pth", "legacy4.pth", "legacy5.pth", "nested.pth", "dict.pth",
  };
  mk_tensors expected = {0}, read = {0};
  char digest[MK_SHA256_HEX], path[512];
  assert_int_equal(mk_weights_read(&expected, WEIGHTS "expected.safetensors", SIZE_MAX, digest),
                   MKD_OK);
  assert_int_equal(expected.count, 11);
  for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
    snprintf(path, sizeof path, "%s%s", WEIGHTS, files[i]);
    if (mk_weights_read(&read, path, SIZE_MAX, NULL) != MKD_OK) fail_msg("%s", mkd_last_error());
    assert_same_tensors(&read, &expected);
    mk_tensors_free(&read);
  }
  mk_bytes file = read_file(WEIGHTS "expected.safetensors");
  char again[MK_SHA256_HEX];
  mk_sha256(again, file.data, file.size);
  assert_string_equal(digest, again);
  mk_free(file.data);
  mk_tensors_free(&expected);
}

static void names_of_nested_dictionaries_are_dotted(void **state)
{
  (void)state;
  mk_tensors read = {0};
  assert_int_equal(mk_weights_read(&read, WEIGHTS "dotted.pth", SIZE_MAX, NULL), MKD_OK);
  assert_int_equal(read.count, 2);
  assert_non_null(mk_tensors_find(&read, "outer.a"));
  assert_int_equal(mk_tensors_find(&read, "outer.7.b")->count, 3);
  mk_tensors_free(&read);
}

static void parts_of_storages_are_read(void **state)
{
  (void)state;
  mk_tensors read = {0};
  assert_int_equal(mk_weights_read(&read, WEIGHTS "parts.pth", SIZE_MAX, NULL), MKD_OK);
  const mk_tensor *a = mk_tensors_find(&read, "a"), *b = mk_tensors_find(&read, "b");
  assert_memory_equal(a->data, ((float[]){0, 1}), 8);
  assert_memory_equal(b->data, ((float[]){3, 4, 5}), 12);
  mk_tensors_free(&read);
}

static void refused(const char *path, const char *text)
{
  mk_tensors read = {0};
  assert_int_equal(mk_weights_read(&read, path, SIZE_MAX, NULL), MKD_ERROR_FILE);
  assert_null(read.tensors);
  if (!strstr(mkd_last_error(), text) || strncmp(mkd_last_error(), path, strlen(path)) != 0)
    fail_msg("'%s' should be in '%s'", text, mkd_last_error());
}

static void refused_bytes(const void *bytes, size_t size, const char *text)
{
  char path[] = "/tmp/mkd-weights-XXXXXX";
  int descriptor = mkstemp(path);
  assert_true(descriptor >= 0);
  close(descriptor);
  assert_int_equal(mkd_file_save(path, bytes, size), MKD_OK);
  refused(path, text);
  unlink(path);
}

static void other_files_are_told_apart(void **state)
{
  (void)state;
  refused(WEIGHTS "absent.pth", "cannot open");
  refused(WEIGHTS "list.pth", "no dictionary of tensors");
  refused(WEIGHTS "path.pth", "asks for pathlib.PurePosixPath, which is not run");
  refused(WEIGHTS "script.pth", "TorchScript");
  refused(FIXTURES "/make_weights.py", "of an unknown kind; PyTorch .pth files");
  refused_bytes("", 0, "it is empty");
  refused_bytes("\x89HDF\r\n\x1a\n and so on", 18, "it is HDF5 (Keras .h5); PyTorch .pth files");
  refused_bytes("\x08\x07\x12\x07pytorch", 11, "looks like ONNX");
  refused_bytes("\x1c\0\0\0TFL3\0\0", 10, "TensorFlow Lite");
  refused_bytes("\x80\x02}q\0.", 6, "pickle, but not one of torch.save");
  refused_bytes("PK\3\4", 4, "the zip archive cannot be read");
}

static void damage(const char *path, mkd_status (*parse)(mk_tensors *, const uint8_t *, size_t),
                   bool checked, size_t step)
{
  mk_bytes file = read_file(path);
  mk_tensors read = {0}, right = {0};
  assert_int_equal(parse(&right, file.data, file.size), MKD_OK);
  for (size_t size = 0; size < file.size; ++size) {
    uint8_t *cut = malloc(size ? size : 1);
    memcpy(cut, file.data, size);
    assert_int_equal(parse(&read, cut, size), MKD_ERROR_FILE);
    free(cut);
  }
  size_t survived = 0;
  for (size_t bit = 0; bit < 8 * file.size; bit += step) {
    file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    mkd_status status = parse(&read, file.data, file.size);
    if (status == MKD_OK) {
      /* With a checksum, what is read is right: the flip was in something that nobody reads. */
      if (checked && read.count == right.count) assert_same_tensors(&read, &right);
      ++survived;
      mk_tensors_free(&read);
    } else {
      assert_int_equal(status, MKD_ERROR_FILE);
    }
    file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  assert_in_range(survived, 1, 8 * file.size - 1);
  mk_tensors_free(&right);
  mk_free(file.data);
}

static void every_cut_and_bit_flip_is_survived(void **state)
{
  (void)state;
  damage(WEIGHTS "legacy2.pth", mk_pth_legacy_parse, false, 1);
  damage(WEIGHTS "legacy4.pth", mk_pth_legacy_parse, false, 1);
  damage(WEIGHTS "parts.pth", mk_pth_legacy_parse, false, 1);
  damage(WEIGHTS "zip2.pth", mk_pth_zip_parse, true, 5);
}

/* The same file with one piece of text replaced by another of the same length. */
static void refused_with(const char *path, const void *old, const void *new, size_t size,
                         const char *text)
{
  mk_bytes file = read_file(path);
  uint8_t *at = memmem(file.data, file.size, old, size);
  assert_non_null(at);
  memcpy(at, new, size);
  refused_bytes(file.data, file.size, text);
  mk_free(file.data);
}

static void the_frame_of_a_legacy_file_is_checked(void **state)
{
  (void)state;
  refused_with(WEIGHTS "legacy2.pth", "M\xe9\x03.", "M\xea\x03.", 4, "version");
  refused_with(WEIGHTS "legacy2.pth", "little_endian", "likely_endian", 13, "big-endian");
  refused_with(WEIGHTS "parts.pth", "\6\0\0\0\0\0\0\0", "\7\0\0\0\0\0\0\0", 8, "another size");
  refused_with(WEIGHTS "parts.pth", "]q\0X\3\0\0\0key", "]q\0X\3\0\0\0kez", 11, "no tensor");
}

/* An archive with these entries; a name that ends in '!' is compressed. */
static void zip_refused(const char *const *names, const mk_bytes *contents, int count,
                        const char *text)
{
  char path[] = "/tmp/mkd-zip-XXXXXX";
  int descriptor = mkstemp(path);
  close(descriptor);
  zip_t *archive = zip_open(path, ZIP_TRUNCATE, NULL);
  assert_non_null(archive);
  for (int i = 0; i < count; ++i) {
    char name[64];
    snprintf(name, sizeof name, "%s", names[i]);
    size_t length = strlen(name);
    bool compressed = name[length - 1] == '!';
    if (compressed) name[length - 1] = '\0';
    zip_source_t *source = zip_source_buffer(archive, contents[i].data, contents[i].size, 0);
    zip_int64_t index = zip_file_add(archive, name, source, 0);
    assert_true(index >= 0);
    zip_set_file_compression(archive, (zip_uint64_t)index,
                             compressed ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
  }
  assert_int_equal(zip_close(archive), 0);
  refused(path, text);
  unlink(path);
}

static void archives_are_checked(void **state)
{
  (void)state;
  static uint8_t pickle[] = "\x80\x02}X\x01\0\0\0t"
                            "ctorch._utils\n_rebuild_tensor_v2\n("
                            "(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0sX\x03\0\0\0"
                            "cpuK\x06tQK\0K\x06\x85K\x01\x85\x89)tRs.";
  static uint8_t numbers[100000], big[] = "big";
  const mk_bytes program = {pickle, sizeof pickle - 1}, six = {numbers, 24}, five = {numbers, 20},
                 many = {numbers, sizeof numbers}, order = {big, 3};
  zip_refused((const char *[]){"x/other"}, &six, 1, "no 'data.pkl'");
  zip_refused((const char *[]){"x/data.pkl"}, &program, 1, "lacks storage 's'");
  zip_refused((const char *[]){"x/data.pkl", "x/data/t"}, (mk_bytes[]){program, six}, 2,
              "lacks storage 's'");
  zip_refused((const char *[]){"x/data.pkl", "y/data/s"}, (mk_bytes[]){program, six}, 2,
              "lacks storage 's'");
  zip_refused((const char *[]){"x/data.pkl", "x/data/s"}, (mk_bytes[]){program, five}, 2,
              "another size");
  zip_refused((const char *[]){"x/data.pkl", "x/data/s!"}, (mk_bytes[]){program, many}, 2,
              "compressed");
  zip_refused((const char *[]){"x/data.pkl!", "x/data/s"}, (mk_bytes[]){many, six}, 2,
              "compressed");
  zip_refused((const char *[]){"x/data.pkl", "x/data/s", "x/byteorder"},
              (mk_bytes[]){program, six, order}, 3, "big-endian");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_form_of_torch_save_is_read),
      cmocka_unit_test(names_of_nested_dictionaries_are_dotted),
      cmocka_unit_test(parts_of_storages_are_read),
      cmocka_unit_test(other_files_are_told_apart),
      cmocka_unit_test(every_cut_and_bit_flip_is_survived),
      cmocka_unit_test(the_frame_of_a_legacy_file_is_checked),
      cmocka_unit_test(archives_are_checked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
