#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/rng.h"
#include "core/scratch.h"
#include "core/threads.h"

static void error_text_can_wrap_itself(void **state)
{
  (void)state;
  assert_int_equal(mk_fail(MKD_ERROR_FILE, "bad %d", 7), MKD_ERROR_FILE);
  assert_int_equal(mk_fail_in(MKD_ERROR_FILE, "a.png"), MKD_ERROR_FILE);
  assert_string_equal(mkd_last_error(), "a.png: bad 7");
}

static void allocation_checks_overflow(void **state)
{
  (void)state;
  void *p = NULL;
  assert_int_equal(mk_alloc(&p, SIZE_MAX / 2, 3), MKD_ERROR_MEMORY);
  assert_null(p);
  assert_int_equal(mk_alloc(&p, 3, 5), MKD_OK);
  assert_int_equal((uintptr_t)p % MK_ALIGNMENT, 0);
  for (int i = 0; i < 15; ++i) assert_int_equal(((uint8_t *)p)[i], 0);
  mk_free(p);
}

/* Pieces do not overlap, and from the second round on they all lie in one block. */
static void scratch_settles(void **state)
{
  (void)state;
  enum { PIECES = 20 };
  mk_scratch scratch = {0};
  uint8_t *pieces[PIECES];
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < PIECES; ++i) {
      assert_int_equal(mk_scratch_get(&scratch, &pieces[i], (size_t)(i * i), 7), MKD_OK);
      assert_int_equal((uintptr_t)pieces[i] % MK_ALIGNMENT, 0);
      memset(pieces[i], i, (size_t)(i * i * 7));
    }
    for (int i = 1; i < PIECES; ++i) {
      assert_int_equal(pieces[i][0], i);
      assert_int_equal(pieces[i][i * i * 7 - 1], i);
      if (round > 0) assert_true(pieces[i] > pieces[i - 1]);
    }
    mk_scratch_reset(&scratch);
  }
  void *none;
  assert_int_equal(mk_scratch_get(&scratch, &none, SIZE_MAX / 2, 3), MKD_ERROR_MEMORY);
  assert_null(none);
  mk_scratch_free(&scratch);
}

typedef struct {
  atomic_int *seen;
  int threads; /* that may take part */
} visit;

static void visit_task(void *context, size_t index, int worker)
{
  visit *v = context;
  assert_in_range(worker, 0, v->threads - 1);
  atomic_fetch_add(&v->seen[index], 1);
}

static void visit_range(void *context, size_t begin, size_t end, int worker)
{
  assert_true(begin < end);
  for (size_t i = begin; i < end; ++i) visit_task(context, i, worker);
}

static void pool_runs_every_index_once(void **state)
{
  (void)state;
  enum { COUNT = 1000 };
  static atomic_int seen[COUNT], few_seen[COUNT];
  mk_pool *pool;
  assert_int_equal(mk_pool_create(&pool, 4), MKD_OK);
  for (int round = 1; round <= 200; ++round) {
    int count = round % 7 ? COUNT : round / 7, some = round % 5 + 1;
    mk_pool_run(pool, COUNT, visit_task, &(visit){seen, 4});
    mk_pool_run_on(pool, some, (size_t)count, visit_task, &(visit){few_seen, some < 4 ? some : 4});
    mk_pool_run_ranges(pool, (size_t)count, (size_t)(round % 4), visit_range,
                       &(visit){few_seen, 4});
    for (int i = 0; i < count; ++i) assert_int_equal(atomic_exchange(&few_seen[i], 0), 2);
    for (int i = 0; i < COUNT; ++i) assert_int_equal(seen[i], round);
    if (round % 50 == 0) usleep(5000); /* let the workers fall asleep */
  }
  mk_pool_destroy(pool);
}

static void random_numbers_repeat(void **state)
{
  (void)state;
  mk_rng a = mk_rng_seed(1, 2), b = mk_rng_seed(1, 2), c = mk_rng_seed(1, 3);
  double sum = 0, square = 0;
  bool differs = false;
  for (int i = 0; i < 10000; ++i) {
    double x = mk_rng_normal(&a);
    assert_true(x == mk_rng_normal(&b));
    differs |= x != mk_rng_normal(&c);
    sum += x;
    square += x * x;
  }
  assert_true(differs);
  assert_true(fabs(sum / 10000) < 0.05);
  assert_true(fabs(square / 10000 - 1) < 0.06);
  size_t order[100];
  for (size_t i = 0; i < 100; ++i) order[i] = i;
  mk_rng_shuffle(&a, order, 100);
  bool found[100] = {false};
  for (size_t i = 0; i < 100; ++i) found[order[i]] = true;
  for (size_t i = 0; i < 100; ++i) assert_true(found[i]);
}

static int count_names(const char *folder)
{
  DIR *stream = opendir(folder);
  assert_non_null(stream);
  int count = 0;
  for (const struct dirent *entry; (entry = readdir(stream));) count += entry->d_name[0] != '.';
  closedir(stream);
  return count;
}

