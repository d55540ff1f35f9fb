/* SPDX-License-Identifier: Apache-2.0 */
/* Training rows. A row is tokens and a mask: which of them are trained. The end-of-sequence token that closes a text is
 * trained like any other, padding never exists. Prompt and completion are tokenised as text/pair.h has it: the prompt's
 * tokens are those that generation will see. */
#include "train/parts.h"

#include "base/hash.h"
#include "base/mem.h"

#include <string.h>

void train_data_free(struct train_data *data)
{
    for (int i = 0; i < data->n; i++) {
        mem_free(data->rows[i].ids);
        mem_free(data->rows[i].target);
        mem_free(data->rows[i].rejected);
        mem_free(data->rows[i].soft.ids);
        mem_free(data->rows[i].soft.logprobs);
    }
    mem_free(data->rows);
    *data = (struct train_data){0};
}

/* Room for one more; the array doubles at powers of two. */
static struct train_row *new_row(struct train_data *data)
{
    if ((data->n & (data->n - 1)) == 0) {
        struct train_row *rows = mem_resize(data->rows, (size_t)(data->n ? 2 * data->n : 1) * sizeof *rows);
        if (!rows)
            return NULL;
        data->rows = rows;
    }
    return &data->rows[data->n];
}

static int check_ids(const struct model_desc *d, const int32_t *ids, int n, struct error *err)
{
    for (int i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= d->n_vocab)
            return error_set(err, ERROR_DATA, "token id %d at %d is outside of the vocabulary of %d", (int)ids[i], i,
                             d->n_vocab);
    return 0;
}

static int cut_to(const struct row_maker *m, int n)
{
    int context = m->desc->n_ctx, limit = m->max_length > 0 && m->max_length < context ? m->max_length : context;
    m->data->n_truncated += n > limit;
    return n > limit ? limit : n;
}

struct given_ids {
    const int32_t *ids;
    const uint8_t *mask; /* NULL: everything from n_prompt on is a target */
    int n, n_prompt;
};

static int is_target(const struct given_ids *g, int i)
{
    return g->mask ? g->mask[i] != 0 : i >= g->n_prompt;
}

static int add_row(const struct row_maker *m, const struct given_ids *g, const char *id, struct error *err)
{
    struct train_data *data = m->data;
    int lm = m->desc->task == MODEL_LM, targets = 0, rc = check_ids(m->desc, g->ids, g->n, err);
    if (rc)
        return rc;
    int n = cut_to(m, g->n);
    for (int i = 1; lm && i < n; i++)
        targets += is_target(g, i);
    if (!lm)
        targets = n > 0;
    if (targets < 1) {
        data->n_dropped++;
        return 0;
    }
    struct train_row *r = new_row(data);
    int32_t *copy = mem_alloc((size_t)n * sizeof *copy);
    uint8_t *target = mem_calloc((size_t)n, 1);
    if (!r || !copy || !target) {
        mem_free(copy);
        mem_free(target);
        return error_set_nomem(err, (size_t)n * 5, "a training row");
    }
    memcpy(copy, g->ids, (size_t)n * sizeof *copy);
    for (int i = 1; lm && i < n; i++)
        target[i] = (uint8_t)is_target(g, i);
    *r = (struct train_row){.ids = copy, .target = target, .n = n};
    snprintf(r->id, sizeof r->id, "%s", id);
    data->n++;
    data->n_token += n;
    data->n_target += targets;
    return 0;
}

int train_data_add_ids(const struct row_maker *m, const int32_t *ids, int n, int n_prompt, const char *id,
                       struct error *err)
{
    return add_row(m, &(struct given_ids){.ids = ids, .n = n, .n_prompt = n_prompt}, id, err);
}

int train_data_add_masked(const struct row_maker *m, const int32_t *ids, const uint8_t *target, int n, const char *id,
                          struct error *err)
{
    return add_row(m, &(struct given_ids){.ids = ids, .mask = target, .n = n}, id, err);
}

/* What trl appends: the tokenizer's. The list of generation_config.json says where to stop, not what to write. */
static int32_t end_of_text(const struct tokenizer *t, const struct model_desc *d)
{
    int32_t eos = tokenizer_info(t)->eos;
    return eos < 0 && d->n_eos ? d->eos_ids[0] : eos;
}

/* Length of text without the end token's own spelling at its end: trl appends one only when there is none. */
static size_t length_before_end(const struct tokenizer *t, int32_t eos, const char *text, size_t n)
{
    size_t length = 0;
    const char *token = eos < 0 ? NULL : tokenizer_token(t, eos, &length);
    return token && length && n >= length && !memcmp(text + n - length, token, length) ? n - length : n;
}

static int flags_of(const struct train_text *text)
{
    return text->whole ? TOKENIZER_PARSE_SPECIAL : TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL;
}

/* Ids of a text that begins a row: what the tokenizer puts in front, and nothing behind. */
static int encode_start(const struct tokenizer *t, const struct pair_text *x, int flags, struct tokens *out,
                        struct error *err)
{
    int rc = tokenizer_encode_mixed(t, x, flags, out, err);
    if (!rc && flags & TOKENIZER_ADD_SPECIAL)
        out->n = pair_without_end(t, out->ids, out->n);
    return rc;
}

/* Ids of a prompt as generate has them: a tokenizer that ends every text with EOS ends this one too. */
static int encode_prompt(const struct tokenizer *t, const struct train_text *text, struct tokens *out,
                         struct error *err)
{
    const struct pair_text *x = &text->prompt;
    if (text->continued)
        return encode_start(t, x, flags_of(text), out, err);
    return tokenizer_encode_mixed(t, x, flags_of(text), out, err);
}

