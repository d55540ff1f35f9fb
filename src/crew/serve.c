/* SPDX-License-Identifier: Apache-2.0 */
/* A rank that serves: it waits for a word of rank 0 and does it. What fails here is told there. */
#include "crew/parts.h"

#include "dist/dist.h"

#include <string.h>
#include <unistd.h>

static const char *host_name(char *name, size_t size)
{
    if (gethostname(name, size - 1))
        name[0] = 0;
    return name;
}

static int open_model(struct server *s, struct wire *w, struct error *err)
{
    char host[256] = "";
    uint64_t number = (uint64_t)wire_get_int(w);
    const char *path = wire_get_text(w), *adapter = wire_get_text(w);
    const struct model_origin o = {number, (char *)path, (char *)adapter, {0}};
    struct model_options options;
    struct buf print = BUF_INIT;
    wire_get(w, &options, sizeof options);
    int compare = (int)wire_get_int(w);
    struct served_model *m = path ? server_place(s, 0) : NULL;
    if (!m)
        return error_set(err, ERROR_INTERNAL, "too many models are open");
    m->number = number;
    int rc = crew_open_origin(&m->checkpoint, &o, err);
    rc = rc ? rc : model_open(&m->model, s->device, m->checkpoint, &options, err);
    if (!rc && compare)
        rc = crew_fingerprint(m->checkpoint, &print, err);
    wire_begin(&s->out, WORD_READY);
    wire_put_text(&s->out, host_name(host, sizeof host));
    wire_put_text(&s->out, device_isa(s->device));
    wire_put_text(&s->out, buf_text(&print));
    buf_free(&print);
    if (rc)
        server_drop(m);
    return rc ? rc : server_answer(s, err);
}

static int obey(struct server *s, enum crew_word word, struct wire *w, struct error *err)
{
    switch (word) {
    case WORD_OPEN: return open_model(s, w, err);
    case WORD_DROP: server_drop(server_model(s, (uint64_t)wire_get_int(w), NULL)); return 0;
    case WORD_GENERATE: return server_generate(s, w, err);
    case WORD_TEXTS: return server_texts(s, w, err);
    case WORD_TRAIN: return server_train(s, w, err);
    default: /* what is left of a session that failed here */ return 0;
    }
}

static int tell_failure(struct server *s, const struct error *failure, struct error *err)
{
    char host[256] = "";
    wire_begin(&s->out, WORD_FAILED);
    wire_put_int(&s->out, failure->code);
    wire_put_text(&s->out, host_name(host, sizeof host));
    wire_put_text(&s->out, failure->message);
    return server_answer(s, err);
}

int crew_serve(const struct device_options *device, int *code, struct error *err)
{
    struct server s = {.in = BUF_INIT, .out = BUF_INIT};
    enum crew_word word = WORD_NONE;
    struct wire w = {0};
    int rc = device_open(&s.device, DEVICE_CPU, device, err);
    while (!rc && !(rc = server_hear(&s, &w, &word, 1, err)) && word != WORD_END) {
        struct error failure = {0};
        int failed = obey(&s, word, &w, &failure);
        if (failed && !dist_agreed()) {
            failure.code = failed;
            rc = tell_failure(&s, &failure, err);
        }
    }
    *code = rc ? 0 : (int)wire_get_int(&w);
    if (!rc)
        dist_end_together();
    for (int i = 0; i < SERVED_MODELS; i++)
        server_drop(&s.models[i]);
    device_close(s.device);
    buf_free(&s.in);
    buf_free(&s.out);
    return rc;
}
