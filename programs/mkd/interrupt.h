/* SIGINT and SIGTERM ask the work to end in good order; a second one ends the program at once. */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include <stdbool.h>

void interrupt_install(void);
bool interrupted(void);

/* For verbs that leave nothing half done: from now on, the first signal ends the program. */
void interrupt_at_once(void);

/* Ends waiting for standard input, in whichever thread: by an interrupt, or as its results are no
 * longer wanted. */
void end_waiting(void);
bool waiting_has_ended(void);

/* A descriptor that becomes readable then, to wait on along with others; never read. */
int interrupt_descriptor(void);

#endif
