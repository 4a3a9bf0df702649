#include "interrupt.h"

#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t was_interrupted, is_at_once, is_over;
static const int signals[] = {SIGINT, SIGTERM};
enum { SIGNALS = sizeof signals / sizeof signals[0] };
static int wake[2] = {-1, -1};

static void on_signal(int signal_number)
{
  (void)signal_number;
  if (is_at_once) _exit(EXIT_INTERRUPTED);
  int error = errno;
  /* The next one, of either kind, finds the default action. */
  struct sigaction now;
  for (int i = 0; i < SIGNALS; ++i)
    if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == on_signal)
      signal(signals[i], SIG_DFL);
  was_interrupted = 1;
  ssize_t written = write(wake[1], "", 1);
  (void)written; /* the flag is what counts */
  errno = error;
}

void interrupt_install(void)
{
  if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0) wake[0] = wake[1] = -1;
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  struct sigaction before;
  for (int i = 0; i < SIGNALS; ++i) {
    /* A shell starts background jobs with SIGINT ignored; that is to stay so. */
    if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    sigaction(signals[i], &action, NULL);
  }
  /* A reader that went away, and a file that becomes too large, are noticed by the failing write.
   */
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

void interrupt_at_once(void)
{
  is_at_once = 1;
}

bool interrupted(void)
{
  return was_interrupted;
}

void end_waiting(void)
{
  is_over = 1;
  ssize_t written = write(wake[1], "", 1);
  (void)written; /* as in on_signal */
}

bool waiting_has_ended(void)
{
  return was_interrupted || is_over;
}

int interrupt_descriptor(void)
{
  return wake[0];
}
