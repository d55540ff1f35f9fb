/* SPDX-License-Identifier: Apache-2.0 */
#include "answer/answers.h"

#include "base/fields.h"
#include "base/mem.h"
#include "generate/fields.h"

#include <string.h>

struct answers {
    struct speaker speaker;
    struct seeds seeds;
    struct pair_pool pool; /* all seeds */
    enum context_kind arm;
    int k;
    struct generate_options decode;
    struct questions questions; /* whose contexts these are; n 0: none yet */
    struct contexts contexts;
};

void answers_options_default(struct answers_options *o)
{
    *o = (struct answers_options){.k = 5, .speaker.dtype = DTYPE_BF16};
    generate_options_default(&o->decode);
}

static int read_seeds(struct answers *a, struct record_source source, struct error *err)
{
    int rc = seeds_read_fields(&a->seeds, source, 1, err);
    rc = rc ? rc : pairs_set(&a->pool, &(struct pair_source){.seeds = a->seeds.items, .n_given = a->seeds.n}, err);
    return rc || a->arm == CONTEXTS_NONE ? rc
                                         : pairs_check_room(&a->pool, &a->speaker, a->k, a->decode.max_new_tokens, err);
}

static int open_parts(struct answers *a, struct device *device, const struct answers_options *o, struct error *err)
{
    struct generate_options with_stop;
    int rc = speaker_open(&a->speaker, device, &o->speaker, err);
    rc = rc ? rc : speaker_decoding(&a->speaker, 0, &a->decode, &with_stop, err);
    if (rc)
        return rc;
    speaker_end_ids(&a->speaker, 0, &a->decode);
    if (o->arm != CONTEXTS_NONE && !o->seeds.path)
        return error_set(err, ERROR_USAGE,
                         "in-context arms need --seeds: question-answer pairs to put before each question");
    if (o->seeds.path && (rc = read_seeds(a, o->seeds, err)))
        return rc;
    return speaker_hash(&a->speaker, err);
}

int answers_open(struct answers **out, struct device *device, const struct answers_options *o, struct error *err)
{
    struct answers *a = mem_calloc(1, sizeof *a);
    if (!a)
        return error_set_nomem(err, sizeof *a, "answers");
    a->arm = o->arm;
    a->k = o->k;
    a->decode = o->decode;
    int rc = open_parts(a, device, o, err);
    if (rc)
        answers_close(a);
    else
        *out = a;
    return rc;
}

void answers_close(struct answers *a)
{
    if (a) {
        contexts_free(&a->contexts);
        pairs_free(&a->pool);
        seeds_free(&a->seeds);
        speaker_close(&a->speaker);
    }
    mem_free(a);
}

const struct tokenizer *answers_tokenizer(const struct answers *a)
{
    return a->speaker.tokenizer;
}

const char *answers_arm_name(enum context_kind arm)
{
    static const char *const names[] = {"zero-shot", "icl-knn", "icl-random"};
    return names[arm];
}

json_t *answers_settings(const struct answers *a)
{
    json_t *s = json_object();
    const struct prompt_style *style = a->speaker.o.style;
    int rc = !s || speaker_settings(&a->speaker, s) || fields_put(&generate_fields, "answer-", &a->decode, s);
    rc = rc || json_object_set_new(s, "k", json_integer(a->k)) ||
         json_object_set_new(s, "seeds-sha256", json_string(a->seeds.sha256));
    rc = rc || json_object_set_new(s, "arm", json_string(answers_arm_name(a->arm)));
    rc = rc || json_object_set_new(s, "prompt-style", json_string(style ? style->name : "template"));
    if (rc)
        json_decref(s);
    return rc ? NULL : s;
}

struct model *answers_model(struct answers *a, struct error *err)
{
    return speaker_load_pretrained(&a->speaker, err) ? NULL : a->speaker.model;
}

/* Kept for the next call with the same questions. */
static int find_contexts(struct answers *a, const struct questions *q, struct error *err)
{
    const struct pair_query query = {q->texts, q->n, a->k};
    if (a->questions.texts == q->texts && a->questions.n == q->n)
        return 0;
    contexts_free(&a->contexts);
    a->questions = (struct questions){NULL, 0};
    int rc = contexts_find(&a->contexts, &a->pool, &a->speaker, a->arm, &query, err);
    if (!rc)
        a->questions = *q;
    return rc;
}

static struct speak_item item_of(const struct answers *a, int question, const char *answer)
{
    const struct contexts *c = &a->contexts;
    return (struct speak_item){question, a->questions.texts[question], c->cells + (size_t)question * (size_t)c->k,
                               c->n[question], answer};
}

int answers_generate(struct answers *a, const struct questions *q, const char *skip,
                     int (*put)(void *user, int i, const struct spoken *answer, struct error *err), void *user,
                     struct error *err)
{
    const struct speak_job job = {.stage = "answer",
                                  .unit = "answers",
                                  .pool = &a->pool,
                                  .options = &a->decode,
                                  .stream = STREAM_EVALUATE,
                                  .put = put,
                                  .user = user};
    struct speak_item *items = mem_calloc((size_t)q->n + 1, sizeof *items);
    int m = 0, rc = items ? find_contexts(a, q, err) : error_set_nomem(err, (size_t)q->n * sizeof *items, "questions");
    for (int i = 0; i < q->n && !rc; i++)
        if (!skip || !skip[i])
            items[m++] = item_of(a, i, NULL);
    rc = rc ? rc : speaker_generate(&a->speaker, &job, items, m, err);
    mem_free(items);
    return rc;
}

int answers_score(struct answers *a, const struct questions *q, const struct answers_pair *pairs, int n_pair,
                  struct speak_score *out, struct error *err)
{
    struct speak_item *items = mem_calloc((size_t)n_pair + 1, sizeof *items);
    int rc = items ? find_contexts(a, q, err) : error_set_nomem(err, (size_t)n_pair * sizeof *items, "answers");
    for (int i = 0; i < n_pair && !rc; i++)
        items[i] = item_of(a, pairs[i].question, pairs[i].answer);
    rc =
        rc ? rc : speaker_score(&a->speaker, &(struct score_job){.pool = &a->pool, .room = 1}, items, n_pair, out, err);
    mem_free(items);
    return rc;
}
