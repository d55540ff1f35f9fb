/* SPDX-License-Identifier: Apache-2.0 */
/* SIGINT and SIGTERM as something that a server waits for, so that what is in flight is not interrupted by them. */
#include "serve/http.h"

#include <signal.h>
#include <time.h>

/* What the caller's shell had ignored stays ignored. */
static sigset_t wanted(void)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    struct sigaction before;
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < 2; i++)
        if (!sigaction(numbers[i], NULL, &before) && before.sa_handler != SIG_IGN)
            sigaddset(&set, numbers[i]);
    return set;
}

void http_block_signals(void)
{
    sigset_t set = wanted();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int http_wait_signal(double seconds)
{
    sigset_t set = wanted();
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    int number = sigtimedwait(&set, NULL, &time);
    return number > 0 ? number : 0;
}
