/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts that fit. When the contexts, the question and the tokens to come are more than the window holds, the first context goes, again and again: it is the farthest. */
#include "method/parts.h"

#include "base/mem.h"

#include <string.h>

void prompt_free(struct prompt *p)
{
    tokens_free(&p->ids);
    buf_free(&p->text);
    text_spans_free(&p->people);
    *p = (struct prompt){0};
}

static int write_answer(const struct align *a, const struct example *examples, size_t n, const char *question, const char *cue, struct prompt *out, struct error *err)
{
    int rc = 0;
    if (a->style)
        rc = a->style->compose(a->style->user, examples, n, question, &out->text, err);
    else
        template_answer(a->template, examples, n, question, &out->text, &out->people);
    buf_puts(&out->text, cue);
    return rc;
}

/* question NULL: ask. */
static int fit(const struct align *a, const int *contexts, int n, const char *question, const char *cue, int new_tokens, struct prompt *out, struct error *err)
{
    struct example *examples = mem_calloc((size_t)n + 1, sizeof *examples);
    int rc = examples ? 0 : error_set_nomem(err, (size_t)n * sizeof *examples, "a prompt"), least = question ? 0 : 1;
    for (int i = 0; i < n && !rc; i++)
        examples[i] = align_example(a, contexts[i]);
    for (int skip = 0; !rc; skip++) {
        buf_reset(&out->text);
        out->people.n = 0;
        if (question)
            rc = write_answer(a, examples + skip, (size_t)(n - skip), question, cue, out, err);
        else
            template_ask(a->template, examples + skip, (size_t)(n - skip), &out->text, &out->people);
        if (!rc && out->text.failed)
            rc = error_set_nomem(err, out->text.len, "a prompt");
        if (!rc && (rc = align_encode_prompt(a, &out->text, &out->people, &out->ids, err)))
            break;
        out->dropped = skip;
        if (!rc && (int)out->ids.n + new_tokens <= a->desc.n_ctx)
            break;
        if (!rc && n - skip <= least)
            rc = error_set(err, ERROR_DATA, "a prompt of %zu tokens and %d new ones do not fit into the context of %d", out->ids.n, new_tokens, a->desc.n_ctx);
    }
    if (!rc && !out->ids.n)
        rc = error_set(err, ERROR_DATA, "the prompt is empty");
    mem_free(examples);
    return rc;
}

int prompt_ask(const struct align *a, const int *contexts, int n, struct prompt *out, struct error *err)
{
    return fit(a, contexts, n, NULL, "", a->o.ask.max_new_tokens, out, err);
}

int prompt_answer(const struct align *a, const int *contexts, int n, const char *question, struct prompt *out, struct error *err)
{
    return fit(a, contexts, n, question, "", a->o.answer.max_new_tokens, out, err);
}

int prompt_score(const struct align *a, const int *contexts, int n, const char *question, struct prompt *out, struct error *err)
{
    return fit(a, contexts, n, question, a->style ? a->style->score_cue : "", 1, out, err);
}

int prompt_completion(const struct align *a, const struct prompt *p, const char *answer, struct tokens *out, struct error *err)
{
    struct buf text = BUF_INIT;
    struct text_spans people = {0};
    if (a->style) {
        buf_puts(&text, a->style->score_prefix);
        size_t from = text.len;
        buf_puts(&text, answer);
        if (text_spans_add(&people, from, text.len))
            text.failed = 1;
    } else {
        template_tune_completion(a->template, answer, &text, &people);
    }
    const struct pair_text prompt = {p->text.data ? p->text.data : "", p->text.len, &p->people}, completion = {text.data ? text.data : "", text.len, &people};
    int rc = text.failed ? error_set_nomem(err, text.len, "an answer")
                         : pair_encode_completion(a->tokenizer, &prompt, p->ids.ids, p->ids.n, &completion, align_prompt_flags(a), out, NULL, err);
    buf_free(&text);
    text_spans_free(&people);
    return rc;
}

int prompt_question_parses(const struct align *a, const char *question)
{
    return (!a->ask_cue[0] || !strstr(question, a->ask_cue)) && (!a->answer_cue[0] || !strstr(question, a->answer_cue));
}

/* An answer may speak of "Question:" but no line of it may begin so. */
int prompt_answer_parses(const struct align *a, const char *answer)
{
    for (const char *line = answer; line; line = strchr(line, '\n')) {
        while (*line && (unsigned char)*line <= ' ')
            line++;
        if ((a->ask_cue[0] && !strncmp(line, a->ask_cue, strlen(a->ask_cue))) || (a->answer_cue[0] && !strncmp(line, a->answer_cue, strlen(a->answer_cue))))
            return 0;
    }
    return 1;
}
