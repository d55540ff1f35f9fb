/* SPDX-License-Identifier: Apache-2.0 */
/* What a rank that serves has: models, and rank 0's ear. */
#include "crew/parts.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "dist/dist.h"

#include <string.h>

int server_answer(struct server *s, struct error *err)
{
    return s->out.failed ? error_set_nomem(err, s->out.len, "a message") : dist_post(0, s->out.data, s->out.len, err);
}

/* The signal is rank 0's affair. */
static int pass_signal(struct server *s, struct error *err)
{
    int number = interrupt_requested();
    if (!number)
        return 0;
    interrupt_clear();
    wire_begin(&s->out, WORD_SIGNAL);
    wire_put_int(&s->out, number);
    return server_answer(s, err);
}

int server_hear(struct server *s, struct wire *w, enum crew_word *word, int wait, struct error *err)
{
    int rank, rc;
    *word = WORD_NONE;
    do {
        rc = dist_take(&s->in, &rank, wait, err);
        if (!rc && rank >= 0)
            *word = wire_read(w, &s->in);
        rc = rc ? rc : pass_signal(s, err);
    } while (!rc && wait && *word == WORD_NONE);
    return rc;
}

struct served_model *server_place(struct server *s, uint64_t number)
{
    int i = 0;
    while (i < SERVED_MODELS && s->models[i].number != number)
        i++;
    return i < SERVED_MODELS ? &s->models[i] : NULL;
}

struct served_model *server_model(struct server *s, uint64_t number, struct error *err)
{
    struct served_model *m = number ? server_place(s, number) : NULL;
    if (!m)
        error_set(err, ERROR_INTERNAL, "model %llu is not open here", (unsigned long long)number);
    return m;
}

int server_tokenizer(struct served_model *m, const char *path, struct error *err)
{
    if (!path || (m->tokenizer_path && !strcmp(path, m->tokenizer_path)))
        return 0;
    tokenizer_close(m->tokenizer);
    mem_free(m->tokenizer_path);
    m->tokenizer = NULL;
    m->tokenizer_path = mem_strdup(path);
    int rc =
        m->tokenizer_path ? tokenizer_open(&m->tokenizer, path, err) : error_set_nomem(err, strlen(path), "a path");
    if (rc) { /* it is not there for the next one that asks either */
        mem_free(m->tokenizer_path);
        m->tokenizer_path = NULL;
    }
    return rc;
}

void server_drop(struct served_model *m)
{
    if (!m)
        return;
    model_close(m->model);
    tokenizer_close(m->tokenizer);
    checkpoint_close(m->checkpoint);
    mem_free(m->tokenizer_path);
    *m = (struct served_model){0};
}
