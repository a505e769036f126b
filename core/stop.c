/* Signals that ask the program to stop. */
#include "core/stop.h"

#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t wanted;

static void note(int signal_number) {
    if (wanted)
        _exit(128 + signal_number);
    wanted = 1;
}

void rg_stop_on_signals(void) {
    struct sigaction action = {.sa_handler = note};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool rg_stop_wanted(void) {
    return wanted;
}
