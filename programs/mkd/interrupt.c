#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t was_interrupted;
static int wake[2] = {-1, -1};

static void on_signal(int signal_number)
{
  (void)signal_number;
  int error = errno;
  was_interrupted = 1;
  ssize_t written = write(wake[1], "", 1);
  (void)written; /* the flag is what counts */
  errno = error;
}

void interrupt_install(void)
{
  if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0) wake[0] = wake[1] = -1;
  /* SA_RESETHAND: the second signal finds the default action. */
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_RESETHAND};
  sigemptyset(&action.sa_mask);
  struct sigaction before;
  const int signals[] = {SIGINT, SIGTERM};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; ++i) {
    /* A shell starts background jobs with SIGINT ignored; that is to stay so. */
    if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    sigaction(signals[i], &action, NULL);
  }
  signal(SIGPIPE, SIG_IGN); /* a reader that went away is noticed by the failing write */
}

bool interrupted(void)
{
  return was_interrupted;
}

int interrupt_descriptor(void)
{
  return wake[0];
}
