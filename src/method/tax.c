/* SPDX-License-Identifier: Apache-2.0 */
/* What the arms' models say of text of no concern and to prompts that only sound harmful, where a person names such
 * files: evaluations as isara eval makes them, in the run's directory, where the report looks for them
 * (results_tax.c). What was measured is not measured again. */
#include "method/parts.h"

#include "base/hash.h"
#include "base/mem.h"
#include "eval/eval.h"
#include "io/file.h"

#include <string.h>

int align_check_tax(const struct align_options *o, struct error *err)
{
    const char *const files[] = {o->general, o->over_refusal}, *const names[] = {"general", "over-refusal"};
    for (int i = 0; i < 2; i++)
        if (files[i] && !file_exists(files[i]))
            return error_set(err, ERROR_NOINPUT, "--%s %s: no such file", names[i], files[i]);
    return 0;
}

/* DIR/eval/TASK-ARM-HASH: another file does not get into its way. */
static char *place_of(const struct align *a, const char *task, const char *arm, const char *sha256)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s/eval/%s-%s-%.8s", a->o.output, task, arm, sha256);
    return buf_take(&b);
}

static int evaluate(struct align *a, const struct arm *arm, const char *task, const char *file, struct error *err)
{
    struct eval_options o;
    struct eval_result result = {.json = NULL};
    char sha256[65];
    int rc = sha256_file(file, sha256, err);
    char *place = rc ? NULL : place_of(a, task, arm->name, sha256);
    eval_options_default(&o);
    o.task = task;
    o.model = arm->model;
    o.test = file;
    o.output = place;
    o.dtype = a->o.dtype;
    o.template_file = a->o.template_file;
    o.system = a->o.system;
    o.engine = a->o.engine;
    rc = rc || place ? rc : error_set_nomem(err, 64, "a path");
    rc = rc ? rc : dirs_make(place, err);
    if (!rc && (rc = eval_run(a->speaker.device, &o, &result, err)))
        error_prefix(err, "arm %s, %s", arm->name, file);
    eval_result_free(&result);
    mem_free(place);
    return rc;
}

/* So that the report can say how to do it again. */
static int note_file(struct align *a, const char *name, const char *file, struct error *err)
{
    char sha256[65];
    int rc = sha256_file(file, sha256, err);
    return rc ? rc : align_note_manifest(a, name, json_pack("{s:s, s:s}", "path", file, "sha256", sha256), err);
}

int align_tax(struct align *a, const struct arms *arms, struct error *err)
{
    static const char *const members[] = {"general", "over_refusal"};
    const char *const files[] = {a->o.general, a->o.over_refusal}, *const tasks[] = {"perplexity", "xstest"};
    int rc = 0;
    if (!files[0] && !files[1])
        return 0;
    speaker_unload(&a->speaker); /* each evaluation loads its own */
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < arms->n && files[i] && !rc; k++)
            if (arms->list[k].contexts == CONTEXTS_NONE) /* examples in the prompt are no other model */
                rc = evaluate(a, &arms->list[k], tasks[i], files[i], err);
    for (int i = 0; i < 2 && !rc; i++)
        rc = files[i] ? note_file(a, members[i], files[i], err) : 0;
    return rc;
}
