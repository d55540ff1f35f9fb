/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a model for training a classifier or reward head: a language model gets a new head, whose labels are those of
 * the rows. */
#include "cli/parts.h"

#include "base/log.h"

#include <string.h>

static int is_eos(const struct model_desc *d, int id)
{
    for (int i = 0; i < d->n_eos; i++)
        if (d->eos_ids[i] == id)
            return 1;
    return 0;
}

/* transformers reads a classifier at the last token that is not pad_token_id. Where that is the end-of-sequence token
 * too, the head would be read before it: the new model then gets another special token for padding. */
static void choose_pad(const struct parts *p, const struct model_desc *d, struct model_options *o)
{
    size_t n = 0;
    const int32_t *special = p->tokenizer ? tokenizer_special_ids(p->tokenizer, &n) : NULL;
    if (d->pad_id >= 0 && !is_eos(d, d->pad_id))
        return;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < n; i++)
            if (special[i] < d->n_vocab && !is_eos(d, special[i]) && (pass || special[i] != d->bos_id)) {
                o->set_pad = 1;
                o->pad_id = special[i];
                log_line(LOG_INFO, "pad_token_id of the classifier: %d %s (it must not be the end-of-sequence token)",
                         o->pad_id, tokenizer_token(p->tokenizer, o->pad_id, NULL));
                return;
            }
}

int cli_open_head(struct parts *p, const struct cli_values *v, enum dtype dtype, enum model_task task,
                  struct error *err)
{
    struct train_labels labels;
    const char *names[MODEL_MAX_LABEL];
    struct model_desc d;
    struct model_options o = {.task = task, .check_finite = 1, .dtype = dtype};
    int rc = model_desc_parse(&d, checkpoint_config(p->checkpoint), checkpoint_path(p->checkpoint), err);
    if (!rc && task == MODEL_CLASSIFY && d.task == MODEL_LM && !(rc = train_labels_read(&labels, v->data, err))) {
        for (int i = 0; i < labels.n; i++)
            names[i] = labels.names[i];
        o.labels = names;
        o.n_label = labels.n;
        o.problem = labels.problem;
        choose_pad(p, &d, &o);
        log_line(LOG_INFO, "new head of %d labels, %s", labels.n,
                 labels.problem == PROBLEM_SINGLE_LABEL ? "one a row" : "any number a row");
    }
    if (!rc && task == MODEL_REWARD && d.task == MODEL_LM && model_reward_is_classifier(&d))
        choose_pad(p, &d, &o);
    return rc ? rc : model_open(&p->model, p->device, p->checkpoint, &o, err);
}
