/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts that fit. When the contexts, the question and the tokens to come are more than the window holds, the first
 * context goes, again and again: it is the farthest. */
#include "answer/prompt.h"

#include "base/mem.h"

#include <string.h>

void prompt_free(struct prompt *p)
{
    tokens_free(&p->ids);
    buf_free(&p->text);
    text_spans_free(&p->people);
    *p = (struct prompt){0};
}

static int write_text(const struct speaker *s, const struct prompt_parts *parts, const struct example *examples,
                      size_t n, struct prompt *out, struct error *err)
{
    const struct template_prompt words = {parts->before, examples, n, parts->question};
    int rc;
    buf_reset(&out->text);
    out->people.n = 0;
    if (s->o.style && parts->question)
        rc = s->o.style->compose(s->o.style->user, examples, n, parts->question, &out->text, err);
    else
        rc = template_write(s->template, &words, &out->text, &out->people, err);
    if (s->o.style && parts->scored)
        buf_puts(&out->text, s->o.style->score_cue);
    return rc || !out->text.failed ? rc : error_set_nomem(err, out->text.len, "a prompt");
}

/* A question is asked with one example at least. */
static int fit_context(const struct speaker *s, const struct prompt_parts *parts, const struct example *examples,
                       struct prompt *out, struct error *err)
{
    int n = parts->n_context, least = parts->question ? 0 : 1;
    for (int skip = 0;; skip++) {
        int rc = write_text(s, parts, examples + skip, (size_t)(n - skip), out, err);
        rc = rc ? rc : speaker_encode(s, &out->text, &out->people, &out->ids, err);
        if (rc)
            return rc;
        out->dropped = skip;
        if ((int)out->ids.n + parts->room <= s->desc.n_ctx)
            break;
        if (n - skip <= least)
            return error_set(err, ERROR_DATA,
                             "a prompt of %zu tokens and %d new ones do not fit into the context of %d", out->ids.n,
                             parts->room, s->desc.n_ctx);
    }
    return out->ids.n ? 0 : error_set(err, ERROR_DATA, "the prompt is empty");
}

static int take_examples(const struct pair_pool *pool, const struct prompt_parts *parts, struct example **out,
                         struct error *err)
{
    size_t n = (size_t)parts->n_context;
    struct example *examples = mem_calloc(n + 1, sizeof *examples);
    if (!examples)
        return error_set_nomem(err, n * sizeof *examples, "a prompt");
    for (size_t i = 0; i < n; i++) {
        const struct pool_item *item = &pool->items[parts->contexts[i]];
        examples[i] = (struct example){item->question, item->answer};
    }
    *out = examples;
    return 0;
}

int prompt_make(const struct speaker *s, const struct pair_pool *pool, const struct prompt_parts *parts,
                struct prompt *out, struct error *err)
{
    struct example *examples = NULL;
    int rc = take_examples(pool, parts, &examples, err);
    rc = rc ? rc : fit_context(s, parts, examples, out, err);
    mem_free(examples);
    return rc;
}

int prompt_write(const struct speaker *s, const struct pair_pool *pool, const struct prompt_parts *parts,
                 struct prompt *out, struct error *err)
{
    struct example *examples = NULL;
    int rc = take_examples(pool, parts, &examples, err);
    rc = rc ? rc : write_text(s, parts, examples, (size_t)parts->n_context, out, err);
    mem_free(examples);
    return rc;
}

int prompt_completion(const struct speaker *s, const struct prompt *p, const char *answer, struct tokens *out,
                      struct error *err)
{
    struct buf text = BUF_INIT;
    struct text_spans people = {0};
    if (s->o.style) {
        buf_puts(&text, s->o.style->score_prefix);
        size_t from = text.len;
        buf_puts(&text, answer);
        if (text_spans_add(&people, from, text.len))
            text.failed = 1;
    } else {
        template_completion(s->template, answer, &text, &people);
    }
    const struct text_pair pair = {.prompt = {buf_text(&p->text), p->text.len, &p->people},
                                   .completion = {buf_text(&text), text.len, &people},
                                   .prompt_ids = p->ids.ids,
                                   .n_prompt = p->ids.n,
                                   .flags = speaker_flags(s)};
    int rc = text.failed ? error_set_nomem(err, text.len, "an answer")
                         : pair_encode_completion(s->tokenizer, &pair, out, NULL, err);
    buf_free(&text);
    text_spans_free(&people);
    return rc;
}

int prompt_question_parses(const struct speaker *s, const char *question)
{
    return (!s->ask_cue[0] || !strstr(question, s->ask_cue)) && (!s->answer_cue[0] || !strstr(question, s->answer_cue));
}

/* An answer may speak of "Question:" but no line of it may begin so. */
int prompt_answer_parses(const struct speaker *s, const char *answer)
{
    for (const char *line = answer; line; line = strchr(line, '\n')) {
        while (*line && (unsigned char)*line <= ' ')
            line++;
        if ((s->ask_cue[0] && !strncmp(line, s->ask_cue, strlen(s->ask_cue))) ||
            (s->answer_cue[0] && !strncmp(line, s->answer_cue, strlen(s->answer_cue))))
            return 0;
    }
    return 1;
}
