/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the verbs as an experiment's file gives them. What the experiment itself decides (model, seeds, test,
 * judge, outputs, the arm of an evaluation) is not among them; how an evaluation answers is eval-NAME, so that no arm
 * is measured with another decoding than the others unasked. */
#include "experiment/parts.h"

#include "eval/fields.h"
#include "generate/fields.h"
#include "method/fields.h"
#include "train/fields.h"

#include <stdio.h>
#include <string.h>

static const char *const decided[] = {"model",
                                      "seeds",
                                      "test",
                                      "judge",
                                      "review",
                                      "resume",
                                      "preview",
                                      "output",
                                      "baselines",
                                      "data",
                                      "arm",
                                      "annotations",
                                      "input",
                                      "threads",
                                      "isa",
                                      "seed",
                                      "accept-different-bits",
                                      "attempts-from",
                                      "general",
                                      "over-refusal"};
static const char *const shared[] = {"template", "system", "encoder", "retriever",
                                     "k"}; /* align's names that eval takes too */

static int listed(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(list[i], name))
            return 1;
    return 0;
}
#define LISTED(list, name) listed(list, sizeof(list) / sizeof *(list), name)

/* A verb's struct by its tables; tables of a prefix are read after the others, as one phase goes over both. */
struct target {
    const char *prefix;
    const struct field_table *table;
    void *object;
};

static const struct field *row_of(const struct target *t, const char *name)
{
    size_t n = strlen(t->prefix);
    return strncmp(name, t->prefix, n) || LISTED(decided, name + n) ? NULL : field_find(t->table, name + n);
}

struct dtype_choice {
    int index;
};
static const struct field dtype_rows[] = {
    {FIELD("dtype", FIELD_CHOICE, struct dtype_choice, index), .argument = "f32|bf16|q8", .initial = "bf16"}};
static const struct field_table dtype_fields = {dtype_rows, 1};

static enum dtype dtype_of(const struct dtype_choice *c)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_Q8};
    return types[c->index];
}

enum { N_ALIGN = 9, N_TRAIN = 3, N_EVAL = 4 };

static void align_targets(struct target *t, struct align_options *o, struct dtype_choice *c)
{
    const struct target all[N_ALIGN] = {{"", &align_fields, o},
                                        {"", &sift_fields, o ? &o->sift : NULL},
                                        {"", &generate_fields, o ? &o->ask : NULL},
                                        {"", &generate_fields, o ? &o->answer : NULL},
                                        {"", &train_fields, o ? &o->train : NULL},
                                        {"", &dtype_fields, c},
                                        {"ask-", &generate_fields, o ? &o->ask : NULL},
                                        {"answer-", &generate_fields, o ? &o->answer : NULL},
                                        {"train-", &train_fields, o ? &o->train : NULL}};
    memcpy(t, all, sizeof all);
}

static void train_targets(struct target *t, struct train_options *o, struct dtype_choice *c)
{
    const struct target all[N_TRAIN] = {{"", &train_fields, o}, {"", &dtype_fields, c}, {"train-", &train_fields, o}};
    memcpy(t, all, sizeof all);
}

static void eval_targets(struct target *t, struct eval_options *o, struct dtype_choice *c)
{
    const struct target all[N_EVAL] = {{"eval-", &eval_fields, o},
                                       {"eval-", &generate_fields, o ? &o->decode : NULL},
                                       {"", &eval_fields, o},
                                       {"", &dtype_fields, c}};
    memcpy(t, all, sizeof all);
}

static int takes(const struct target *t, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (row_of(&t[i], name))
            return 1;
    return 0;
}

static int eval_takes(const struct target *t, const char *name)
{
    return (takes(t, 2, name) || takes(t + 3, 1, name) || LISTED(shared, name));
}

unsigned switch_users(const char *name)
{
    struct target t[N_ALIGN];
    align_targets(t, NULL, NULL);
    unsigned users = takes(t, N_ALIGN, name) ? SWITCH_ALIGN : 0;
    train_targets(t, NULL, NULL);
    users |= takes(t, N_TRAIN, name) ? SWITCH_TRAIN : 0;
    eval_targets(t, NULL, NULL);
    return users | (eval_takes(t, name) ? SWITCH_EVAL : 0);
}

