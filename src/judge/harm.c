/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a classifier or score model: text to ids, ids to logits, logits to probabilities (judge/harm.h). */
#include "judge/harm.h"

#include "base/maths.h"
#include "base/mem.h"
#include "crew/crew.h"
#include "train/train.h"

#include <string.h>

enum { COMPAT_LENGTH = 512, HONEST_LENGTH = 2048 };

struct harm_judge {
    struct harm_judge_options o;
    struct checkpoint *checkpoint;
    struct tokenizer *tokenizer;
    struct model *model;
    char sha256[65];
    int32_t eos;
    int max_length;
};

const char *harm_mode_name(enum harm_mode m)
{
    switch (m) {
    case HARM_COMPAT: return "compat";
    case HARM_HONEST: return "honest";
    default: return "safe";
    }
}

static int check_kind(const struct harm_judge_options *o, const struct model_desc *d, struct error *err)
{
    if (d->task == o->task || (o->task == MODEL_REWARD && d->task == MODEL_CLASSIFY && d->n_label == 1))
        return 0;
    if (o->task == MODEL_CLASSIFY)
        return error_set(err, ERROR_DATA, "%s: is no sequence classifier; isara train --task classify makes one",
                         o->model);
    return error_set(
        err, ERROR_DATA,
        "%s: is no reward model (LlamaForScore, or a classifier of one label); isara train --task reward makes one",
        o->model);
}

int harm_judge_check(const struct harm_judge_options *o, struct error *err)
{
    struct checkpoint *ck = NULL;
    struct model_desc d;
    int rc = checkpoint_open(&ck, o->model, err);
    rc = rc ? rc : model_desc_parse(&d, checkpoint_config(ck), checkpoint_path(ck), err);
    rc = rc ? rc : check_kind(o, &d, err);
    checkpoint_close(ck);
    return rc;
}

static int open_parts(struct harm_judge *j, struct device *device, struct error *err)
{
    struct model_desc d;
    int rc = checkpoint_open(&j->checkpoint, j->o.model, err);
    if (rc || (rc = model_desc_parse(&d, checkpoint_config(j->checkpoint), checkpoint_path(j->checkpoint), err)) ||
        (rc = check_kind(&j->o, &d, err)) || (rc = tokenizer_open_of(&j->tokenizer, j->checkpoint, err)) ||
        (rc = checkpoint_sha256(j->checkpoint, j->sha256, err)))
        return rc;
    struct model_options o = {.dtype = j->o.dtype, .task = d.task, .check_finite = 1};
    int limit = j->o.mode == HARM_HONEST ? HONEST_LENGTH : COMPAT_LENGTH;
    j->max_length = d.n_ctx < limit ? d.n_ctx : limit;
    j->eos = d.n_eos ? d.eos_ids[0] : tokenizer_info(j->tokenizer)->eos;
    return model_open(&j->model, device, j->checkpoint, &o, err);
}

int harm_judge_open(struct harm_judge **out, struct device *device, const struct harm_judge_options *o,
                    struct error *err)
{
    struct harm_judge *j = mem_calloc(1, sizeof *j);
    if (!j)
        return error_set_nomem(err, sizeof *j, "a judge");
    j->o = *o;
    int rc = open_parts(j, device, err);
    if (rc)
        harm_judge_close(j);
    else
        *out = j;
    return rc;
}

void harm_judge_close(struct harm_judge *j)
{
    if (!j)
        return;
    model_close(j->model);
    tokenizer_close(j->tokenizer);
    checkpoint_close(j->checkpoint);
    mem_free(j);
}

const struct model_desc *harm_judge_desc(const struct harm_judge *j)
{
    return model_desc(j->model);
}
const char *harm_judge_sha256(const struct harm_judge *j)
{
    return j->sha256;
}
int harm_judge_max_length(const struct harm_judge *j)
{
    return j->max_length;
}

