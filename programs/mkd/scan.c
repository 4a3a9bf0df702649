#include "scan.h"

#include "cli.h"
#include "interrupt.h"

#include <pthread.h>
#include <stdlib.h>

/* What the threads share. */
typedef struct {
  const scan_plan *scan;

  pthread_mutex_t input; /* guards `next` and the two counters; held while `next` blocks */
  size_t taken;          /* jobs handed out */
  bool exhausted;

  pthread_mutex_t output; /* guards the rest */
  pthread_cond_t turned;
  size_t turn; /* the job that may be delivered now */
  bool ended;  /* nothing is delivered any more */
  mkd_status status;
  char *error; /* text of `status` */
} scan_state;

typedef struct {
  scan_state *state;
  mkd_session *session;
  pthread_t thread;
} scan_worker;

static bool take_job(scan_state *state, scan_job *job, size_t *number)
{
  pthread_mutex_lock(&state->input);
  *job = (scan_job){0};
  if (!state->exhausted && (interrupted() || !state->scan->next(state->scan->context, job)))
    state->exhausted = true;
  bool taken = !state->exhausted;
  if (taken) *number = state->taken++;
  pthread_mutex_unlock(&state->input);
  return taken;
}

void scan_job_free(scan_job *job)
{
  mkd_picture_destroy(job->picture);
  free(job->path);
  free(job->name);
  free(job->mask);
  free(job->error);
  *job = (scan_job){0};
}

/* No further jobs. Not to be called with `output` held: a thread that blocks in `next` has `input`,
 * and results must go out meanwhile. */
static void stop_input(scan_state *state)
{
  pthread_mutex_lock(&state->input);
  state->exhausted = true;
  pthread_mutex_unlock(&state->input);
}

static bool hits_all(mkd_status status)
{
  return status != MKD_OK && status != MKD_ERROR_FILE && status != MKD_ERROR_DATA;
}

static void deliver_in_turn(scan_state *state, size_t number, const scan_job *job,
                            mkd_status status, const scan_outcome *outcome)
{
  const scan_plan *scan = state->scan;
  pthread_mutex_lock(&state->output);
  while (state->turn != number) pthread_cond_wait(&state->turned, &state->output);
  if (!state->ended) {
    if (!hits_all(status)) status = scan->deliver(scan->context, job, outcome);
    state->ended = status != MKD_OK;
    state->status = status;
    /* Texts of errors belong to threads, and this need not be the one that scan_run was called in.
     */
    if (status != MKD_OK) state->error = text_format("%s", mkd_last_error());
  }
  bool ended = state->ended;
  ++state->turn;
  pthread_cond_broadcast(&state->turned);
  pthread_mutex_unlock(&state->output);
  if (ended) end_waiting(); /* of a thread that has `input` until the next name comes */
  if (ended) stop_input(state);
}

/* Everything that can be done without waiting for the turn. */
static mkd_status process(const scan_worker *worker, scan_job *job, mkd_picture **mask,
                          mkd_result *result)
{
  const mkd_limits *limits = &worker->state->scan->limits;
  if (job->error) return mkd_set_error(job->status, job->error);
  mkd_status status = MKD_OK;
  if (!job->picture) status = mkd_picture_load(&job->picture, job->path, limits);
  if (status == MKD_OK && job->mask) status = mkd_picture_load(mask, job->mask, limits);
  if (status != MKD_OK) return status;
  const mkd_image *image = mkd_picture_image(job->picture);
  status = mkd_session_score(worker->session, image, result);
  if (status != MKD_OK) return status;
  return pictures_save(&worker->state->scan->pictures, job->name, image, result);
}

static void *work(void *argument)
{
  scan_worker *worker = argument;
  scan_job job;
  size_t number;
  while (take_job(worker->state, &job, &number)) {
    mkd_picture *mask = NULL;
    mkd_result result;
    mkd_status status = process(worker, &job, &mask, &result);
    scan_outcome outcome = {0};
    char *error = NULL;
    if (status == MKD_OK) {
      outcome.result = &result;
      outcome.image = mkd_picture_image(job.picture);
      outcome.mask = mask ? mkd_picture_image(mask) : NULL;
    } else {
      outcome.error = error = text_format("%s", mkd_last_error());
    }
    deliver_in_turn(worker->state, number, &job, status, &outcome);
    free(error);
    mkd_picture_destroy(mask);
    scan_job_free(&job);
  }
  return NULL;
}

/* The calling thread is the first worker. Threads that cannot be started are done without. */
static void work_together(scan_worker *workers, size_t count)
{
  size_t started = 1;
  while (started < count && thread_start(&workers[started].thread, work, &workers[started]))
    ++started;
  work(&workers[0]);
  for (size_t i = 1; i < started; ++i) pthread_join(workers[i].thread, NULL);
}

mkd_status scan_run(const scan_plan *scan)
{
  mkd_status status = MKD_OK;
  size_t threads = (size_t)(scan->session.threads > 0 ? scan->session.threads : core_count());
  size_t count = threads;
  if (scan->count > 0 && scan->count < threads) count = scan->count;
  mkd_session_options options = scan->session;
  options.threads = (int)(threads / count);

  scan_state state = {.scan = scan,
                      .input = PTHREAD_MUTEX_INITIALIZER,
                      .output = PTHREAD_MUTEX_INITIALIZER,
                      .turned = PTHREAD_COND_INITIALIZER};
  scan_worker *workers = must_grow(NULL, count, sizeof *workers);
  size_t ready = 0;
  while (status == MKD_OK && ready < count) {
    workers[ready] = (scan_worker){.state = &state};
    status = mkd_session_create(&workers[ready].session, scan->detector, &options);
    if (status == MKD_OK) ++ready;
  }
  if (status == MKD_OK) {
    work_together(workers, count);
    if (state.status != MKD_CANCELLED) status = state.status;
    if (status != MKD_OK) mkd_set_error(status, state.error);
    if (status == MKD_OK && interrupted()) status = MKD_CANCELLED;
  }
  for (size_t i = 0; i < ready; ++i) mkd_session_destroy(workers[i].session);
  free(workers);
  free(state.error);
  return status;
}