/* The completion's ids behind the prompt's. */
static int encode_rest_of_row(const struct tokenizer *t, const struct train_text *text,
                              const struct pair_text *completion, struct tokens *ids, int *apart, struct error *err)
{
    struct tokens rest = TOKENS_INIT;
    const struct text_pair pair = {.prompt = text->prompt,
                                   .completion = *completion,
                                   .prompt_ids = ids->ids,
                                   .n_prompt = text->continued ? ids->n : pair_without_end(t, ids->ids, ids->n),
                                   .flags = flags_of(text)};
    int rc = pair_encode_completion(t, &pair, &rest, apart, err);
    for (size_t i = 0; i < rest.n && !rc; i++)
        rc = tokens_push(ids, rest.ids[i]) ? error_set_nomem(err, ids->n * 4, "a training row") : 0;
    tokens_free(&rest);
    return rc;
}

int train_data_add(const struct row_maker *m, const struct train_text *text, struct error *err)
{
    const struct tokenizer *t = m->tokenizer;
    struct tokens ids = TOKENS_INIT;
    struct pair_text completion = text->completion;
    int32_t eos = text->whole ? -1 : end_of_text(t, m->desc);
    size_t n_prompt = 0;
    int apart = 0, kept = m->data->n, rc;
    completion.n = length_before_end(t, eos, completion.text, completion.n);
    if (text->prompt.n) {
        rc = encode_prompt(t, text, &ids, err);
        n_prompt = ids.n;
        if (!rc)
            rc = encode_rest_of_row(t, text, &completion, &ids, &apart, err);
    } else {
        rc = encode_start(t, &completion, flags_of(text), &ids, err);
    }
    if (!rc && eos >= 0 && tokens_push(&ids, eos))
        rc = error_set_nomem(err, ids.n * 4, "a training row");
    if (!rc)
        rc = train_data_add_ids(m, ids.ids, (int)ids.n, (int)n_prompt, text->id, err);
    m->data->n_boundary += !rc && apart && m->data->n > kept;
    tokens_free(&ids);
    return rc;
}

int train_data_add_plain(const struct row_maker *m, const char *text, const char *id, struct error *err)
{
    size_t n = strlen(text);
    struct text_span all = {0, n};
    const struct text_spans people = {&all, 1, 1};
    const struct train_text row = {.completion = {text, n, &people}, .prompt = {"", 0, NULL}, .id = id};
    return train_data_add(m, &row, err);
}

int train_data_add_pair(const struct row_maker *m, const char *chosen, const char *rejected, const char *id,
                        struct error *err)
{
    const struct tokenizer *t = m->tokenizer;
    struct train_data *data = m->data;
    struct tokens ids = TOKENS_INIT;
    int32_t eos = end_of_text(t, m->desc), *copy = NULL;
    size_t length = length_before_end(t, eos, rejected, strlen(rejected));
    struct text_span all = {0, length};
    const struct text_spans people = {&all, 1, 1};
    const int flags = TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL;
    int kept = data->n, n = 0, rc = encode_start(t, &(struct pair_text){rejected, length, &people}, flags, &ids, err);
    if (!rc && eos >= 0 && tokens_push(&ids, eos))
        rc = error_set_nomem(err, ids.n * 4, "a training row");
    if (!rc && !(rc = check_ids(m->desc, ids.ids, (int)ids.n, err)))
        rc = train_data_add_plain(m, chosen, id, err);
    if (!rc && data->n > kept) {
        n = cut_to(m, (int)ids.n);
        copy = mem_alloc((size_t)n * sizeof *copy + 1);
        rc = copy ? 0 : error_set_nomem(err, (size_t)n * 4, "a training row");
    }
    if (copy) {
        memcpy(copy, ids.ids, (size_t)n * sizeof *copy);
        data->rows[kept].rejected = copy;
        data->rows[kept].n_rejected = n;
        data->n_token += n;
    }
    tokens_free(&ids);
    return rc;
}

int train_classify_text(struct buf *out, const char *prompt, const char *response)
{
    buf_printf(out, "BEGINNING OF CONVERSATION: USER: %s ASSISTANT:%s", prompt, response);
    return out->failed ? -1 : 0;
}

int train_data_sha256(const struct train_data *data, char hex[65], struct error *err)
{
    struct sha256 *h = sha256_new();
    if (!h)
        return error_set_nomem(err, 64, "SHA-256");
    for (int i = 0; i < data->n; i++) {
        const struct train_row *r = &data->rows[i];
        int32_t head[2] = {r->n, r->label};
        sha256_add(h, head, sizeof head);
        sha256_add(h, r->ids, (size_t)r->n * sizeof *r->ids);
        if (r->n_rejected) {
            sha256_add(h, &r->n_rejected, sizeof r->n_rejected);
            sha256_add(h, r->rejected, (size_t)r->n_rejected * sizeof *r->rejected);
        }
        if (r->target)
            sha256_add(h, r->target, (size_t)r->n);
        if (r->soft.n_top) {
            size_t bytes = (size_t)row_targets(r, MODEL_LM) * (size_t)r->soft.n_top * 4;
            sha256_add(h, &r->soft.n_top, sizeof r->soft.n_top);
            sha256_add(h, r->soft.ids, bytes);
            sha256_add(h, r->soft.logprobs, bytes);
        }
    }
    sha256_finish(h, hex);
    return 0;
}
