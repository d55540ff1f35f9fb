/* SPDX-License-Identifier: Apache-2.0 */
/* Arms as the designs multiply them: by category of the seeds, by number of seeds, by an option's values. An arm that
 * sees no seeds stands once; an arm that is counted of another one goes with that one's variant of the same seeds. */
#include "experiment/parts.h"

#include "base/mem.h"

#include <string.h>

struct making {
    struct variants *v;
    struct spec *spec;
    struct error *err;
};

static int push(struct making *m, const struct variant *one)
{
    struct variants *v = m->v;
    if (v->n == v->cap) {
        int cap = v->cap ? 2 * v->cap : 16;
        struct variant *items = mem_resize(v->items, (size_t)cap * sizeof *items);
        if (!items)
            return error_set_nomem(m->err, (size_t)cap * sizeof *items, "arms");
        v->items = items;
        v->cap = cap;
    }
    v->items[v->n++] = *one;
    return 0;
}

/* NAME, NAME/category, NAME/16, NAME/k=3 and so on. */
static int name_variant(struct making *m, struct variant *one, const char *ablation)
{
    struct buf b = BUF_INIT;
    buf_puts(&b, one->arm->name);
    if (one->category >= 0)
        buf_printf(&b, "/%s", m->spec->seeds.items[one->category].name);
    if (one->seed_count)
        buf_printf(&b, "/%d", one->seed_count);
    if (ablation)
        buf_printf(&b, "/%s", ablation);
    one->name = b.failed ? NULL : arena_strdup(&m->spec->arena, buf_text(&b));
    buf_free(&b);
    return one->name ? 0 : error_set_nomem(m->err, 64, "a name");
}

static int ablate_one(struct making *m, const struct variant *base, const struct spec_ablation *a, const char *value)
{
    struct variant one = *base;
    char text[160];
    const struct setting s = {a->option, spec_value(m->spec, a->option, value), a->line};
    const struct settings more = {(struct setting *)(uintptr_t)&s, 1};
    int rc = settings_add(&one.settings, &more, &m->spec->arena, m->err);
    snprintf(text, sizeof text, "%s=%s", a->option, value);
    one.ablated = 1;
    rc = rc ? rc : name_variant(m, &one, text);
    return rc ? rc : push(m, &one);
}

static int add_variant(struct making *m, const struct spec_arm *arm, int category, int seed_count)
{
    const struct spec *s = m->spec;
    struct variant one = {
        .arm = arm, .seeds = category < 0 ? 0 : category, .seed_count = seed_count, .category = category, .as = -1};
    for (int i = 0; arm->seeds && i < s->seeds.n; i++)
        if (!strcmp(s->seeds.items[i].name, arm->seeds))
            one.seeds = i;
        else if (i == s->seeds.n - 1 && strcmp(s->seeds.items[one.seeds].name, arm->seeds))
            one.own_seeds = arm->seeds;
    int rc = settings_add(&one.settings, &s->settings, &m->spec->arena, m->err);
    rc = rc ? rc : settings_add(&one.settings, &arm->settings, &m->spec->arena, m->err);
    rc = rc ? rc : name_variant(m, &one, NULL);
    rc = rc ? rc : push(m, &one);
    for (int a = 0; arm->kind == ARM_ISARA && !arm->round && a < s->n_ablation && !rc; a++)
        for (int k = 0; k < s->ablations[a].values.n && !rc; k++)
            rc = ablate_one(m, &one, &s->ablations[a], s->ablations[a].values.items[k]);
    return rc;
}

static int add_arm(struct making *m, const struct spec_arm *arm)
{
    const struct spec *s = m->spec;
    int without = arm->kind == ARM_PRETRAINED, rc = 0;
    int categories = s->cross_category && !without && !arm->seeds ? s->seeds.n : 1;
    int counts = s->n_seed_count && !without ? s->n_seed_count : 1;
    for (int c = 0; c < categories && !rc; c++)
        for (int n = 0; n < counts && !rc; n++)
            rc = add_variant(m, arm, categories > 1 ? c : -1,
                             counts > 1 || (s->n_seed_count && !without) ? s->seed_counts[n] : 0);
    return rc;
}

const struct variant *variant_beside(const struct variants *v, const struct variant *one, const struct spec_arm *arm)
{
    const struct variant *found = NULL;
    for (int i = 0; i < v->n; i++) {
        const struct variant *x = &v->items[i];
        int same =
            (x->category < 0 || x->category == one->category) && (!x->seed_count || x->seed_count == one->seed_count);
        if (x->arm == arm && !x->ablated && same)
            found = x;
    }
    return found;
}

static int check_names(const struct variants *v, const struct spec *s, struct error *err)
{
    for (int i = 1; i < v->n; i++)
        for (int k = 0; k < i; k++)
            if (!strcmp(v->items[i].name, v->items[k].name))
                return spec_fail(s, v->items[i].arm->line, err,
                                 "the designs make two arms \"%.120s\"; wanted values that stand once, and names that "
                                 "are no design's",
                                 v->items[i].name);
    return 0;
}

int variants_make(struct variants *v, struct spec *s, struct error *err)
{
    struct making m = {v, s, err};
    int rc = 0;
    for (int i = 0; i < s->n_arm && !rc; i++)
        rc = add_arm(&m, &s->arms[i]);
    rc = rc ? rc : check_names(v, s, err);
    for (int i = 0; i < v->n && !rc; i++) {
        struct variant *one = &v->items[i];
        const struct variant *as = one->arm->as ? variant_beside(v, one, spec_arm_find(s, one->arm->as)) : NULL;
        if (one->arm->as && !as)
            rc = spec_fail(s, one->arm->line, err, "%.60s: no variant of \"%.60s\" has the same seeds", one->name,
                           one->arm->as);
        one->as = as ? (int)(as - v->items) : -1;
    }
    return rc;
}
