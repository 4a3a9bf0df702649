/* Progress on standard error: a bar on a terminal, a line every few seconds elsewhere. Nothing
 * appears within the first second, so short work stays silent. One thread at a time. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <mkd/mkd.h>

typedef struct {
  bool enabled, terminal;
  bool bar;            /* one is on the screen now */
  double start, shown; /* when the work began, when something was shown last */
  const char *label;   /* put before all that is shown, or NULL */
} progress_bar;

/* `quiet` shows nothing but progress_note. */
progress_bar progress_start(bool quiet);

/* State of a training or calibration. */
void progress_stage(progress_bar *progress, const mkd_progress *state);

/* `done` images of `total` (0 = not known). */
void progress_count(progress_bar *progress, size_t done, size_t total);

/* A line of its own on standard error, quiet or not. */
__attribute__((format(printf, 2, 3))) void progress_note(progress_bar *progress, const char *format,
                                                         ...);

/* Takes the bar off the screen. */
void progress_end(progress_bar *progress);

#endif
