/* SPDX-License-Identifier: Apache-2.0 */
/* The experiment's file: its keys, each read by one function of a table; every other key is an option of all arms. */
#include "experiment/parts.h"

#include "io/file.h"

#include <string.h>

typedef int read_value(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err);

static int read_models(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    struct spec_list list;
    int rc = spec_texts(y, value, "a model: a Hugging Face directory, a .gguf file or org/name", &list, err);
    if (rc)
        return rc;
    if (s->models.n)
        return spec_fail(s, spec_line(value), err, "model and models: give one of the two");
    s->models.items = arena_alloc(&s->arena, (size_t)list.n * sizeof *s->models.items);
    if (!s->models.items)
        return error_set_nomem(err, 64, "models");
    for (; s->models.n < list.n; s->models.n++) {
        const char *path = spec_path(s, list.items[s->models.n]);
        s->models.items[s->models.n] = (struct spec_file){path_base(list.items[s->models.n]), path, spec_line(value)};
        for (int k = 0; k < s->models.n; k++)
            if (!strcmp(s->models.items[k].path, path))
                return spec_fail(s, spec_line(value), err, "models: %.300s stands twice; give it once", path);
        for (int k = 0; k < s->models.n; k++)
            if (!strcmp(s->models.items[k].name, s->models.items[s->models.n].name))
                s->models.items[s->models.n].name = list.items[s->models.n];
    }
    return 0;
}

/* One file, or a mapping of categories to files. */
static int read_files(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct spec_files *out,
                      struct error *err)
{
    const struct spec_node *key, *item;
    int n = 0, rc = spec_is_mapping(value) ? spec_check_mapping(y, value, "categories and their files", err) : 0;
    while (!rc && spec_is_mapping(value) && spec_pair(y, value, n, &item))
        n++;
    out->items = arena_alloc(&s->arena, ((size_t)n + 1) * sizeof *out->items);
    if (!out->items)
        return error_set_nomem(err, 64, "files");
    if (!rc && !spec_is_mapping(value)) {
        out->items[0] = (struct spec_file){.name = "", .line = spec_line(value)};
        rc = spec_text(y, value, "a file, or a mapping of categories to files", &out->items[0].path, err);
        n = 1;
    }
    for (int i = 0; i < n && spec_is_mapping(value) && !rc; i++) {
        key = spec_pair(y, value, i, &item);
        out->items[i].line = spec_line(key);
        rc = spec_text(y, key, "a category", &out->items[i].name, err);
        rc = rc ? rc : spec_text(y, item, "a file", &out->items[i].path, err);
    }
    for (out->n = 0; out->n < n && !rc; out->n++) {
        struct spec_file *f = &out->items[out->n];
        f->path = spec_path(s, f->path);
        if (!file_exists(f->path))
            rc = spec_fail(s, f->line, err, "%.300s: no such file, neither from here nor beside the experiment's",
                           f->path);
    }
    return rc || n ? rc : spec_fail(s, spec_line(value), err, "wanted a file, found an empty mapping");
}

static int read_seeds(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    return read_files(s, y, value, &s->seeds, err);
}

static int read_test(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    return read_files(s, y, value, &s->tests, err);
}

static int read_one_path(struct spec *s, struct spec_yaml *y, const struct spec_node *value, const char **out,
                         struct error *err)
{
    int rc = spec_text(y, value, "a path", out, err);
    if (rc)
        return rc;
    *out = spec_path(s, *out);
    return file_exists(*out) ? 0
                             : spec_fail(s, spec_line(value), err,
                                         "%.300s: nothing there, neither from here nor beside the experiment's", *out);
}

static int read_judge(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    int rc = spec_text(y, value, "a judge: a Hugging Face directory or org/name", &s->judge, err);
    if (!rc && !*s->judge)
        rc = spec_fail(s, spec_line(value), err, "judge: wanted a directory or org/name, found nothing");
    s->judge = rc ? NULL : spec_path(s, s->judge);
    return rc;
}

static int read_general(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    return read_one_path(s, y, value, &s->general, err);
}

static int read_over_refusal(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    return read_one_path(s, y, value, &s->over_refusal, err);
}

static int read_field(struct spec *s, struct spec_yaml *y, const struct spec_node *value, const char **out,
                      struct error *err)
{
    int rc = spec_text(y, value, "the name of a field", out, err);
    return rc || **out ? rc : spec_fail(s, spec_line(value), err, "wanted the name of a field, found nothing");
}

