/* SPDX-License-Identifier: MIT */
/* The signals that request cancellation. */
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

static void note_repeatedly(int signal_number) {
    (void)signal_number;
    wanted = 1;
}

void rg_stop_on_sigterm(void) {
    struct sigaction action = {.sa_handler = note_repeatedly};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGINT, SIG_IGN);
}

bool rg_stop_wanted(void) {
    return wanted;
}