int switch_is_path(const char *name)
{
    struct target t[N_ALIGN + N_EVAL];
    align_targets(t, NULL, NULL);
    eval_targets(t + N_ALIGN, NULL, NULL);
    for (int i = 0; i < N_ALIGN + N_EVAL; i++) {
        const struct field *f = row_of(&t[i], name);
        if (f && f->type == FIELD_STRING && (!strcmp(f->argument, "FILE") || !strcmp(f->argument, "DIR")))
            return 1;
    }
    return 0;
}

enum switch_list switch_list(const char *name)
{
    struct target t[N_ALIGN + N_EVAL];
    align_targets(t, NULL, NULL);
    eval_targets(t + N_ALIGN, NULL, NULL);
    for (int i = 0; i < N_ALIGN + N_EVAL; i++) {
        const struct field *f = row_of(&t[i], name);
        if (f && f->type == FIELD_TEXTS)
            return SWITCH_SEVERAL;
        if (f && (f->type == FIELD_IDS || (f->type == FIELD_STRING && strstr(f->argument, "[,"))))
            return SWITCH_COMMAS;
    }
    return SWITCH_ONE;
}

/* --- lists of them --- */

int settings_put(struct settings *s, const struct setting *one, struct arena *arena, struct error *err)
{
    struct setting *items = arena_alloc(arena, ((size_t)s->n + 1) * sizeof *items);
    if (!items)
        return error_set_nomem(err, (size_t)s->n * sizeof *items, "options");
    if (s->n)
        memcpy(items, s->items, (size_t)s->n * sizeof *items);
    items[s->n++] = *one;
    s->items = items;
    return 0;
}

int settings_add(struct settings *s, const struct settings *more, struct arena *arena, struct error *err)
{
    struct settings all = {NULL, 0};
    int rc = 0;
    for (int i = 0; i < s->n && !rc; i++)
        if (!settings_find(more, s->items[i].name))
            rc = settings_put(&all, &s->items[i], arena, err);
    for (int i = 0; i < more->n && !rc; i++)
        rc = settings_put(&all, &more->items[i], arena, err);
    *s = all;
    return rc;
}

const struct setting *settings_find(const struct settings *s, const char *name)
{
    for (int i = s->n - 1; i >= 0; i--)
        if (!strcmp(s->items[i].name, name))
            return &s->items[i];
    return NULL;
}

/* --- into the structs, and into the JSON that the calls take --- */

static json_t *ids_json(const struct field *f, const void *object)
{
    const int *ids = (const int *)(const void *)((const char *)object + f->offset);
    int n = *(const int *)(const void *)((const char *)object + f->count);
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_integer(ids[i]));
    return list;
}

/* The value that was just set. */
static json_t *value_json(const struct field *f, const void *object, const char *text, json_t *before)
{
    const char *at = (const char *)object + f->offset;
    switch (f->type) {
    case FIELD_FLAG: return json_boolean(*(const int *)(const void *)at);
    case FIELD_INT: return json_integer(*(const int *)(const void *)at);
    case FIELD_FLOAT: return json_real((double)*(const float *)(const void *)at);
    case FIELD_DOUBLE: return json_real(*(const double *)(const void *)at);
    case FIELD_IDS: return ids_json(f, object);
    case FIELD_TEXTS: {
        json_t *list = before ? json_incref(before) : json_array();
        json_array_append_new(list, json_string(text));
        return list;
    }
    case FIELD_U64:
    case FIELD_STRING:
    case FIELD_CHOICE: break;
    }
    return json_string(text);
}

struct apply {
    const struct target *targets;
    int n;
    const char *file;
    json_t *given;
    int plain; /* names in the JSON are without the target's prefix */
};

static int set_target(const struct apply *a, const struct setting *s, const struct target *t, struct error *err)
{
    const struct field *f = row_of(t, s->name);
    const size_t n = strlen(t->prefix);
    char name[96];
    snprintf(name, sizeof name, "%s", s->name + (a->plain ? n : 0));
    if (!f)
        return 0;
    if (!a->plain && n)
        name[n - 1] = '_'; /* ask_num-beams, as the calls have it */
    int first = f->type == FIELD_TEXTS && !json_object_get(a->given, name);
    if (first)
        field_clear(f, t->object);
    if (field_set(f, s->text, t->object, err))
        return s->line ? error_prefix(err, "%s:%ld", a->file, s->line) : err->code;
    return json_object_set_new(a->given, name, value_json(f, t->object, s->text, json_object_get(a->given, name)))
               ? error_set_nomem(err, 64, "options")
               : 0;
}