static int read_question_field(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    return read_field(s, y, value, &s->question_field, err);
}

static int read_answer_field(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    return read_field(s, y, value, &s->answer_field, err);
}

static int read_numbers(struct spec *s, struct spec_yaml *y, const struct spec_node *value, unsigned long long **out,
                        int *n, struct error *err)
{
    int rc = 0;
    if (!spec_is_list(value))
        return spec_fail(s, spec_line(value), err, "wanted a list of whole numbers, as [0, 1, 2]");
    for (*n = 0; spec_item(y, value, *n); ++*n)
        ;
    *out = arena_alloc(&s->arena, ((size_t)*n + 1) * sizeof **out);
    if (!*out)
        return error_set_nomem(err, 64, "numbers");
    for (int i = 0; i < *n && !rc; i++) {
        rc = spec_int(y, spec_item(y, value, i), "a whole number", &(*out)[i], err);
        for (int k = 0; k < i && !rc; k++)
            if ((*out)[k] == (*out)[i])
                rc = spec_fail(s, spec_line(value), err, "%llu stands twice; wanted different numbers", (*out)[i]);
    }
    return rc || *n ? rc : spec_fail(s, spec_line(value), err, "wanted at least one number, found none");
}

static int read_random_seeds(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    return read_numbers(s, y, value, &s->random_seeds, &s->n_random_seed, err);
}

static int read_seed_counts(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    unsigned long long *counts;
    int rc = read_numbers(s, y, value, &counts, &s->n_seed_count, err);
    s->seed_counts = rc ? NULL : arena_alloc(&s->arena, ((size_t)s->n_seed_count + 1) * sizeof *s->seed_counts);
    if (!rc && !s->seed_counts)
        return error_set_nomem(err, 64, "numbers");
    for (int i = 0; i < s->n_seed_count && !rc; i++) {
        if (counts[i] < 1 || counts[i] > 1000000)
            rc = spec_fail(s, spec_line(value), err, "seed_counts: wanted numbers from 1, found %llu", counts[i]);
        s->seed_counts[i] = (int)counts[i];
    }
    return rc;
}

static int read_control(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    s->control_line = spec_line(value);
    return spec_texts(y, value, "the name of an arm", &s->controls, err);
}

static int read_designs(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    static const int usual[] = {8, 16, 32, 64};
    struct spec_list list;
    int rc = spec_texts(y, value, "size-series, cross-category or seed-counts", &list, err);
    for (int i = 0; !rc && i < list.n; i++) {
        if (!strcmp(list.items[i], "size-series"))
            s->size_series = 1;
        else if (!strcmp(list.items[i], "cross-category"))
            s->cross_category = 1;
        else if (strcmp(list.items[i], "seed-counts"))
            rc =
                spec_fail(s, spec_line(value), err,
                          "designs: wanted size-series, cross-category or seed-counts, found \"%.60s\"", list.items[i]);
        else if (!s->n_seed_count) {
            s->seed_counts = arena_alloc(&s->arena, sizeof usual);
            if (!s->seed_counts)
                return error_set_nomem(err, sizeof usual, "numbers");
            memcpy(s->seed_counts, usual, sizeof usual);
            s->n_seed_count = (int)(sizeof usual / sizeof *usual);
        }
    }
    return rc;
}

static int read_ablate(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    const struct spec_node *key, *item;
    int rc = spec_check_mapping(y, value, "options and lists of their values, as {k: [1, 3, 5]}", err), n = 0;
    while (!rc && spec_pair(y, value, n, &item))
        n++;
    s->ablations = arena_alloc(&s->arena, ((size_t)n + 1) * sizeof *s->ablations);
    if (!s->ablations)
        return error_set_nomem(err, 64, "ablations");
    for (; s->n_ablation < n && !rc; s->n_ablation++) {
        struct spec_ablation *a = &s->ablations[s->n_ablation];
        key = spec_pair(y, value, s->n_ablation, &item);
        a->line = spec_line(key);
        rc = spec_option(y, key, &a->option, err);
        rc = rc ? rc : spec_texts(y, item, "values of the option", &a->values, err);
        if (rc)
            break;
        if (!(switch_users(a->option) & SWITCH_ALIGN))
            rc = spec_fail(s, a->line, err, "ablate: %.60s is no option of isara align", a->option);
    }
    return rc;
}

