/* SPDX-License-Identifier: Apache-2.0 */
/* What of a run may become another when it is given again, finished or not: more rounds, a test set and a judge where
 * there was none, other controls and samples. Nothing that was made depends on these, so it is kept. */
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

int align_was_untested(const char *directory)
{
    char *path = directory ? path_join(directory, "manifest.json") : NULL;
    json_t *manifest = NULL;
    int was = path && file_exists(path) && !jsontext_load(&manifest, path, 1 << 24, NULL) &&
              json_object_get(manifest, "seeds") &&
              (!has_test(manifest) || json_is_true(json_object_get(json_object_get(manifest, "test"), "added")));
    json_decref(manifest);
    mem_free(path);
    return was;
}
