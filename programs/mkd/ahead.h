/* Loads the picture of a job in a thread of its own while the caller is at something else. */
#ifndef AHEAD_H
#define AHEAD_H

#include "scan.h"

#include <pthread.h>

typedef struct {
  scan_job job;
  mkd_limits limits;
  bool running;
  pthread_t thread;
} job_ahead;

/* Begins to load the picture of ahead->job. Where no thread is to be had, it is left to the scan.
 * Pairs with ahead_finish; until then, `ahead` stays where it is. */
void ahead_start(job_ahead *ahead);

/* Waits. The job then has its picture, or the error that kept it from that. */
void ahead_finish(job_ahead *ahead);

#endif