static int read_about(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    int rc = spec_check_mapping(y, value, "a mapping of what people say of the experiment", err);
    return rc ? rc : spec_json(y, value, &s->about, err);
}

static int read_metrics(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    return spec_read_metrics(s, y, value, err);
}

static int read_arms(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct error *err)
{
    return spec_read_arms(s, y, value, err);
}

static const struct {
    const char *name;
    read_value *read;
} keys[] = {{"model", read_models},
            {"models", read_models},
            {"seeds", read_seeds},
            {"test", read_test},
            {"question_field", read_question_field},
            {"answer_field", read_answer_field},
            {"judge", read_judge},
            {"general", read_general},
            {"over_refusal", read_over_refusal},
            {"random_seeds", read_random_seeds},
            {"control", read_control},
            {"arms", read_arms},
            {"metrics", read_metrics},
            {"designs", read_designs},
            {"seed_counts", read_seed_counts},
            {"ablate", read_ablate},
            {"about", read_about}};

static int same_key(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_')))
            return 0;
    return *a == *b;
}

/* Whether it is written with _ or with -. */
static int check_once(const struct spec *s, struct spec_yaml *y, int i, const char *name, struct error *err)
{
    const struct spec_node *value, *key = spec_pair(y, spec_yaml_root(y), i, &value), *before;
    const char *text;
    int rc = 0;
    for (int k = 0; k < i && !rc; k++) {
        before = spec_pair(y, spec_yaml_root(y), k, &value);
        rc = spec_text(y, before, "a key", &text, err);
        if (!rc && same_key(name, text))
            rc = spec_fail(s, spec_line(key), err, "%.60s stands on line %ld already; give it once", name,
                           spec_line(before));
    }
    return rc;
}

static int read_pair(struct spec *s, struct spec_yaml *y, int i, struct error *err)
{
    const struct spec_node *value, *key = spec_pair(y, spec_yaml_root(y), i, &value);
    const char *name;
    int rc = spec_text(y, key, "a key", &name, err);
    rc = rc ? rc : check_once(s, y, i, name, err);
    for (size_t k = 0; !rc && k < sizeof keys / sizeof *keys; k++)
        if (same_key(name, keys[k].name))
            return keys[k].read(s, y, value, err);
    return rc ? rc : spec_setting(y, key, value, &s->settings, err);
}

static int check_spec(struct spec *s, struct error *err)
{
    const char *const names[] = {"model", "seeds", "test", "arms"};
    const int counts[] = {s->models.n, s->seeds.n, s->tests.n, s->n_arm};
    for (int i = 0; i < 4; i++)
        if (!counts[i])
            return spec_fail(s, 1, err, "wanted model (or models), seeds, test and arms; \"%s\" is missing", names[i]);
    if (s->size_series && s->models.n < 2)
        return spec_fail(s, s->models.items[0].line, err, "size-series: wanted at least two models, found one");
    if (s->cross_category && (s->seeds.n < 2 || s->tests.n < 2))
        return spec_fail(s, s->seeds.items[0].line, err,
                         "cross-category: wanted seeds and test as mappings of at least two categories to files");
    if (!s->cross_category && s->seeds.n > 1)
        return spec_fail(s, s->seeds.items[0].line, err,
                         "seeds: found %d categories; wanted one file, or designs: [cross-category]", s->seeds.n);
    if (!s->n_random_seed) {
        s->random_seeds = arena_alloc(&s->arena, sizeof *s->random_seeds);
        if (!s->random_seeds)
            return error_set_nomem(err, 8, "numbers");
        s->n_random_seed = 1; /* seed 0 */
    }
    return spec_check_arms(s, err);
}

int spec_read(struct spec *s, const char *path, struct error *err)
{
    struct spec_yaml *y = NULL;
    const struct spec_node *value;
    *s = (struct spec){.path = path};
    int rc = spec_yaml_open(&y, s, err);
    rc = rc ? rc : spec_check_mapping(y, spec_yaml_root(y), "an experiment (model, seeds, test, arms)", err);
    for (int i = 0; !rc && spec_pair(y, spec_yaml_root(y), i, &value); i++)
        rc = read_pair(s, y, i, err);
    rc = rc ? rc : check_spec(s, err);
    spec_yaml_close(y);
    return rc;
}

void spec_free(struct spec *s)
{
    json_decref(s->about);
    arena_free(&s->arena);
}
