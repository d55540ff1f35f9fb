/* SPDX-License-Identifier: Apache-2.0 */
/* What stood before an attempt, as texts: the pairs of a round's pool by their numbers in the journal. Seeds are read
 * from the file that they came from, while it is what it was. */
#include "method/parts.h"

#include "base/mem.h"
#include "io/file.h"

#include <string.h>

struct look {
    struct recorded d;
    struct seeds seeds;
    int *given; /* [d.n_given] their places in the file; NULL: not known */
};

static struct record_source source_of(const struct look *l, const char *path)
{
    const json_t *fields = json_object_get(l->d.files.manifest, "fields");
    return (struct record_source){path, json_string_value(json_object_get(fields, "question")),
                                  json_string_value(json_object_get(fields, "answer")), 0};
}

static int is_same(const struct look *l, const char *setting, const char *sha256)
{
    const char *wanted = json_string_value(json_object_get(l->d.files.settings, setting));
    return wanted && !strcmp(wanted, sha256);
}

/* Which seeds are test questions and were left out: by the test set itself. */
static int mark_tested(struct look *l, unsigned char *out, struct error *err)
{
    struct seeds test = {0};
    struct sift *tested = NULL;
    int rc = seeds_read_fields(&test, source_of(l, run_files_path(&l->d.files, "test")), 0, err);
    if (!rc && !is_same(l, "test-sha256", test.sha256))
        rc = error_set(err, ERROR_DATA, "the test set has changed since");
    rc = rc ? rc : align_sift_of(&tested, &l->d.o.sift, test.items, test.n, err);
    for (int i = 0; i < l->seeds.n && rc >= 0; i++) {
        rc = align_is_tested(tested, test.items, l->seeds.items[i].question, err);
        out[i] |= rc == 1;
    }
    sift_free(tested);
    seeds_free(&test);
    return rc < 0 ? rc : 0;
}

static int find_given(struct look *l, struct error *err)
{
    const struct recorded *d = &l->d;
    int n = l->seeds.n, usual = d->n_held ? n / ALIGN_HELD_SHARE : 0, holdout = d->o.holdout < 0 ? usual : d->o.holdout,
        k = 0;
    unsigned char *out = mem_calloc((size_t)n + 1, 1);
    int *given = mem_calloc((size_t)n + 1, sizeof *given);
    int rc = out && given ? align_draw_held(&d->o, n, holdout, out, err) : error_set_nomem(err, (size_t)n, "seeds");
    if (!rc && d->overlap.seeds_left_out)
        rc = mark_tested(l, out, err);
    for (int i = 0; i < n && !rc; i++)
        if (!out[i])
            given[k++] = i;
    mem_free(out);
    if (rc || k != d->n_given) {
        mem_free(given);
        return rc;
    }
    l->given = given;
    return 0;
}

int look_open(struct look **out, struct run *run, struct error *err)
{
    struct error none;
    struct look *l = mem_calloc(1, sizeof *l);
    int rc = l ? recorded_read(&l->d, run, err) : error_set_nomem(err, sizeof *l, "a run");
    if (rc) {
        look_close(l);
        return rc;
    }
    if (!seeds_read_fields(&l->seeds, source_of(l, l->d.o.seeds), 1, &none) &&
        is_same(l, "seeds-sha256", l->seeds.sha256))
        find_given(l, &none);
    *out = l;
    return 0;
}

void look_close(struct look *l)
{
    if (!l)
        return;
    recorded_free(&l->d);
    seeds_free(&l->seeds);
    mem_free(l->given);
    mem_free(l);
}

/* The kept pair that is the k-th of a round; 1: found, 0: there are fewer, of which *k is less. */
struct finding {
    int *k, found;
    struct arena *arena;
    struct pool_item *out;
};

static int take_shown(void *user, const struct run_shown *x, struct error *err)
{
    struct finding *f = user;
    *f->out =
        (struct pool_item){arena_strdup(f->arena, x->question), arena_strdup(f->arena, x->answer), x->round, x->index};
    f->found = 1;
    return f->out->question && f->out->answer ? 0 : error_set_nomem(err, 256, "a pair");
}

static int find_kept(struct look *l, int round, struct finding *f, struct error *err)
{
    int total = 0;
    const struct run_filter of = {.round = round, .reason = "kept", .from = *f->k, .n = 1};
    struct added_pairs added = {.arena = f->arena};
    int rc = run_look(l->d.run, &of, &(struct run_looker){take_shown, f}, &total, err);
    *f->k -= total;
    if (rc || f->found)
        return rc;
    rc = review_added(l->d.run, round, &added, err);
    if (!rc && *f->k < added.n) {
        *f->out = added.items[*f->k];
        f->found = 1;
    }
    *f->k -= added.n;
    mem_free(added.items);
    return rc;
}

int look_pair(struct look *l, int round, int index, struct arena *arena, struct pool_item *out, struct error *err)
{
    int steps = l->d.o.improve_steps, asked_in = round - (round - 1) % steps, k = index - l->d.n_given, rc = 0;
    struct finding f = {&k, 0, arena, out};
    *out = (struct pool_item){.round = 0, .index = index};
    if (index < l->d.n_given) {
        if (!l->given)
            return 0;
        const struct seed *s = &l->seeds.items[l->given[index]];
        *out = (struct pool_item){s->question, s->answer, 0, l->given[index]};
        return 1;
    }
    for (int t = steps; t < asked_in && !rc && !f.found; t += steps)
        rc = find_kept(l, t, &f, err);
    return rc ? rc : f.found;
}
