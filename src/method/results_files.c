/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the tree that stands in the run's files: settings, manifest, and what tuning logged of its steps. */
#include "method/parts.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsonl.h"

#include <stdlib.h>
#include <string.h>

static int count_values(const json_t *o)
{
    const char *name;
    json_t *value;
    int n = 0;
    json_object_foreach((json_t *)o, name, value) n += json_is_object(value) ? (int)json_object_size(value) : 1;
    return n;
}

static const char *value_text(struct report_run *r, const json_t *value)
{
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));
    const char *copy = json_is_string(value) ? arena_strdup(&r->arena, json_string_value(value)) : NULL;
    if (text)
        copy = arena_strdup(&r->arena, text);
    free(text);
    return copy;
}

static int add_fact(struct report_run *r, struct report_facts *f, const char *of, const char *name, const json_t *value)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "%s%s%s", of, *of ? "." : "", name);
    struct report_fact *x = &f->items[f->n++];
    x->name = text.failed ? NULL : arena_strdup(&r->arena, buf_text(&text));
    x->value = value_text(r, value);
    buf_free(&text);
    return x->name && x->value ? 0 : -1;
}

/* Names and values, those of a member's members with a point between. */
static int put_facts(struct report_run *r, struct report_facts *f, const json_t *o, struct error *err)
{
    const char *name, *inner;
    json_t *value, *below;
    f->items = arena_alloc(&r->arena, ((size_t)count_values(o) + 1) * sizeof *f->items);
    int failed = !f->items;
    json_object_foreach((json_t *)o, name, value)
    {
        if (!failed && !json_is_object(value))
            failed |= add_fact(r, f, "", name, value);
        json_object_foreach(value, inner, below) failed |= failed || add_fact(r, f, name, inner, below);
    }
    return failed ? error_set_nomem(err, 4096, "a run's settings") : 0;
}

static struct report_step step_of(const json_t *o)
{
    return (struct report_step){.step = (long)json_integer_value(json_object_get(o, "step")),
                                .tokens = (long)json_integer_value(json_object_get(o, "tokens")),
                                .loss = json_number_value(json_object_get(o, "loss")),
                                .grad_norm = json_number_value(json_object_get(o, "grad_norm")),
                                .learning_rate = json_number_value(json_object_get(o, "learning_rate"))};
}

static int read_curve(struct report_run *r, struct report_curve *c, const char *path, struct error *err)
{
    json_t *lines = NULL;
    int rc = jsonl_load(&lines, path, err), n = (int)json_array_size(lines);
    c->steps = rc ? NULL : arena_alloc(&r->arena, ((size_t)n + 1) * sizeof *c->steps);
    if (!rc && !c->steps)
        rc = error_set_nomem(err, (size_t)n * sizeof *c->steps, "a loss curve");
    for (int i = 0; i < n && !rc; i++)
        c->steps[c->n++] = step_of(json_array_get(lines, (size_t)i));
    json_decref(lines);
    return rc;
}

/* Of a model that the run tuned; nothing when its log is gone. */
static int add_curve(const struct recorded *d, struct report_run *r, const char *name, struct error *err)
{
    char part[80];
    snprintf(part, sizeof part, "%s/model/log.jsonl", name);
    char *path = path_join(d->directory, part);
    int rc = path ? 0 : error_set_nomem(err, 64, "path");
    if (!rc && file_exists(path)) {
        struct report_curve *c = &r->curves[r->n_curve++];
        c->name = arena_strdup(&r->arena, name);
        rc = c->name ? read_curve(r, c, path, err) : error_set_nomem(err, 64, "a loss curve");
    }
    mem_free(path);
    return rc;
}

static int fill_curves(const struct recorded *d, struct report_run *r, struct error *err)
{
    char name[64];
    int n = d->arms.n + r->n_round, rc = 0;
    r->curves = arena_alloc(&r->arena, ((size_t)n + 1) * sizeof *r->curves);
    if (!r->curves)
        return error_set_nomem(err, (size_t)n * sizeof *r->curves, "loss curves");
    for (int i = 0; i < r->n_round && !rc; i++) {
        snprintf(name, sizeof name, "round-%d", r->rounds[i].number);
        rc = add_curve(d, r, name, err);
    }
    for (int i = 0; i < d->arms.n && !rc; i++) {
        snprintf(name, sizeof name, "baseline-%s", d->arms.list[i].name);
        if (!d->arms.list[i].round)
            rc = add_curve(d, r, name, err);
    }
    return rc;
}

/* "license: apache-2.0" between the lines --- at the beginning of a model card. */
static const char *license_in(struct report_run *r, const char *card)
{
    const char *end = strncmp(card, "---\n", 4) ? NULL : strstr(card + 3, "\n---"), *line = strstr(card, "\nlicense:");
    if (!end || !line || line > end)
        return NULL;
    line += strlen("\nlicense:");
    line += strspn(line, " \"'");
    size_t n = strcspn(line, " \"'#\r\n");
    return n ? arena_strndup(&r->arena, line, n) : NULL;
}

/* The base's own card says; a model that is not there any more, or has none, says nothing. */
static void fill_license(const struct recorded *d, struct report_run *r)
{
    struct buf card = BUF_INIT;
    char *path = path_join(d->o.model, "README.md");
    if (path && file_exists(path) && !file_read_regular(&card, path, 1 << 20, NULL))
        r->license = license_in(r, buf_text(&card));
    buf_free(&card);
    mem_free(path);
}

int results_files(const struct recorded *d, struct report_run *r, struct error *err)
{
    fill_license(d, r);
    r->begun = json_number_value(json_object_get(d->files.manifest, "time"));
    int rc = put_facts(r, &r->manifest, d->files.manifest, err);
    rc = rc ? rc : put_facts(r, &r->settings, d->files.settings, err);
    return rc ? rc : fill_curves(d, r, err);
}