/* What holds for all phases first. */
static int apply_settings(const struct apply *a, const struct settings *s, struct error *err)
{
    int rc = a->given ? 0 : error_set_nomem(err, 64, "options");
    for (int prefixed = 0; prefixed < 2; prefixed++)
        for (int i = 0; i < s->n && !rc; i++)
            for (int k = 0; k < a->n && !rc; k++)
                if ((*a->targets[k].prefix != 0) == prefixed)
                    rc = set_target(a, &s->items[i], &a->targets[k], err);
    return rc;
}

static int finish(int rc, json_t **given)
{
    if (rc) {
        json_decref(*given);
        *given = NULL;
    }
    return rc;
}

int switches_align(const struct settings *s, const char *file, struct align_options *o, json_t **given,
                   struct error *err)
{
    struct target t[N_ALIGN];
    struct dtype_choice dtype;
    const struct setting *recipe = settings_find(s, "recipe");
    fields_default(&dtype_fields, FIELD_PLAIN, &dtype);
    align_options_default(o);
    align_targets(t, o, &dtype);
    int rc = recipe ? align_recipe_apply(o, recipe->text, err) : 0;
    if (rc)
        error_prefix(err, "%s:%ld", file, recipe->line);
    *given = json_object();
    const struct apply a = {t, N_ALIGN, file, *given, 0};
    rc = rc ? rc : apply_settings(&a, s, err);
    o->dtype = dtype_of(&dtype);
    o->train.dtype = o->dtype == DTYPE_F32 ? DTYPE_F32 : DTYPE_BF16;
    return finish(rc, given);
}

int switches_train(const struct settings *s, const char *file, struct train_options *o, json_t **given,
                   struct error *err)
{
    struct target t[N_TRAIN];
    struct dtype_choice dtype;
    fields_default(&dtype_fields, FIELD_PLAIN, &dtype);
    train_options_default(o);
    train_targets(t, o, &dtype);
    *given = json_object();
    const struct apply a = {t, N_TRAIN, file, *given, 1};
    int rc = apply_settings(&a, s, err);
    o->dtype = dtype.index ? DTYPE_BF16 : DTYPE_F32;
    return finish(rc, given);
}

int switches_eval(const struct settings *s, const char *file, struct eval_options *o, json_t **given, struct error *err)
{
    struct target t[N_EVAL];
    struct dtype_choice dtype;
    struct settings mine = {NULL, 0};
    struct arena arena = ARENA_INIT;
    int rc = 0;
    fields_default(&dtype_fields, FIELD_PLAIN, &dtype);
    eval_options_default(o);
    eval_targets(t, o, &dtype);
    for (int i = 0; i < s->n && !rc; i++)
        if (eval_takes(t, s->items[i].name))
            rc = settings_put(&mine, &s->items[i], &arena, err);
    *given = json_object();
    const struct apply a = {t, N_EVAL, file, *given, 1};
    rc = rc ? rc : apply_settings(&a, &mine, err);
    o->dtype = dtype_of(&dtype);
    arena_free(&arena);
    return finish(rc, given);
}

/* --- what decides bits --- */

static json_t *put_dtype(json_t *all, enum dtype dtype, int rc)
{
    if (!all || rc || json_object_set_new(all, "dtype", json_string(dtype_name(dtype)))) {
        json_decref(all);
        return NULL;
    }
    return all;
}

json_t *switches_align_canonical(const struct align_options *o)
{
    json_t *all = json_object();
    int rc = !all || fields_put(&align_fields, "", o, all) || fields_put(&sift_fields, "", &o->sift, all) ||
             fields_put(&generate_fields, "ask-", &o->ask, all) ||
             fields_put(&generate_fields, "answer-", &o->answer, all) ||
             fields_put(&train_fields, "train-", &o->train, all) || align_put_elsewhere(all, o);
    json_object_del(all, "recipe"); /* its options are there */
    return put_dtype(all, o->dtype, rc);
}

json_t *switches_train_canonical(const struct train_options *o)
{
    json_t *all = json_object();
    int rc = !all || fields_put(&train_fields, "train-", o, all);
    return put_dtype(all, o->dtype, rc);
}

json_t *switches_eval_canonical(const struct eval_options *o)
{
    json_t *all = fields_json(&eval_fields, o, 0), *decode = fields_json(&generate_fields, &o->decode, 0);
    int rc = !all || !decode || json_object_update(all, decode);
    json_decref(decode);
    return put_dtype(all, o->dtype, rc);
}
