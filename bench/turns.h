/* One side of a comparison: a process that is set up once and then works when it is its turn, so
 * that two programs can be timed in alternation while both stay loaded.
 *
 * It prints "ready", and then answers each line "N" on standard input by a line with the
 * milliseconds of N repetitions. It ends with the input. */
#ifndef BENCH_TURNS_H
#define BENCH_TURNS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static inline void give_up(const char *what, const char *why)
{
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

/* Waits for the next turn: false at the end of the input. */
static inline bool next_turn(int *repetitions)
{
  char line[32];
  fflush(stdout);
  if (!fgets(line, sizeof line, stdin)) return false;
  *repetitions = atoi(line);
  return true;
}

/* Does the work once; returns the milliseconds of the part that counts. */
typedef double repetition(void *context);

static inline void take_turns(repetition *run, void *context)
{
  int repetitions;
  puts("ready");
  while (next_turn(&repetitions)) {
    for (int i = 0; i < repetitions; ++i) printf("%.4f ", run(context));
    putchar('\n');
  }
}

/* Raw fp32 files, as both sides of a comparison read and write them. */
static inline float *read_floats(const char *path, size_t count)
{
  FILE *file = fopen(path, "rb");
  float *values = malloc(count * sizeof *values);
  if (!file || !values || fread(values, sizeof *values, count, file) != count)
    give_up(path, "is no file of as many numbers as are needed");
  fclose(file);
  return values;
}

static inline void write_floats(const char *path, const float *values, size_t count)
{
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(values, sizeof *values, count, file) != count || fclose(file) != 0)
    give_up(path, "cannot be written");
}

#endif
