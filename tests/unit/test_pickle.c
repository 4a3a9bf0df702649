#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "expert/pickle.h"
#include "expert/state_dict.h"

/* Bytes of a string literal that contains zeros. */
#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

/* Reads from a copy of exactly that size, so that a sanitizer sees every byte too many. */
static mkd_status read_copy(const uint8_t *data, size_t size)
{
  mk_pickle pickle;
  uint8_t *copy = malloc(size ? size : 1);
  size_t used;
  memcpy(copy, data, size);
  mkd_status status = mk_pickle_read(&pickle, copy, size, &used);
  if (status == MKD_OK) {
    assert_in_range(used, 1, size);
    mk_pickle_free(&pickle);
  }
  free(copy);
  return status;
}

static void refused(const uint8_t *data, size_t size, const char *text)
{
  assert_int_equal(read_copy(data, size), MKD_ERROR_FILE);
  if (!strstr(mkd_last_error(), text)) fail_msg("'%s' should be in '%s'", text, mkd_last_error());
}

static const mk_pickle_value *item(const mk_pickle *p, const mk_pickle_value *list, size_t i)
{
  assert_in_range(i, 0, list->list.count - 1);
  return &p->values[list->list.items[i]];
}

static void values_are_read(void **state)
{
  (void)state;
  static const char program[] =
      "\x80\x02]q\0(K\x07M\x34\x12J\xfe\xff\xff\xff\x8a\0\x8a\x01\xff"
      "\x8a\x03\0\0\x80\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"
      "\x8a\x09\0\0\0\0\0\0\0\0\x01G\xc0\x04\0\0\0\0\0\0"
      "X\x02\0\0\0h\xc3U\x01yN\x88\x89K\x01K\x02\x86(K\x03K\x04K\x05K\x06t)"
      "}X\x01\0\0\0kK\x2as\x68\0e.rest";
  mk_pickle p;
  size_t used;
  assert_int_equal(mk_pickle_read(&p, BYTES(program), &used), MKD_OK);
  assert_int_equal(used, sizeof program - 1 - 4);
  const mk_pickle_value *root = &p.values[p.root];
  assert_int_equal(root->kind, MK_PICKLE_LIST);
  assert_int_equal(root->list.count, 19);
  const int64_t integers[] = {7, 0x1234, -2, 0, -1, -8388608, INT64_MAX};
  for (size_t i = 0; i < 7; ++i) {
    assert_int_equal(item(&p, root, i)->kind, MK_PICKLE_INTEGER);
    assert_true(item(&p, root, i)->integer == integers[i]);
  }
  assert_int_equal(item(&p, root, 7)->kind, MK_PICKLE_LONG);
  assert_int_equal(item(&p, root, 7)->text.size, 9);
  assert_true(item(&p, root, 8)->real == -2.5);
  assert_true(mk_pickle_is_text(item(&p, root, 9), "h\xc3"));
  assert_true(mk_pickle_is_text(item(&p, root, 10), "y"));
  assert_int_equal(item(&p, root, 11)->kind, MK_PICKLE_NONE);
  assert_true(item(&p, root, 12)->boolean);
  assert_false(item(&p, root, 13)->boolean);
  assert_int_equal(item(&p, root, 14)->list.count, 2);
  assert_int_equal(item(&p, item(&p, root, 14), 0)->integer, 1);
  assert_int_equal(item(&p, root, 15)->kind, MK_PICKLE_TUPLE);
  assert_int_equal(item(&p, root, 15)->list.count, 4);
  assert_int_equal(item(&p, item(&p, root, 15), 3)->integer, 6);
  assert_int_equal(item(&p, root, 16)->list.count, 0);
  assert_int_equal(mk_pickle_get(&p, item(&p, root, 17), "k")->integer, 42);
  assert_null(mk_pickle_get(&p, item(&p, root, 17), "j"));
  assert_ptr_equal(item(&p, root, 18), root); /* a list can contain itself */
  mk_pickle_free(&p);
}

