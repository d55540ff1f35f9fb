/* SPDX-License-Identifier: Apache-2.0 */
/* Generation for many attempts at once: one request each, and each text is put into the journal as it finishes. A request's random stream is named by round, phase
 * and attempt, so its text does not depend on what else runs. */
#include "method/parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

struct job {
    struct align *a;
    struct making *list;
    struct progress progress;
    int is_question;
    int (*put)(struct align *a, int index, const struct run_text *t, struct error *err);
    struct error *err;
};

static int finished(void *user, int i, const struct generate_result *result)
{
    struct job *j = user;
    struct making *m = &j->list[i];
    struct buf text = BUF_INIT;
    struct run_text t = {.contexts = m->contexts + m->prompt.dropped, .n_context = m->n_context - m->prompt.dropped, .dropped = m->prompt.dropped};
    if (result->error.code || result->n < 1) {
        t.error = result->error.code ? result->error.message : "nothing was generated";
    } else {
        const struct generate_sequence *s = &result->sequences[0];
        const char *raw = s->text ? s->text : "";
        int stopped = s->finish == FINISH_STOP, (*parse)(const struct template *, const char *, size_t, int, struct buf *);
        parse = j->is_question ? template_parse_question : template_parse_answer;
        t.ended = parse(j->a->template, raw, strlen(raw), stopped, &text);
        if (text.failed) {
            buf_free(&text);
            return error_set_nomem(j->err, text.len, "a text");
        }
        t.text = text.data ? text.data : "";
        t.ids = s->ids, t.logprobs = s->logprobs, t.n = s->n, t.score = (double)s->score;
        j->progress.tokens += s->n;
    }
    int rc = j->put(j->a, m->index, &t, j->err);
    j->progress.done++;
    progress_show(&j->progress);
    buf_free(&text);
    return rc;
}

int align_make(struct align *a, struct making *list, int n, int is_question, const char *stage,
               int (*put)(struct align *a, int index, const struct run_text *t, struct error *err), struct error *err)
{
    struct generate_request *requests = mem_calloc((size_t)n + 1, sizeof *requests);
    struct generate_engine *engine = NULL;
    struct job job = {a, list, {stage, "attempts", 0, n, clock_now(), 0, NULL}, is_question, put, err};
    const struct generate_options *options = is_question ? &a->o.ask : &a->o.answer;
    const char *stop = is_question ? template_ask_stop(a->template) : template_answer_stop(a->template);
    int rc = requests ? 0 : error_set_nomem(err, (size_t)n * sizeof *requests, "requests");
    for (int i = 0; i < n && !rc; i++) {
        struct generate_request *r = &requests[i];
        *r = (struct generate_request){.prompt = list[i].prompt.ids.ids, .n_prompt = (int)list[i].prompt.ids.n, .options = *options, .seed = a->o.seed,
                                       .key_a = (uint64_t)a->round * 8 + (is_question ? PHASE_ASK : PHASE_ANSWER), .key_b = (uint64_t)list[i].index};
        if (*stop && r->options.n_stop < GENERATE_MAX_STOP)
            snprintf(r->options.stop[r->options.n_stop++], sizeof r->options.stop[0], "%s", stop);
    }
    if (!rc && n)
        rc = generate_engine_new(&engine, a->model, a->tokenizer, a->o.engine.page ? &a->o.engine : NULL, err);
    if (!rc && n) {
        progress_show(&job.progress);
        rc = generate_run(engine, requests, n, finished, &job, err);
    }
    generate_engine_free(engine);
    mem_free(requests);
    return rc;
}
