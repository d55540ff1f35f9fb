/* SPDX-License-Identifier: Apache-2.0 */
/* An ask's tasks, from their beginning until the last is done. */
#include "serve/parts.h"

#include "base/mem.h"

int run_gone(const struct task *t)
{
    const struct prompt *p = t->user;
    return p->ask->failed.code || http_gone(p->ask->x);
}

void run_done(struct ask *a, const struct error *reason)
{
    if (reason && !a->failed.code)
        a->failed = *reason;
    if (!--a->n_left)
        a->finish(a);
}

static int submit(struct ask *a, struct error *err)
{
    struct task **tasks = mem_calloc((size_t)a->n_prompt, sizeof *tasks);
    if (!tasks)
        return error_set_nomem(err, (size_t)a->n_prompt * sizeof *tasks, "tasks");
    for (int i = 0; i < a->n_prompt; i++)
        tasks[i] = &a->prompts[i].task;
    a->n_left = a->n_prompt;
    int rc = worker_submit(a->api->worker, tasks, a->n_prompt, err);
    mem_free(tasks);
    return rc;
}

void run_ask(struct ask *a)
{
    struct error err = {0};
    int rc = submit(a, &err);
    if (rc)
        ask_refuse(a, rc == ERROR_UNAVAILABLE ? 429 : status_of(rc), NULL, &err);
}