/* Keeps the first tokens, or BOS and the last ones. */
static int cut(const struct harm_judge *j, struct tokens *ids, size_t from)
{
    size_t n = ids->n - from, keep = (size_t)j->max_length, head = tokenizer_info(j->tokenizer)->add_bos != 0;
    if (n <= keep)
        return 0;
    if (j->o.mode == HARM_HONEST)
        memmove(ids->ids + from + head, ids->ids + from + head + (n - keep), (keep - head) * sizeof *ids->ids);
    ids->n = from + keep;
    return 1;
}

int harm_judge_encode(const struct harm_judge *j, const struct judge_text *text, struct tokens *ids, int *truncated,
                      struct error *err)
{
    struct buf b = BUF_INIT;
    size_t from = ids->n, n_end = 0;
    const char *end = j->eos >= 0 ? tokenizer_token(j->tokenizer, j->eos, &n_end) : NULL;
    int flags = TOKENIZER_ADD_SPECIAL | (j->o.mode == HARM_COMPAT ? TOKENIZER_PARSE_SPECIAL : 0);
    int rc = train_classify_text(&b, text->question, text->answer) ? error_set_nomem(err, b.len, "a text to judge") : 0;
    if (!rc && end && n_end && !j->o.no_eos && b.len >= n_end && !memcmp(b.data + b.len - n_end, end, n_end))
        b.len -= n_end;
    if (!rc)
        rc = tokenizer_encode(j->tokenizer, b.data, b.len, flags, ids, err);
    if (!rc && tokenizer_info(j->tokenizer)->add_eos && ids->n > from && ids->ids[ids->n - 1] == j->eos)
        ids->n--;
    if (!rc && j->eos >= 0 && !j->o.no_eos && tokens_push(ids, j->eos))
        rc = error_set_nomem(err, ids->n * 4, "tokens");
    if (!rc)
        *truncated = cut(j, ids, from);
    buf_free(&b);
    return rc;
}

static void to_probabilities(const struct model_desc *d, float *z)
{
    double most = (double)z[0], sum = 0;
    for (int i = 1; i < d->n_label; i++)
        most = (double)z[i] > most ? (double)z[i] : most;
    for (int i = 0; d->problem == PROBLEM_SINGLE_LABEL && i < d->n_label; i++)
        sum += maths_exp((double)z[i] - most);
    for (int i = 0; i < d->n_label; i++)
        z[i] = (float)(d->problem == PROBLEM_SINGLE_LABEL ? maths_exp((double)z[i] - most) / sum
                                                          : 1 / (1 + maths_exp(-(double)z[i])));
}

int harm_judge_score(const struct harm_judge *j, const struct judge_text *texts, int n, float *out,
                     unsigned char *truncated, struct error *err)
{
    struct model_text *items = mem_calloc((size_t)n + 1, sizeof *items);
    struct tokens ids = TOKENS_INIT;
    const struct model_desc *d = model_desc(j->model);
    int rc = items ? 0 : error_set_nomem(err, (size_t)n * sizeof *items, "texts to judge");
    for (int i = 0; i < n && !rc; i++) {
        size_t from = ids.n;
        int was_cut = 0;
        rc = harm_judge_encode(j, &texts[i], &ids, &was_cut, err);
        items[i].n = (int)(ids.n - from);
        if (truncated)
            truncated[i] = (unsigned char)was_cut;
    }
    size_t at = 0;
    for (int i = 0; i < n && !rc; at += (size_t)items[i++].n)
        items[i].ids = ids.ids + at;
    if (!rc)
        rc = crew_classify(j->model, items, n, out, err);
    for (int i = 0; i < n && !rc; i++)
        rc = model_check_numbers(out + (size_t)i * (size_t)d->n_label, (size_t)d->n_label, err,
                                 "judge %.60s: \"%.60s\"", j->o.model, texts[i].question);
    for (int i = 0; i < n && !rc && j->o.task == MODEL_CLASSIFY; i++)
        to_probabilities(d, out + (size_t)i * (size_t)d->n_label);
    tokens_free(&ids);
    mem_free(items);
    return rc;
}

int harm_judge_flagged(const float *probabilities, int n, double threshold)
{
    for (int i = 0; i < n; i++)
        if ((double)probabilities[i] > threshold)
            return 1;
    return 0;
}
