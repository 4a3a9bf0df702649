#include "progress.h"

#include "cli.h"
#include "output.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_WIDTH = 20, LINE_SIZE = 256 };

progress_bar progress_start(bool quiet)
{
  double now = seconds_now();
  return (progress_bar){
      .enabled = !quiet, .terminal = isatty(STDERR_FILENO), .start = now, .shown = now};
}

static bool is_due(const progress_bar *progress)
{
  if (!progress->enabled) return false;
  double now = seconds_now(), interval = progress->terminal ? 0.1 : 5;
  return now - progress->start >= 1 && now - progress->shown >= interval;
}

static void add(char line[LINE_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(char line[LINE_SIZE], const char *format, ...)
{
  size_t length = strlen(line);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line + length, LINE_SIZE - length, format, arguments);
  va_end(arguments);
}

static void add_label(char line[LINE_SIZE], const progress_bar *progress)
{
  if (progress->label) add(line, "%s  ", progress->label);
}

static void add_time_left(char line[LINE_SIZE], double seconds)
{
  if (!isfinite(seconds) || seconds < 0 || seconds > 1e8) return;
  long left = (long)(seconds + 0.5);
  if (left >= 3600)
    add(line, "  %ld:%02ld:%02ld left", left / 3600, left / 60 % 60, left % 60);
  else
    add(line, "  %ld:%02ld left", left / 60, left % 60);
}

static void add_bar(char line[LINE_SIZE], double fraction)
{
  int filled = (int)(fraction * BAR_WIDTH);
  add(line, "[%.*s%.*s] %3d %%  ", filled, "####################", BAR_WIDTH - filled,
      "....................", (int)(100 * fraction));
}

static void show(progress_bar *progress, char line[LINE_SIZE])
{
  progress->shown = seconds_now();
  if (!progress->terminal) {
    plain_text(stderr, line);
    fputc('\n', stderr);
    return;
  }
  struct winsize window;
  size_t columns = 80;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1) columns = window.ws_col;
  if (columns < LINE_SIZE) line[columns - 1] = '\0';
  fputs("\r\033[K", stderr);
  plain_text(stderr, line);
  fflush(stderr);
  progress->bar = true;
}

static double fraction_of(double done, double total)
{
  return total > 0 ? fmin(done / total, 1) : 0;
}

void progress_stage(progress_bar *progress, const mkd_progress *state)
{
  static const char *const names[] = {[MKD_STAGE_READ] = "reading",
                                      [MKD_STAGE_TARGETS] = "targets",
                                      [MKD_STAGE_DISTILL] = "training",
                                      [MKD_STAGE_CALIBRATE] = "calibrating"};
  if (!is_due(progress)) return;
  char line[LINE_SIZE] = "";
  add_label(line, progress);
  add(line, "%-11s ", names[state->stage]);
  add_bar(line, fraction_of((double)state->done, (double)state->total));
  if (state->epochs > 0) add(line, "epoch %d/%d", state->epoch, state->epochs);
  if (isfinite(state->loss)) add(line, "  loss %.4g", state->loss);
  if (isfinite(state->held_out_loss)) add(line, "  held-out %.4g", state->held_out_loss);
  add_time_left(line, state->seconds_left);
  show(progress, line);
}

void progress_count(progress_bar *progress, size_t done, size_t total)
{
  if (!is_due(progress)) return;
  char line[LINE_SIZE] = "";
  add_label(line, progress);
  if (total == 0) {
    add(line, "%zu images", done);
  } else {
    double seconds = seconds_now() - progress->start;
    add_bar(line, fraction_of((double)done, (double)total));
    add(line, "%zu/%zu images", done, total);
    if (done > 0) add_time_left(line, seconds / (double)done * (double)(total - done));
  }
  show(progress, line);
}

void progress_note(progress_bar *progress, const char *format, ...)
{
  progress_end(progress);
  va_list arguments;
  va_start(arguments, format);
  char *text = text_format_list(format, arguments);
  va_end(arguments);
  plain_text(stderr, text);
  fputc('\n', stderr);
  free(text);
}

void progress_end(progress_bar *progress)
{
  if (progress->bar) fputs("\r\033[K", stderr);
  progress->bar = false;
}
