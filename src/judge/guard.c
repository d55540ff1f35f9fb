/* SPDX-License-Identifier: Apache-2.0 */
/* Guard models (judge/guard.h). */
#include "judge/guard.h"

#include "base/maths.h"
#include "base/mem.h"
#include "crew/crew.h"
#include "text/chat.h"

#include <math.h>
#include <string.h>

struct guard {
    struct checkpoint *checkpoint;
    struct tokenizer *tokenizer;
    struct model *model;
    struct chat *chat;
    char sha256[65];
    char words[2][32]; /* unsafe, safe */
    int32_t ids[2];
};

static int read_words(struct guard *g, const char *words, struct error *err)
{
    const char *comma = strchr(words, ',');
    size_t n = comma ? (size_t)(comma - words) : 0;
    if (!n || n >= sizeof g->words[0] || !comma[1] || strlen(comma + 1) >= sizeof g->words[1])
        return error_set(err, ERROR_USAGE,
                         "--guard-words: wanted two words with a comma between, such as unsafe,safe; found \"%s\"",
                         words);
    memcpy(g->words[0], words, n);
    snprintf(g->words[1], sizeof g->words[1], "%s", comma + 1);
    return 0;
}

/* What the user wrote must not close a turn: a special token spelled in question or answer gets a blank after its
 * first character. */
static json_t *plain(const struct guard *g, const char *text)
{
    struct buf b = BUF_INIT;
    size_t n_special, at = 0, n = strlen(text);
    const int32_t *special = tokenizer_special_ids(g->tokenizer, &n_special);
    while (at < n) {
        for (size_t i = 0; i < n_special; i++) {
            size_t k;
            const char *token = tokenizer_token(g->tokenizer, special[i], &k);
            if (token && k > 1 && n - at >= k && !memcmp(text + at, token, k)) {
                buf_putc(&b, text[at++]);
                buf_putc(&b, ' ');
                break;
            }
        }
        if (at < n)
            buf_putc(&b, text[at++]);
    }
    json_t *v = b.failed ? NULL : json_stringn(buf_text(&b), b.len);
    buf_free(&b);
    return v;
}

static int render(const struct guard *g, const struct judge_text *t, struct buf *out, struct error *err)
{
    json_t *question = plain(g, t->question), *answer = plain(g, t->answer);
    json_t *c = json_pack("{s:[{s:s, s:o}, {s:s, s:o}]}", "messages", "role", "user", "content", question, "role",
                          "assistant", "content", answer);
    int rc = c ? chat_render(g->chat, c, 1, out, err) : error_set_nomem(err, 256, "a conversation");
    json_decref(c);
    return rc;
}

/* The first token of each word as it follows the prompt. */
static int find_words(struct guard *g, struct error *err)
{
    struct buf text = BUF_INIT;
    struct tokens prompt = TOKENS_INIT;
    int rc = render(g, &(struct judge_text){"q", "a"}, &text, err);
    size_t n = text.len;
    rc = rc ? rc : chat_encode(g->chat, buf_text(&text), n, &prompt, err);
    for (int i = 0; i < 2 && !rc; i++) {
        struct tokens ids = TOKENS_INIT, alone = TOKENS_INIT;
        text.len = n;
        buf_puts(&text, g->words[i]);
        rc = text.failed ? error_set_nomem(err, n, "a prompt") : chat_encode(g->chat, text.data, text.len, &ids, err);
        if (!rc)
            rc = tokenizer_encode(g->tokenizer, g->words[i], strlen(g->words[i]), 0, &alone, err);
        int joins = !rc && (ids.n <= prompt.n || memcmp(ids.ids, prompt.ids, prompt.n * sizeof *ids.ids));
        int32_t own = alone.n ? alone.ids[0] : -1;
        if (!rc)
            g->ids[i] = joins ? own : ids.ids[prompt.n];
        tokens_free(&ids);
        tokens_free(&alone);
    }
    if (!rc && (g->ids[0] < 0 || g->ids[1] < 0 || g->ids[0] == g->ids[1]))
        rc = error_set(err, ERROR_USAGE, "--guard-words: \"%s\" and \"%s\" do not begin with different tokens",
                       g->words[0], g->words[1]);
    tokens_free(&prompt);
    buf_free(&text);
    return rc;
}

