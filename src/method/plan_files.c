/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the files of a plan, and what evaluations beside a run take: every arm's own model over general text and
 * over prompts that only sound harmful (tax.c). */
#include "method/plan.h"

#include "io/file.h"
#include "io/jsonl.h"

#include <string.h>

/* The records' texts, one after the other: all, or those that are answers ("Correct Answers", "best_answer"). */
static void add_texts(const json_t *record, int answers, struct buf *out)
{
    const char *name;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)record, name, value) if (!answers || strstr(name, "nswer"))
    {
        const json_t *one = json_is_array(value) ? json_array_get(value, 0) : value;
        for (size_t i = 1; one; one = json_is_array(value) ? json_array_get(value, i++) : NULL)
            if (json_is_string(one))
                buf_printf(out, "%s\n", json_string_value(one));
    }
}

int plan_file(struct plan_file *out, const struct tokenizer *t, const char *path, int answers, struct error *err)
{
    enum { SOME = 1 << 16 };
    struct buf text = BUF_INIT;
    struct tokens ids = TOKENS_INIT;
    json_t *rows = NULL;
    int rc = path_is_text(path) ? file_read(&text, path, 1u << 30, err) : jsonl_load(&rows, path, err);
    for (size_t i = 0; i < json_array_size(rows); i++)
        add_texts(json_array_get(rows, i), answers, &text);
    size_t some = text.len < SOME ? text.len : SOME;
    while (some && some < text.len && ((unsigned char)text.data[some] & 0xc0) == 0x80)
        some--;
    rc = rc || !text.failed ? rc : error_set_nomem(err, text.len, "a plan");
    rc = rc || !t ? rc : tokenizer_encode(t, buf_text(&text), some, 0, &ids, err);
    *out = (struct plan_file){some ? (double)ids.n * ((double)text.len / (double)some) : 0, (int)json_array_size(rows)};
    json_decref(rows);
    tokens_free(&ids);
    buf_free(&text);
    return rc;
}

/* Pretrained, every round's, and the controls that are tuned: on the seeds, and with as many steps as the last round
 * and, where that is another one, the first. */
static int models_of(const struct align_options *o)
{
    int controls = o->rounds > 1 ? 3 : 2;
    return 1 + o->rounds + (o->baselines ? controls : 0);
}

int plan_tax(struct plan *p, const struct plan_model *m, const struct align_options *o, struct error *err)
{
    struct plan_tax *x = &p->tax;
    struct plan_texts general = {.rows = 160}, prompts = {.rows = 0};
    struct plan_file file = {0};
    int rc = o->general ? plan_file(&file, m->tokenizer, o->general, 0, err) : 0;
    *x = (struct plan_tax){.n_model = models_of(o), .text_tokens = file.tokens};
    general.read = general.scored = file.tokens;
    if (!rc && o->over_refusal)
        rc = plan_file(&file, m->tokenizer, o->over_refusal, 0, err);
    if (rc)
        return rc;
    x->prompts = o->over_refusal ? file.n : 0;
    prompts.rows = x->prompts;
    prompts.read = x->prompts * p->question_tokens;
    prompts.written = x->prompts * p->answer_tokens;
    double open = plan_open_seconds(m, p->loaded);
    x->text_seconds = o->general ? x->n_model * (plan_texts_seconds(m, o->dtype, &general) + open) : 0;
    x->prompt_seconds = o->over_refusal ? x->n_model * (plan_texts_seconds(m, o->dtype, &prompts) + open) : 0;
    return 0;
}
