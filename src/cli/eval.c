/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval: looks the task up. Numbers come from src/measure and src/judge, how sure they are from src/stats; a task joins outputs to references, and a missing output or an empty
 * join is an error or a count in the table, never a zero. */
#include "eval/eval.h"

#include "io/jsonl.h"

#include <stdio.h>
#include <string.h>

static const struct eval_task *const tasks[] = {&eval_alpaca, &eval_beavertails, &eval_diversity, &eval_judge_task, &eval_overlap, &eval_qa, &eval_truthfulqa, &eval_utility,
                                                &eval_xstest};

int eval_load_array(json_t **array, const char *path, struct error *err)
{
    long repaired = 0;
    return jsonl_load(array, path, &repaired, err);
}

const char *eval_output_text(const json_t *record)
{
    static const char *const names[] = {"answer", "text", "output", "response", NULL};
    for (int i = 0; names[i]; i++)
        if (json_is_string(json_object_get(record, names[i])))
            return json_string_value(json_object_get(record, names[i]));
    return NULL;
}

int verb_eval(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    struct buf names = BUF_INIT;
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        if (v->task && !strcmp(tasks[i]->name, v->task)) {
            buf_free(&names);
            return tasks[i]->run(tasks[i], options, v, err);
        }
        buf_printf(&names, "\n  %-12s %s", tasks[i]->name, tasks[i]->summary);
    }
    int rc = error_set(err, ERROR_USAGE, "--task: wanted one of these, found %s%s%s%s", v->task ? "\"" : "", v->task ? v->task : "nothing", v->task ? "\"" : "",
                       names.failed ? "" : names.data);
    buf_free(&names);
    return rc;
}