static int open_parts(struct guard *g, struct device *device, const struct guard_options *o, struct error *err)
{
    struct model_options mo = {.dtype = o->dtype, .check_finite = 1};
    int rc = read_words(g, o->words ? o->words : "unsafe,safe", err);
    if (rc || (rc = checkpoint_open(&g->checkpoint, o->model, err)) ||
        (rc = tokenizer_open_of(&g->tokenizer, g->checkpoint, err)) || (rc = chat_open(&g->chat, g->tokenizer, err)) ||
        (rc = find_words(g, err)) || (rc = checkpoint_sha256(g->checkpoint, g->sha256, err)))
        return rc;
    return model_open(&g->model, device, g->checkpoint, &mo, err);
}

int guard_open(struct guard **out, struct device *device, const struct guard_options *o, struct error *err)
{
    struct guard *g = mem_calloc(1, sizeof *g);
    int rc = g ? open_parts(g, device, o, err) : error_set_nomem(err, sizeof *g, "a guard model");
    if (rc)
        guard_close(g);
    else
        *out = g;
    return rc;
}

void guard_close(struct guard *g)
{
    if (!g)
        return;
    model_close(g->model);
    chat_close(g->chat);
    tokenizer_close(g->tokenizer);
    checkpoint_close(g->checkpoint);
    mem_free(g);
}

const char *guard_sha256(const struct guard *g)
{
    return g->sha256;
}

int guard_judge(struct guard *g, const struct judge_text *texts, int n, struct guard_verdict *out, struct error *err)
{
    struct tokens *ids = mem_calloc((size_t)n + 1, sizeof *ids);
    struct model_text *items = mem_calloc((size_t)n + 1, sizeof *items);
    float *logprobs = mem_calloc(2 * (size_t)n + 2, sizeof *logprobs);
    int *row = mem_calloc((size_t)n + 1, sizeof *row), m = 0;
    int rc = ids && items && logprobs && row ? 0 : error_set_nomem(err, (size_t)n * sizeof *items, "texts to judge");
    for (int i = 0; i < n && !rc; i++) {
        struct buf text = BUF_INIT;
        out[i] = (struct guard_verdict){.p = NAN};
        rc = render(g, &texts[i], &text, err);
        rc = rc ? rc : chat_encode(g->chat, buf_text(&text), text.len, &ids[i], err);
        buf_free(&text);
        if (!rc && (int)ids[i].n > model_desc(g->model)->n_ctx)
            out[i].truncated = 1;
        else if (!rc) {
            items[m] = (struct model_text){ids[i].ids, (int)ids[i].n, 0};
            row[m++] = i;
        }
    }
    if (!rc && m)
        rc = crew_next(g->model, items, m, (struct model_candidates){g->ids, 2}, logprobs, err);
    for (int k = 0; k < m && !rc; k++)
        rc = model_check_numbers(logprobs + 2 * k, 2, err, "guard model: \"%.60s\"", texts[row[k]].question);
    for (int k = 0; k < m && !rc; k++) {
        double unsafe = maths_exp((double)logprobs[2 * k]), safe = maths_exp((double)logprobs[2 * k + 1]);
        out[row[k]].mass = (float)(unsafe + safe);
        if (100 * (unsafe + safe) >= GUARD_LEAST_MASS_PERCENT)
            out[row[k]].p = (float)(unsafe / (unsafe + safe));
    }
    for (int i = 0; ids && i < n; i++)
        tokens_free(&ids[i]);
    mem_free(ids);
    mem_free(items);
    mem_free(logprobs);
    mem_free(row);
    return rc;
}