static void nothing_is_run(void **state)
{
  (void)state;
  refused(BYTES("\x80\x02"
                "cos\nsystem\nX\x02\0\0\0ls\x85R."),
          "asks for os.system, which is not run");
  refused(BYTES("\x80\x02"
                "cposix\nsystem\n."),
          "posix.system");
  refused(BYTES("\x80\x02"
                "cbuiltins\neval\n."),
          "builtins.eval");
  refused(BYTES("\x80\x04\x8c\x02os\x8c\x06system\x93."), "os.system");
  refused(BYTES("\x80\x02"
                "ctorch\nload\n."),
          "torch.load");
  refused(BYTES("\x80\x02"
                "c\x1b[31m\nx\ty\n."),
          "?[31m.x?y");
  refused(BYTES("\x80\x02(S'ls'\nios\nsystem\n."), "operation 0x53");
  refused(BYTES("\x80\x02(ios\nsystem\n."), "operation 0x69"); /* INST */
  refused(BYTES("\x80\x02(K\x01o."), "operation 0x6f");        /* OBJ */
  refused(BYTES("\x80\x02K\x01)\x81."), "operation 0x81");     /* NEWOBJ */
  refused(BYTES("\x80\x02\x82\x01."), "operation 0x82");       /* EXT1 */
  refused(BYTES("\x80\x02K\x01)R."), "calls something that is no function");
  refused(BYTES("\x80\x02"
                "ctorch\nFloatStorage\n)R."),
          "makes a storage");
  refused(BYTES("\x80\x02"
                "ctorch._utils\n_rebuild_tensor_v2\n)R."),
          "tensor is not known");
  refused(BYTES("\x80\x02"
                "ctorch._utils\n_rebuild_parameter\nK\x01\x85R."),
          "no tensor");
}

