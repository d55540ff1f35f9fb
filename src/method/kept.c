/* SPDX-License-Identifier: Apache-2.0 */
/* What earlier rounds kept, and the pool that a round's prompts are made of. */
#include "method/parts.h"

#include "base/mem.h"

#include <string.h>

int align_make_pool(struct align *a, int grown, struct error *err)
{
    const struct pair_source from = {a->seeds.items, a->given, a->n_given, a->kept, grown ? a->n_kept : 0};
    return pairs_set(&a->pool, &from, err);
}

int align_add_kept(struct align *a, const struct run_attempt *attempts, int n, int round, struct error *err)
{
    for (int i = 0; i < n; i++) {
        if (!attempts[i].verdict.kept)
            continue;
        if (a->n_kept == a->cap_kept) {
            int cap = a->cap_kept * 2 + 64;
            struct pool_item *kept = mem_resize(a->kept, (size_t)cap * sizeof *kept);
            if (!kept)
                return error_set_nomem(err, (size_t)cap * sizeof *kept, "kept pairs");
            a->kept = kept;
            a->cap_kept = cap;
        }
        struct pool_item item = {arena_strdup(&a->arena, attempts[i].question.text),
                                 arena_strdup(&a->arena, attempts[i].answer.text), round, attempts[i].index};
        if (!item.question || !item.answer)
            return error_set_nomem(err, strlen(attempts[i].answer.text), "kept pairs");
        a->kept[a->n_kept++] = item;
    }
    return 0;
}

int align_add_row(const struct align *a, struct train_data *data, const struct pool_item *item, struct error *err)
{
    const struct row_maker make = {data, a->speaker.tokenizer, &a->speaker.desc, a->o.train.max_length};
    struct buf prompt = BUF_INIT, completion = BUF_INIT;
    struct text_spans asked = {0}, answered = {0};
    char id[40];
    pool_name(item, id);
    template_tune_prompt(a->speaker.template, item->question, &prompt, &asked);
    template_tune_completion(a->speaker.template, item->answer, &completion, &answered);
    const struct train_text row = {
        {prompt.data, prompt.len, &asked}, {completion.data, completion.len, &answered}, id, 1};
    int rc = prompt.failed || completion.failed ? error_set_nomem(err, prompt.len, "a training row")
                                                : train_data_add(&make, &row, err);
    buf_free(&prompt);
    buf_free(&completion);
    text_spans_free(&asked);
    text_spans_free(&answered);
    return rc;
}
