/* Ctrl-C and its like: the first asks for a clean stop, the second ends the process at once. */
#ifndef LT_CLI_SIGNALS_H
#define LT_CLI_SIGNALS_H

#include <signal.h>

/* The number of the signal that asked for a stop; 0: none did. It is the context's cancel flag. */
extern volatile sig_atomic_t lt_stopped_by;
void lt_signals_watch(void); /* once, before other threads start */

#endif
