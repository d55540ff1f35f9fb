/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval: options into the room's, its table out. */
#include "cli/parts.h"

#include "base/printable.h"
#include "eval/eval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fill(const struct options *options, const struct cli_values *v, struct eval_options *o, struct error *err)
{
    eval_options_default(o);
    o->task = v->task;
    o->model = v->model;
    o->input = v->input;
    o->adapter = v->adapter;
    o->output = v->output;
    o->limit = v->limit;
    o->seed = v->seed;
    int rc = cli_dtype(v, DTYPE_BF16, &o->dtype, err);
    rc = rc ? rc : options_apply(options, SCOPE_PLAIN, GROUP_TASK, o, err);
    o->engine = generate_engine_as_asked(&v->engine, o->dtype);
    return rc ? rc : options_apply(options, SCOPE_PLAIN, GROUP_DECODE, &o->decode, err);
}

static int show(struct eval_result *r, int json, struct error *err)
{
    if (!json && r->text.data) {
        printable(r->text.data);
        fputs(r->text.data, stdout);
    }
    char *text = json ? json_dumps(r->json, 0) : NULL;
    if (json && !text)
        return error_set_nomem(err, 0, "a report");
    if (text)
        puts(text);
    free(text);
    return 0;
}

static int show_tasks(void)
{
    const char *summary;
    for (int i = 0; eval_task_name(i, &summary); i++)
        printf("%-12s %s\n", eval_task_name(i, NULL), summary);
    return 0;
}

int verb_eval(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    struct parts p = {0};
    struct eval_options o;
    struct eval_result r = {0};
    (void)verb;
    if (v->task && !strcmp(v->task, "list"))
        return show_tasks();
    int rc = fill(options, v, &o, err);
    rc = rc ? rc : eval_options_check(&o, err);
    rc = rc ? rc : cli_open_device(&p, v, err);
    rc = rc ? rc : eval_run(p.device, &o, &r, err);
    rc = rc ? rc : show(&r, v->json, err);
    eval_result_free(&r);
    cli_close(&p);
    return rc;
}
