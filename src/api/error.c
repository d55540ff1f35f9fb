/* SPDX-License-Identifier: Apache-2.0 */
/* Errors, messages and the wish to stop, across the border. */
#include "api/parts.h"

#include "base/build.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"

#include <signal.h>
#include <string.h>

_Static_assert((int)ISARA_CONFIG == (int)ERROR_CONFIG && (int)ISARA_INTERRUPTED == (int)ERROR_INTERRUPTED &&
                   (int)ISARA_FAILED == (int)ERROR_FAILED,
               "codes are the same");
_Static_assert((int)ISARA_WARNING == (int)LOG_WARNING, "levels are the same");
_Static_assert(sizeof(struct isara_error) == sizeof(struct error), "messages have the same room");

int api_return(struct isara_error *to, int code, const struct error *from)
{
    if (!to)
        return code;
    to->code = code;
    memcpy(to->message, from->message, sizeof to->message);
    if (!code)
        to->message[0] = 0;
    return code;
}

const char *isara_version(void)
{
    return build_name;
}

void isara_free(void *memory)
{
    mem_free(memory);
}

static struct isara_listener listener;

static void line(void *user, enum log_level level, const char *text)
{
    (void)user;
    if (listener.line)
        listener.line(listener.user, (enum isara_level)level, text);
}

static void progress(void *user, const struct progress *p)
{
    (void)user;
    if (listener.progress)
        listener.progress(listener.user,
                          &(struct isara_progress){p->stage, p->unit, p->done, p->total, p->tokens, p->note});
}

void isara_listen(const struct isara_listener *l)
{
    static const struct log_sink sink = {line, progress, NULL};
    listener = l ? *l : (struct isara_listener){0};
    log_set_sink(l ? &sink : NULL);
}

void isara_interrupt(void)
{
    interrupt_request(SIGINT);
}

void isara_resume(void)
{
    interrupt_clear();
}
