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

static int make_room(struct align *a, struct error *err)
{
    if (a->n_kept < a->cap_kept)
        return 0;
    int cap = a->cap_kept * 2 + 64;
    struct pool_item *kept = mem_resize(a->kept, (size_t)cap * sizeof *kept);
    if (!kept)
        return error_set_nomem(err, (size_t)cap * sizeof *kept, "kept pairs");
    a->kept = kept;
    a->cap_kept = cap;
    return 0;
}

/* What a person added to the round stands behind what it kept. */
static int add_added(struct align *a, int round, struct error *err)
{
    struct added_pairs added = {.arena = &a->arena};
    int rc = review_added(a->run, round, &added, err);
    for (int i = 0; i < added.n && !rc; i++)
        if (!(rc = make_room(a, err)))
            a->kept[a->n_kept++] = added.items[i];
    mem_free(added.items);
    return rc;
}

int align_add_kept(struct align *a, const struct run_attempt *attempts, int n, int round, struct error *err)
{
    for (int i = 0; i < n; i++) {
        if (!attempts[i].verdict.kept)
            continue;
        if (make_room(a, err))
            return ERROR_NOMEM;
        struct pool_item item = {arena_strdup(&a->arena, attempts[i].question.text),
                                 arena_strdup(&a->arena, attempts[i].answer.text), round, attempts[i].index};
        if (!item.question || !item.answer)
            return error_set_nomem(err, strlen(attempts[i].answer.text), "kept pairs");
        a->kept[a->n_kept++] = item;
    }
    return a->run ? add_added(a, round, err) : 0;
}

int align_add_row(const struct align *a, struct train_data *data, const struct pool_item *item, struct error *err)
{
    const struct row_maker make = {data, a->speaker.tokenizer, &a->speaker.desc, a->o.train.max_length};
    char id[40];
    pool_name(item, id);
    return train_data_add_answer(&make, a->speaker.template, &(struct train_answer){item->question, item->answer, id},
                                 err);
}
