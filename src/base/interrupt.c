/* SPDX-License-Identifier: Apache-2.0 */
#include "base/interrupt.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t requested, patient;

static void handler(int number)
{
    if (requested && number != SIGUSR1 && !(patient && number == SIGINT))
        _exit(128 + number);
    requested = number;
}

/* What the caller's shell had ignored (nohup, a job in the background) stays ignored. */
static void take(int number, const struct sigaction *action)
{
    struct sigaction before;
    if (!sigaction(number, NULL, &before) && before.sa_handler != SIG_IGN)
        sigaction(number, action, NULL);
}

void interrupt_install(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    take(SIGINT, &action);
    take(SIGTERM, &action);
    take(SIGUSR1, &action);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file over the size limit is a failed write with its own line */
}

void interrupt_be_patient(void)
{
    patient = 1;
}

int interrupt_requested(void)
{
    return requested;
}

void interrupt_request(int signal_number)
{
    requested = signal_number;
}

void interrupt_clear(void)
{
    requested = 0;
}

int interrupt_check(struct error *err)
{
    int number = requested;
    if (!number)
        return 0;
    const char *name = number == SIGTERM ? "SIGTERM" : "SIGINT";
    return error_set(err, ERROR_INTERRUPTED, "interrupted by %s", number == SIGUSR1 ? "SIGUSR1" : name);
}