static void files_have_no_name_before_they_are_complete(void **state)
{
  (void)state;
  char folder[] = "/tmp/mkd-core-XXXXXX", path[64];
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/file", folder);
  int nameless = open(folder, O_WRONLY | O_TMPFILE, 0600); /* not every file system can do that */
  if (nameless >= 0) close(nameless);
  mode_t mask = umask(027);
  for (int round = 0; round < 2; ++round) { /* a new file, then one that is replaced */
    mk_writer *writer;
    struct stat info;
    assert_int_equal(mk_writer_open(&writer, path), MKD_OK);
    assert_int_equal(mk_writer_write(writer, "whole", 5), MKD_OK);
    assert_int_equal(count_names(folder), round + (nameless < 0));
    assert_int_equal(mk_writer_commit(writer), MKD_OK);
    assert_int_equal(count_names(folder), 1);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, 5);
    assert_int_equal(info.st_nlink, 1);
    assert_int_equal(info.st_mode & 0777, 0640);
  }
  umask(mask);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rmdir(folder), 0);
}

/* A link stays and leads to what was written; permissions stay; devices and pipes are not replaced.
 */
static void files_are_replaced_in_place(void **state)
{
  (void)state;
  char folder[] = "/tmp/mkd-core-XXXXXX", file[64], link[64], pipe[64], name[300];
  struct stat info;
  mk_bytes bytes;
  assert_non_null(mkdtemp(folder));
  snprintf(file, sizeof file, "%s/file", folder);
  snprintf(link, sizeof link, "%s/link", folder);
  snprintf(pipe, sizeof pipe, "%s/pipe", folder);
  assert_int_equal(symlink("file", link), 0);
  assert_int_equal(mkd_file_save(link, "nowhere", 7), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "cannot follow this link"));
  assert_int_equal(mkd_file_save(file, "first", 5), MKD_OK);
  assert_int_equal(chmod(file, 0600), 0);
  assert_int_equal(mkd_file_save(link, "second", 6), MKD_OK);
  assert_int_equal(lstat(link, &info), 0);
  assert_true(S_ISLNK(info.st_mode));
  assert_int_equal(stat(file, &info), 0);
  assert_int_equal(info.st_mode & 0777, 0600);
  assert_int_equal(mk_file_read(&bytes, file, 100), MKD_OK);
  assert_int_equal(bytes.size, 6);
  mk_free(bytes.data);
  assert_int_equal(mkfifo(pipe, 0600), 0);
  assert_int_equal(mkd_file_save(pipe, "x", 1), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "is a device or a pipe"));
  snprintf(name, sizeof name, "%s/%0255d", folder, 0); /* no longer name is possible */
  assert_int_equal(mkd_file_save(name, "long", 4), MKD_OK);
  assert_int_equal(unlink(name), 0);
  assert_int_equal(unlink(pipe), 0);
  assert_int_equal(unlink(link), 0);
  assert_int_equal(unlink(file), 0);
  assert_int_equal(rmdir(folder), 0);
}

static void files_are_complete_or_absent(void **state)
{
  (void)state;
  char folder[] = "/tmp/mkd-core-XXXXXX";
  assert_non_null(mkdtemp(folder));
  char path[64];
  snprintf(path, sizeof path, "%s/file", folder);
  assert_int_equal(mkd_file_save(path, "first", 5), MKD_OK);
  mk_writer *writer;
  assert_int_equal(mk_writer_open(&writer, path), MKD_OK);
  assert_int_equal(mk_writer_write(writer, "second", 6), MKD_OK);
  mk_writer_abort(writer);
  mk_bytes bytes;
  assert_int_equal(mk_file_read(&bytes, path, 100), MKD_OK);
  assert_int_equal(bytes.size, 5);
  assert_memory_equal(bytes.data, "first", 5);
  mk_free(bytes.data);
  assert_int_equal(mk_file_read(&bytes, path, 4), MKD_ERROR_FILE);
  assert_int_equal(mk_file_read(&bytes, folder, 100), MKD_ERROR_FILE);
  assert_int_equal(mkd_file_save(folder, "x", 1), MKD_ERROR_FILE);
  assert_non_null(strstr(mkd_last_error(), "is a folder, not a file"));
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rmdir(folder), 0); /* nothing else was left behind */
  assert_int_equal(mkd_file_save(path, "x", 1), MKD_ERROR_FILE);
}

static void sha256_of_abc(void **state)
{
  (void)state;
  char hex[MK_SHA256_HEX];
  mk_sha256(hex, "abc", 3);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scratch_settles),
      cmocka_unit_test(error_text_can_wrap_itself),
      cmocka_unit_test(allocation_checks_overflow),
      cmocka_unit_test(pool_runs_every_index_once),
      cmocka_unit_test(random_numbers_repeat),
      cmocka_unit_test(files_have_no_name_before_they_are_complete),
      cmocka_unit_test(files_are_replaced_in_place),
      cmocka_unit_test(files_are_complete_or_absent),
      cmocka_unit_test(sha256_of_abc),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
