/* SPDX-License-Identifier: Apache-2.0 */
/* The method's options from the command line, for align and plan. */
#include "cli/parts.h"

#include "method/method.h"

/* A decoding option without a prefix holds for both phases; with ask- or answer- it goes over that. */
static int decoding(const struct options *options, struct align_options *o, struct error *err)
{
    int rc = options_apply(options, SCOPE_PLAIN, GROUP_DECODE, &o->ask, err);
    if (!rc)
        rc = options_apply(options, SCOPE_PLAIN, GROUP_DECODE, &o->answer, err);
    if (!rc)
        rc = options_apply(options, SCOPE_ASK, GROUP_DECODE, &o->ask, err);
    if (!rc)
        rc = options_apply(options, SCOPE_ANSWER, GROUP_DECODE, &o->answer, err);
    if (!rc)
        rc = options_apply(options, SCOPE_PLAIN, GROUP_TRAIN, &o->train, err);
    return rc ? rc : options_apply(options, SCOPE_TRAIN, GROUP_TRAIN, &o->train, err);
}

int cli_align_options(const struct options *options, const struct cli_values *v, struct align_options *o,
                      struct error *err)
{
    struct align_options named;
    align_options_default(&named);
    align_options_default(o);
    int rc = options_apply(options, SCOPE_PLAIN, GROUP_METHOD, &named, err);
    if (!rc)
        rc = align_recipe_apply(o, named.recipe, err);
    o->model = v->model;
    o->output = v->output;
    o->seed = v->seed;
    o->preview = v->preview;
    o->question_field = v->question_field;
    o->answer_field = v->answer_field;
    if (!rc)
        rc = options_apply(options, SCOPE_PLAIN, GROUP_METHOD, o, err);
    if (!rc)
        rc = cli_dtype(v, DTYPE_BF16, &o->dtype, err);
    return rc ? rc : decoding(options, o, err);
}
