/* SPDX-License-Identifier: Apache-2.0 */
/* isara align: options into the method's, its summary out. */
#include "cli/parts.h"

#include "base/mem.h"
#include "base/printable.h"
#include "method/method.h"

#include <stdio.h>

static void show(void *user, const char *text)
{
    char *safe = mem_strdup(text);
    (void)user;
    if (!safe)
        return;
    printable(safe);
    fputs(safe, stdout);
    mem_free(safe);
}

int verb_align(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    struct parts p = {0};
    struct align_options o;
    struct align_result r = {0};
    int rc = cli_align_options(options, v, &o, err);
    if (!rc)
        rc = cli_require(v->model, "model", "a Hugging Face directory, a .gguf file or org/name", err);
    if (!rc)
        rc = cli_require(o.seeds, "seeds", "fewer than 100 question-answer pairs, JSON Lines", err);
    if (!rc && !v->preview && !v->dry_run)
        rc = cli_require(v->output, "output", "the run directory", err);
    if (!rc && v->dry_run)
        rc = method_check(&o, err);
    if (!rc && v->dry_run)
        return verb_plan(verb, options, v, err);
    o.show = show;
    if (!rc)
        rc = align_options_check(&o, err);
    if (!rc)
        rc = cli_say_plan(v, &o, err);
    if (!rc)
        rc = cli_open_device(&p, v, err);
    if (!rc)
        rc = method_align(p.device, &o, &r, err);
    if (!rc && v->json && r.json.data)
        puts(r.json.data);
    else if (!rc && r.summary.data) {
        terminal_end();
        printable(r.summary.data);
        fputs(r.summary.data, stdout);
    }
    align_result_free(&r);
    cli_close(&p);
    return rc;
}