static void bad_programs_are_refused(void **state)
{
  (void)state;
  refused(BYTES(""), "ends early");
  refused(BYTES("\x80"), "ends early");
  refused(BYTES("\x80\x01."), "protocol 1");
  refused(BYTES("\x80\x06."), "protocol 6");
  refused(BYTES("."), "stack is empty");
  refused(BYTES("(."), "stack is empty");
  refused(BYTES("K"), "ends early");
  refused(BYTES("X\xff\xff\xff\xff"), "ends early");
  refused(BYTES("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "ends early");
  refused(BYTES("\x8b\xff\xff\xff\xff."), "ends early");
  refused(BYTES("ctorch"), "ends early");
  refused(BYTES("ctorch\nFloat"), "ends early");
  refused(BYTES("K\x01t."), "mark is missing");
  refused(BYTES("(K\x01\x86."), "stack is empty");
  refused(BYTES("K\x01\x87."), "stack is empty");
  refused(BYTES("K\x01"
                "a."),
          "stack is empty");
  refused(BYTES("(K\x01"
                "a."),
          "stack is empty");
  refused(BYTES("K\x01K\x02"
                "a."),
          "no container");
  refused(BYTES("}K\x02"
                "a."),
          "no container");
  refused(BYTES("]K\x01K\x02s."), "no container");
  refused(BYTES("}(K\x01u."), "no value");
  refused(BYTES("(K\x01u."), "stack is empty");
  refused(BYTES("h\0."), "memo");
  refused(BYTES("K\x01q\x05h\x06."), "memo");
  refused(BYTES("j\xff\xff\xff\xff."), "memo");
  refused(BYTES("K\x01r\xff\xff\xff\xff."), "more than");
  refused(BYTES("q\0."), "stack is empty");
  refused(BYTES("K\x01K\x02\x93."), "not a text");
  refused(BYTES("K\x01Q."), "storage is not known");
  refused(BYTES("K\x01N"
                "b."),
          "attributes");
  refused(BYTES("ccollections\nOrderedDict\nK\x01\x85R."), "dictionary is not known");
  refused(BYTES("ccollections\nOrderedDict\n]K\x01"
                "a\x85R."),
          "dictionary is not known");
}

/* A growing program for tests of limits. */
typedef struct {
  uint8_t *data;
  size_t size;
} program;

static void put(program *p, const char *bytes, size_t size, int times)
{
  p->data = realloc(p->data, p->size + size * (size_t)times);
  assert_non_null(p->data);
  for (int i = 0; i < times; ++i, p->size += size) memcpy(p->data + p->size, bytes, size);
}

static void depth_and_size_are_bounded(void **state)
{
  (void)state;
  /* 400,000 tuples in one another: fine for a machine without recursion. */
  program p = {0};
  put(&p, ")", 1, 1);
  put(&p, "\x85", 1, 400000);
  put(&p, ".", 1, 1);
  assert_int_equal(read_copy(p.data, p.size), MKD_OK);
  p.size = 0;
  put(&p, ")", 1, 1);
  put(&p, "\x85", 1, 600000);
  refused(p.data, p.size, "more than 524288");
  p.size = 0;
  put(&p, "(", 1, 600000); /* marks are no values, but take room on the stack */
  refused(p.data, p.size, "more than 524288");
  p.size = 0;
  put(&p, "]q\0(", 4, 1);
  put(&p, "h\0", 2, 400000);
  put(&p, "e(", 2, 1);
  put(&p, "h\0", 2, 400000);
  put(&p, "e.", 2, 1);
  refused(p.data, p.size, "more than 524288");
  p.size = 0;
  /* A list of 200,000 pairs, copied by five bytes each. */
  put(&p, "ccollections\nOrderedDict\nq\0NN\x86q\1](", 34, 1);
  put(&p, "h\1", 2, 200000);
  put(&p, "e\x85q\2", 4, 1);
  put(&p, "h\0h\2R", 5, 100);
  put(&p, ".", 1, 1);
  refused(p.data, p.size, "more than 524288");
  free(p.data);
}

/* ---- State dictionaries ---------------------------------------------------------------------- */

static mkd_status collect(mk_state_dict *dict, const uint8_t *data, size_t size, size_t available)
{
  mk_pickle pickle;
  size_t used;
  assert_int_equal(mk_pickle_read(&pickle, data, size, &used), MKD_OK);
  mkd_status status = mk_state_dict_collect(dict, &pickle, available);
  mk_pickle_free(&pickle);
  return status;
}

static void dictionary_refused(const uint8_t *data, size_t size, size_t available, const char *text)
{
  mk_state_dict dict = {0};
  assert_int_equal(collect(&dict, data, size, available), MKD_ERROR_FILE);
  if (!strstr(mkd_last_error(), text)) fail_msg("'%s' should be in '%s'", text, mkd_last_error());
}

/* {'t': a tensor of 6 float32 in storage 's' at `offset`, with `shape` and `strides`}. */
#define STORAGE(count)                                                                             \
  "(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0sX\x03\0\0\0"                               \
  "cpu" count "tQ"
#define TENSOR(storage, offset, shape, strides)                                                    \
  "}X\x01\0\0\0t"                                                                                  \
  "ctorch._utils\n_rebuild_tensor_v2\n(" storage offset shape strides "\x89)tRs."

static void sizes_of_tensors_are_checked(void **state)
{
  (void)state;
  mk_state_dict dict = {0};
  assert_int_equal(
      collect(&dict, BYTES(TENSOR(STORAGE("K\x06"), "K\0", "K\x02K\x03\x86", "K\x03K\x01\x86")),
              24),
      MKD_OK);
  assert_int_equal(dict.tensors.count, 1);
  assert_int_equal(dict.storages[0].bytes, 24);
  mk_state_dict_free(&dict);
  dictionary_refused(BYTES(TENSOR(STORAGE("K\x06"), "K\0", "K\x06\x85", "K\x01\x85")), 23,
                     "more bytes than the file");
  dictionary_refused(BYTES(TENSOR(STORAGE("K\x06"), "K\x01", "K\x06\x85", "K\x01\x85")), 24,
                     "'t' reaches beyond its storage of 6");
  dictionary_refused(BYTES(TENSOR(STORAGE("K\x06"), "K\x06", ")", ")")), 24, "beyond");
  dictionary_refused(BYTES(TENSOR(STORAGE("K\x06"), "J\xff\xff\xff\xff", ")", ")")), 24, "beyond");
  dictionary_refused(BYTES(TENSOR(STORAGE("K\x06"), "K\0", "K\x02\x85", "K\x06\x85")), 24,
                     "beyond");
  dictionary_refused(BYTES(TENSOR(STORAGE("K\x06"), "K\0", "K\x02\x85", ")")), 24,
                     "1 dimensions and 0");
  dictionary_refused(BYTES(TENSOR(STORAGE("K\x06"), "K\0", "J\xff\xff\xff\xff\x85", "K\x01\x85")),
                     24, "negative");
  dictionary_refused(BYTES(TENSOR(STORAGE("K\x06"), "K\0", "K\x02\x85", "J\xff\xff\xff\xff\x85")),
                     24, "negative");
  dictionary_refused(
      BYTES(TENSOR(STORAGE("K\x06"), "K\0", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85",
                   "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85")),
      24, "too large");
  dictionary_refused(BYTES(TENSOR(STORAGE("K\x06"), "K\0", "M\xe8\x03\x85", "K\0\x85")), 24,
                     "too often");
  dictionary_refused(
      BYTES(TENSOR(STORAGE("K\x06"), "K\0", "\x8a\x08\0\0\0\0\1\0\0\0\x8a\x08\0\0\0\0\1\0\0\0\x86",
                   "K\0K\0\x86")),
      24, "too often");
  dictionary_refused(
      BYTES(TENSOR(STORAGE("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"), "K\0", ")", ")")), 24,
      "larger than any file");
  refused(BYTES(TENSOR(STORAGE("J\xff\xff\xff\xff"), "K\0", ")", ")")), "size of a storage");
  dictionary_refused(BYTES("K\x01."), 9, "no dictionary");
  dictionary_refused(BYTES("}X\x01\0\0\0aK\x01s."), 9, "no floating-point tensor");
}

/* A dictionary that contains itself often would make an endless walk. */
static void walks_are_bounded(void **state)
{
  (void)state;
  dictionary_refused(BYTES("}q\0X\x01\0\0\0ah\0s."), 9, "dictionaries in one another");
  program p = {0};
  put(&p, "}q\0(", 4, 1);
  char entry[] = "X\x02\0\0\0??h\0";
  for (int i = 0; i < 40; ++i) { /* each level is 40 times the one below: 40^16 visits */
    entry[5] = (char)('a' + i % 26);
    entry[6] = (char)('a' + i / 26);
    put(&p, entry, 9, 1);
  }
  put(&p, "u.", 2, 1);
  dictionary_refused(p.data, p.size, 9, "in one another");

  /* Without a way down that is too long: 12 levels of 10 references to the next. */
  p.size = 0;
  put(&p, "}q\0", 3, 1);
  for (int level = 1; level <= 12; ++level) {
    char next[] = "q?", reference[] = "X\x01\0\0\0?h?";
    put(&p, "}(", 2, 1);
    for (int i = 0; i < 10; ++i) {
      reference[5] = (char)('a' + i);
      reference[7] = (char)(level - 1);
      put(&p, reference, 8, 1);
    }
    next[1] = (char)level;
    put(&p, "u", 1, 1);
    put(&p, next, 2, 1);
  }
  put(&p, ".", 1, 1);
  dictionary_refused(p.data, p.size, 9, "more than 100000 entries");
  free(p.data);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_are_read),
      cmocka_unit_test(nothing_is_run),
      cmocka_unit_test(bad_programs_are_refused),
      cmocka_unit_test(depth_and_size_are_bounded),
      cmocka_unit_test(sizes_of_tensors_are_checked),
      cmocka_unit_test(walks_are_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
