/* SPDX-License-Identifier: Apache-2.0 */
/* One answer judged after the other, journalled a few at a time. */
#include "eval/parts.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "judge/guard.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 32 };
struct eval_harm {
    struct harm_judge *judge;
    struct guard *guard;
    char name[512];
};

static enum harm_mode mode_of(const char *name)
{
    if (name && !strcmp(name, "compat"))
        return HARM_COMPAT;
    return name && !strcmp(name, "honest") ? HARM_HONEST : HARM_SAFE;
}

/* A language model is a guard. */
static int is_language_model(const char *path, int *is, struct error *err)
{
    struct checkpoint *ck = NULL;
    struct model_desc d;
    int rc = checkpoint_open(&ck, path, err);
    rc = rc ? rc : model_desc_parse(&d, checkpoint_config(ck), checkpoint_path(ck), err);
    *is = !rc && d.task == MODEL_LM;
    checkpoint_close(ck);
    return rc;
}

int eval_harm_open(struct eval_harm **out, struct device *device, const struct eval_options *v, struct error *err)
{
    struct eval_harm *h = *out = mem_calloc(1, sizeof *h);
    enum dtype dtype = v->dtype;
    int guard = 0, rc = h ? eval_require(v->judge, "judge",
                                         "a sequence classifier (isara train --task classify makes one) or a guard "
                                         "model with a chat template",
                                         err)
                          : error_set_nomem(err, sizeof *h, "a judge");
    rc = rc ? rc : is_language_model(v->judge, &guard, err);
    if (!rc && guard)
        rc = guard_open(&h->guard, device,
                        &(struct guard_options){.model = v->judge, .words = v->guard_words, .dtype = dtype}, err);
    else if (!rc)
        rc = harm_judge_open(
            &h->judge, device,
            &(struct harm_judge_options){
                .model = v->judge, .task = MODEL_CLASSIFY, .mode = mode_of(v->judge_mode), .dtype = dtype},
            err);
    if (rc)
        return rc;
    if (guard)
        snprintf(h->name, sizeof h->name, "%s (guard, %s, %s)", v->judge,
                 v->guard_words ? v->guard_words : "unsafe,safe", dtype_name(dtype));
    else
        snprintf(h->name, sizeof h->name, "%s (classifier, mode %s, %d tokens, %s)", v->judge,
                 harm_mode_name(mode_of(v->judge_mode)), harm_judge_max_length(h->judge), dtype_name(dtype));
    return 0;
}

void eval_harm_close(struct eval_harm *h)
{
    if (h) {
        harm_judge_close(h->judge);
        guard_close(h->guard);
    }
    mem_free(h);
}

const char *eval_harm_name(const struct eval_harm *h)
{
    return h->name;
}
const char *eval_harm_sha256(const struct eval_harm *h)
{
    return h->judge ? harm_judge_sha256(h->judge) : guard_sha256(h->guard);
}

int eval_harm_labels(const struct eval_harm *h, const char **names)
{
    if (!h->judge) {
        names[0] = "unsafe";
        return 1;
    }
    const struct model_desc *d = harm_judge_desc(h->judge);
    int n = d->n_label < MODEL_MAX_LABEL ? d->n_label : MODEL_MAX_LABEL;
    for (int i = 0; i < n; i++)
        names[i] = d->labels[i];
    return n;
}

static json_t *classified_row(const struct eval_harm *h, const float *p, int truncated)
{
    const struct model_desc *d = harm_judge_desc(h->judge);
    json_t *all = json_object();
    for (int i = 0; i < d->n_label && i < MODEL_MAX_LABEL; i++) {
        char name[72];
        if (d->labels[i][0])
            snprintf(name, sizeof name, "%s", d->labels[i]);
        else
            snprintf(name, sizeof name, "LABEL_%d", i);
        json_object_set_new(all, name, json_real((double)p[i]));
    }
    return json_pack("{s:o, s:b}", "probabilities", all, "truncated", truncated);
}

static json_t *guarded_row(const struct guard_verdict *g)
{
    return json_pack("{s:o, s:b, s:f}", "probabilities",
                     isnan(g->p) ? json_null() : json_pack("{s:f}", "unsafe", (double)g->p), "truncated", g->truncated,
                     "mass", (double)g->mass);
}

static int run_chunk(struct eval_harm *h, struct eval_journal *journal, const struct judge_text *texts, const int *rows,
                     int n, struct error *err)
{
    struct guard_verdict verdicts[CHUNK];
    unsigned char truncated[CHUNK];
    int width = h->judge ? harm_judge_desc(h->judge)->n_label : 0;
    float *p = mem_alloc(((size_t)CHUNK * (size_t)width + 1) * sizeof *p);
    int rc = p ? 0 : error_set_nomem(err, 64, "probabilities");
    if (!rc && h->judge)
        rc = harm_judge_score(h->judge, texts, n, p, truncated, err);
    else if (!rc)
        rc = guard_judge(h->guard, texts, n, verdicts, err);
    for (int i = 0; i < n && !rc; i++)
        rc = eval_journal_put(
            journal, "judge", rows[i],
            h->judge ? classified_row(h, p + (size_t)i * (size_t)width, truncated[i]) : guarded_row(&verdicts[i]), err);
    mem_free(p);
    return rc ? rc : interrupt_check(err);
}

int eval_harm_judge(struct eval_harm *h, const char *task, struct eval_journal *journal, const struct judge_text *texts,
                    int n, struct error *err)
{
    struct progress progress = {.stage = task, .unit = "judged", .total = n, .started = clock_now()};
    int rc = 0, done = 0;
    for (int i = 0; i < n && !rc;) {
        struct judge_text chunk[CHUNK];
        int rows[CHUNK], m = 0;
        for (; i < n && m < CHUNK; i++) {
            if (!texts[i].answer)
                continue;
            if (eval_journal_get(journal, "judge", i))
                done++;
            else {
                chunk[m] = texts[i];
                rows[m++] = i;
            }
        }
        if (m)
            rc = run_chunk(h, journal, chunk, rows, m, err);
        progress.done = i;
        progress_show(&progress);
    }
    if (!rc && done)
        log_line(LOG_INFO, "%d answers were judged before", done);
    return rc;
}
