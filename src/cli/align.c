/* SPDX-License-Identifier: Apache-2.0 */
/* isara align: a call of isara_align; --dry-run looks at everything and plans. */
#include "cli/parts.h"

#include "method/method.h"

#include <stdlib.h>

static int dry_run(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    struct align_options o;
    struct error missing;
    struct cli_model p = {0};
    int rc = cli_align_options(options, v, &o, err);
    rc = rc ? rc : cli_open_device(&p, v, err);
    if (!rc && !align_recipe_check(&o, &missing)) /* else the plan says what has to be given yet */
        rc = method_check(p.device, &o, err);
    cli_close(&p);
    return rc ? rc : verb_plan(verb, options, v, err);
}

static int align(const struct options *options, const struct cli_values *v, struct error *err)
{
    static const char *const own[] = {"preview", "question-field", "answer-field", "seed",
                                      "dtype",   "threads",        "isa",          NULL};
    struct isara_error problem = {0};
    struct isara_report report = {NULL, NULL};
    const char *seeds = options_text(options, "seeds");
    json_t *all = NULL;
    int rc = options_object(options, GROUP_OWNERS, own, &all, err);
    if (!rc)
        json_object_del(all, "seeds"); /* an argument of the call */
    char *given = rc ? NULL : json_dumps(all, JSON_REAL_PRECISION(17));
    json_decref(all);
    if (!given)
        return rc ? rc : error_set_nomem(err, 1024, "options");
    isara_align(v->model, seeds, v->output, given, &report, &problem);
    free(given);
    cli_show_report(&report, v->json && report.json);
    return cli_error(&problem, err);
}

int verb_align(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    int rc = cli_require(v->model, "model", "a Hugging Face directory, a .gguf file or org/name", err);
    if (!rc)
        rc = cli_require(options_text(options, "seeds"), "seeds", "fewer than 100 question-answer pairs, JSON Lines",
                         err);
    if (!rc && !v->preview && !v->dry_run)
        rc = cli_require(v->output, "output", "the run directory", err);
    if (rc)
        return rc;
    return v->dry_run ? dry_run(verb, options, v, err) : align(options, v, err);
}
