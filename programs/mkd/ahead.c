#include "ahead.h"

#include "cli.h"

static void *load(void *argument)
{
  job_ahead *ahead = argument;
  scan_job *job = &ahead->job;
  job->status = mkd_picture_load(&job->picture, job->path, &ahead->limits);
  if (job->status != MKD_OK) job->error = text_format("%s", mkd_last_error());
  return NULL;
}

void ahead_start(job_ahead *ahead)
{
  ahead->running = !ahead->job.error && thread_start(&ahead->thread, load, ahead);
}

void ahead_finish(job_ahead *ahead)
{
  if (ahead->running) pthread_join(ahead->thread, NULL);
  ahead->running = false;
}
