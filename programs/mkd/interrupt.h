/* SIGINT and SIGTERM ask the work to end in good order; a second one ends the program at once. */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include <stdbool.h>

void interrupt_install(void);
bool interrupted(void);

/* A descriptor that becomes readable with the signal, to wait on along with others; never read. */
int interrupt_descriptor(void);

#endif
