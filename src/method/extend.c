/* SPDX-License-Identifier: Apache-2.0 */
/* What of a run may become another when it is given again, finished or not: more rounds, a test set and a judge where
 * there was none, other controls and samples, the address of a model elsewhere that keeps its name. Nothing that was
 * made depends on these, so it is kept. */
#include "method/parts.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <string.h>

static int is_empty(const json_t *settings, const char *name)
{
    const char *text = json_string_value(json_object_get(settings, name));
    return !text || !*text;
}

/* Stored are probabilities, so a threshold is applied anew; a recipe is a name for options that are there themselves.
 */
static int is_free(const char *name)
{
    static const char *const names[] = {"threshold", "recipe", "samples", "baselines"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return 1;
    return 0;
}

int align_may_change(const json_t *was, const json_t *is, const char *name)
{
    if (is_free(name))
        return 1;
    if (!strcmp(name, "rounds"))
        return json_integer_value(json_object_get(is, name)) > json_integer_value(json_object_get(was, name));
    if (!strcmp(name, "test-sha256") || !strcmp(name, "keep-test-overlap"))
        return is_empty(was, "test-sha256");
    if (!strcmp(name, "asker-endpoint") || !strcmp(name, "answerer-endpoint")) /* a server may move */
        return !is_empty(was, name) && !is_empty(is, name);
    return (!strcmp(name, "judge") || !strncmp(name, "judge/", 6)) && is_empty(was, "judge");
}

static int has_test(const json_t *manifest)
{
    return !is_empty(json_object_get(manifest, "test"), "sha256");
}

/* Seeds were held out as of a run without a test set, and stay so. */
void align_extend_manifest(json_t *manifest, const json_t *now)
{
    if (has_test(manifest) || !has_test(now))
        return;
    json_t *test = json_copy(json_object_get(now, "test"));
    json_object_set_new(test, "added", json_true());
    json_object_set_new(manifest, "test", test);
}

/* The manifest of the run in this directory, or NULL when there is none that can be read. */
static json_t *manifest_of(const char *directory)
{
    char *path = directory ? path_join(directory, "manifest.json") : NULL;
    json_t *manifest = NULL;
    if (path && file_exists(path) && jsontext_load(&manifest, path, 1 << 24, NULL))
        manifest = NULL;
    mem_free(path);
    return manifest;
}

static int was_added(const json_t *manifest)
{
    return json_is_true(json_object_get(json_object_get(manifest, "test"), "added"));
}

int align_test_was_added(const char *directory)
{
    json_t *manifest = manifest_of(directory);
    int was = was_added(manifest);
    json_decref(manifest);
    return was;
}

int align_was_untested(const char *directory)
{
    json_t *manifest = manifest_of(directory);
    int was = json_object_get(manifest, "seeds") && (!has_test(manifest) || was_added(manifest));
    json_decref(manifest);
    return was;
}

static int count_near(struct align *a, struct run *run, int round, int *near, struct error *err)
{
    struct arena arena = ARENA_INIT;
    struct run_round as;
    int row, rc = run_get_round(run, round, &as, err);
    struct run_attempt *made = rc ? NULL : mem_calloc((size_t)as.attempts + 1, sizeof *made);
    if (!rc && !made)
        rc = error_set_nomem(err, (size_t)as.attempts * sizeof *made, "attempts");
    rc = rc ? rc : run_get_attempts(run, round, as.attempts, made, &arena, err);
    for (int i = 0; i < as.attempts && !rc; i++) {
        int kept = made[i].verdict.kept && made[i].question.text;
        rc = kept ? align_near_test(a, made[i].question.text, &row, err) : 0;
        *near += kept && !rc && row >= 0;
    }
    mem_free(made);
    arena_free(&arena);
    return rc;
}

int align_check_added(struct align *a, struct error *err)
{
    struct run *run = NULL;
    int near = 0;
    if (!a->untested || !a->o.test || a->o.keep_test_overlap)
        return 0;
    int rc = run_open_readonly(&run, a->o.output, err);
    for (int t = 1; t <= a->o.rounds && !rc; t++)
        rc = count_near(a, run, t, &near, err);
    run_close(run);
    if (rc || !near)
        return rc;
    return error_set(err, ERROR_DATA,
                     "%s: %d kept questions of %s, which was begun without a test set, are near one of its questions; "
                     "take another test set, or say --keep-test-overlap",
                     a->o.test, near, a->o.output);
}
