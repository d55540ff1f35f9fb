/* SPDX-License-Identifier: Apache-2.0 */
/* Looks the task up. Numbers come from src/measure and src/judge, how sure they are from src/stats; a task joins
 * outputs to references, and a missing output or an empty join is an error or a count in the table, never a zero. */
#include "eval/parts.h"

#include "eval/fields.h"

#include <string.h>

static const struct eval_task *const tasks[] = {&eval_alpaca,  &eval_beavertails, &eval_diversity, &eval_judge,
                                                &eval_overlap, &eval_perplexity,  &eval_qa,        &eval_truthfulqa,
                                                &eval_utility, &eval_xstest};
enum { N_TASK = sizeof tasks / sizeof *tasks };

const char *eval_task_name(int i, const char **summary)
{
    if (i < 0 || i >= N_TASK)
        return NULL;
    if (summary)
        *summary = tasks[i]->summary;
    return tasks[i]->name;
}

static const struct eval_task *task_of(const char *name)
{
    for (int i = 0; i < N_TASK; i++)
        if (name && !strcmp(tasks[i]->name, name))
            return tasks[i];
    return NULL;
}

static int refuse_task(const char *found, struct error *err)
{
    struct buf names = BUF_INIT;
    for (int i = 0; i < N_TASK; i++)
        buf_printf(&names, "%s%s", i ? "|" : "", tasks[i]->name);
    const char *quote = found ? "\"" : "";
    int rc = error_set(err, ERROR_USAGE, "--task: wanted %s, found %s%s%s (isara eval --task list says what each does)",
                       names.failed ? "another" : names.data, quote, found ? found : "nothing", quote);
    buf_free(&names);
    return rc;
}

int eval_options_check(const struct eval_options *o, struct error *err)
{
    int rc = task_of(o->task) ? 0 : refuse_task(o->task, err);
    return rc ? rc : fields_check(&eval_fields, o, err);
}

int eval_run(struct device *device, const struct eval_options *o, struct eval_result *out, struct error *err)
{
    *out = (struct eval_result){.text = BUF_INIT};
    const struct eval_work work = {.task = task_of(o->task), .device = device, .options = o, .result = out};
    int rc = eval_options_check(o, err);
    return rc ? rc : work.task->run(&work, err);
}

void eval_result_free(struct eval_result *r)
{
    report_evaluation_free(&r->tree);
    json_decref(r->json);
    buf_free(&r->text);
    *r = (struct eval_result){.text = BUF_INIT};
}
