/* SPDX-License-Identifier: Apache-2.0 */
/* What a plain tuning is tuned on: the seeds (and real pairs, as many as an alignment kept) in the template, as the
 * method's own tuning has them. Pairs whose question is a test question are left out, as the method leaves them out. */
#include "experiment/parts.h"

#include "answer/seeds.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "text/template.h"
#include "train/train.h"

#include <string.h>

enum { STREAM_REAL_PAIRS = 0x7265616c }; /* beside the random seed: which real pairs are taken */

struct rows {
    struct template *template;
    struct tokenizer *tokenizer; /* of the model whose chat template that is; NULL: another template */
    struct model_desc desc;
    struct sift *test;
    struct seeds questions; /* of the test */
    struct buf text;
    int n, n_left_out, keep; /* keep: test questions too */
};

static int open_test(struct rows *r, const struct job *j, struct error *err)
{
    struct sift_options o;
    sift_options_default(&o);
    int rc = sift_new(&r->test, &o, err);
    rc = rc ? rc : seeds_read(&r->questions, j->test->path, 0, err);
    for (int i = 0; i < r->questions.n && !rc; i++)
        rc = sift_add(r->test, r->questions.items[i].question, i, err);
    return rc;
}

static int in_test(struct rows *r, const char *question, int *is, struct error *err)
{
    struct sift_match m = {-1, 0};
    int rc = sift_nearest(r->test, question, &m, err);
    *is = !rc && !r->keep && m.name >= 0 && (m.f1 >= 1 || !strcmp(r->questions.items[m.name].question, question));
    return rc;
}

static int put_row(struct rows *r, json_t *row, struct error *err)
{
    int rc = row ? jsontext_dump(&r->text, row, 0, err) : error_set_nomem(err, 256, "a row");
    buf_putc(&r->text, '\n');
    r->n++;
    json_decref(row);
    return rc;
}

/* Its tokens, as the method tunes on them: a chat template's own marks are in them. */
static int add_tokens(struct rows *r, const struct seed *pair, struct error *err)
{
    struct train_data data = {0};
    const struct row_maker make = {.data = &data, .tokenizer = r->tokenizer, .desc = &r->desc};
    int prompt = 0,
        rc = train_data_add_answer(&make, r->template, &(struct train_answer){pair->question, pair->answer, ""}, err);
    json_t *ids[2] = {json_array(), json_array()};
    const struct train_row *row = data.rows;
    while (!rc && data.n && !row->target[prompt])
        prompt++;
    for (int i = 0; !rc && data.n && i < row->n; i++)
        if (json_array_append_new(ids[i >= prompt], json_integer(row->ids[i])))
            rc = error_set_nomem(err, (size_t)row->n * 8, "a row");
    if (!rc && data.n)
        rc = put_row(
            r, json_pack("{s:i, s:O, s:O}", "id", r->n, "prompt_token_ids", ids[0], "completion_token_ids", ids[1]),
            err);
    json_decref(ids[0]);
    json_decref(ids[1]);
    train_data_free(&data);
    return rc;
}

static int add_row(struct rows *r, const struct seed *pair, struct error *err)
{
    struct buf prompt = BUF_INIT, completion = BUF_INIT;
    if (r->tokenizer)
        return add_tokens(r, pair, err);
    int rc = template_write(r->template, &(struct template_prompt){.question = pair->question}, &prompt, NULL, err);
    template_completion(r->template, pair->answer, &completion, NULL);
    json_t *row = rc || completion.failed ? NULL
                                          : json_pack("{s:i, s:s, s:s}", "id", r->n, "prompt", buf_text(&prompt),
                                                      "completion", buf_text(&completion));
    rc = rc ? rc : put_row(r, row, err);
    buf_free(&prompt);
    buf_free(&completion);
    return rc;
}

/* Those of list[order[i]] that are no test questions, until there are `most`. */
static int add_pairs(struct rows *r, const struct seeds *list, const uint32_t *order, int most, struct error *err)
{
    int rc = 0, n = 0, is = 0;
    for (int i = 0; i < list->n && n < most && !rc; i++) {
        const struct seed *pair = &list->items[order ? (int)order[i] : i];
        rc = in_test(r, pair->question, &is, err);
        r->n_left_out += is;
        if (!rc && !is) {
            rc = add_row(r, pair, err);
            n++;
        }
    }
    if (!rc && n < most && order)
        log_line(LOG_WARNING, "%d real pairs are wanted, as many as were kept; the file has %d", most, n);
    return rc;
}

static int add_real(struct rows *r, const struct job *j, int n, struct error *err)
{
    struct seeds real = {0};
    int rc = seeds_read(&real, j->pairs->path, 1, err);
    uint32_t *order = rc ? NULL : mem_alloc(((size_t)real.n + 1) * sizeof *order);
    if (!rc && !order)
        rc = error_set_nomem(err, (size_t)real.n * sizeof *order, "pairs");
    if (!rc) {
        rng_permutation(&(struct rng_stream){j->seed, STREAM_REAL_PAIRS, 0}, order, (uint32_t)real.n);
        rc = add_pairs(r, &real, order, n, err);
    }
    mem_free(order);
    seeds_free(&real);
    return rc;
}

static int open_chat(struct rows *r, const struct job *j, struct error *err)
{
    struct checkpoint *ck = NULL;
    int rc = checkpoint_open(&ck, j->model, err);
    rc = rc ? rc : model_desc_parse(&r->desc, checkpoint_config(ck), checkpoint_path(ck), err);
    rc = rc ? rc : tokenizer_open_of(&r->tokenizer, ck, err);
    rc = rc ? rc : template_chat(&r->template, r->tokenizer, j->system, err);
    checkpoint_close(ck);
    return rc;
}

int rows_write(const struct job *j, const char *path, int n_real, struct error *err)
{
    struct rows r = {.text = BUF_INIT, .keep = j->keep_overlap};
    struct seeds seeds = {0};
    int inline_template = j->template && *j->template == '{', chat = j->template && !strcmp(j->template, "chat");
    int rc = open_test(&r, j, err);
    if (!rc && inline_template)
        rc = template_read(&r.template, j->template, strlen(j->template), "template", err);
    else if (!rc && chat)
        rc = open_chat(&r, j, err);
    else if (!rc)
        rc = j->template ? template_load(&r.template, j->template, err) : template_builtin(&r.template, err);
    rc = rc ? rc : seeds_read(&seeds, j->seeds->path, 1, err);
    rc = rc ? rc : add_pairs(&r, &seeds, NULL, seeds.n, err);
    if (!rc && j->pairs)
        rc = add_real(&r, j, n_real, err);
    if (!rc && r.n_left_out)
        log_line(LOG_INFO, "%d pairs are test questions and left out", r.n_left_out);
    rc = rc ? rc : file_write(path, buf_text(&r.text), r.text.len, err);
    template_free(r.template);
    tokenizer_close(r.tokenizer);
    sift_free(r.test);
    seeds_free(&r.questions);
    seeds_free(&seeds);
    buf_free(&r.text);
    return rc;
}
