/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a model for training a classifier or reward head: a language model gets a new head, whose labels are those of
 * the rows. */
#include "api/parts.h"

#include "base/log.h"
#include "train/train.h"

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
static void choose_pad(const struct isara_model *m, const struct model_desc *d, struct model_options *o)
{
    size_t n = 0;
    const int32_t *special = m->tokenizer ? tokenizer_special_ids(m->tokenizer, &n) : NULL;
    if (d->pad_id >= 0 && !is_eos(d, d->pad_id))
        return;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < n; i++)
            if (special[i] < d->n_vocab && !is_eos(d, special[i]) && (pass || special[i] != d->bos_id)) {
                o->set_pad = 1;
                o->pad_id = special[i];
                log_line(LOG_INFO, "pad_token_id of the classifier: %d %s (it must not be the end-of-sequence token)",
                         o->pad_id, tokenizer_token(m->tokenizer, o->pad_id, NULL));
                return;
            }
}

int api_open_head(struct isara_model *m, const struct model_options *options, const char *labels, struct error *err)
{
    struct train_labels found;
    const char *names[MODEL_MAX_LABEL];
    struct model_desc d;
    struct model_options o = *options;
    int rc = model_desc_parse(&d, checkpoint_config(m->checkpoint), checkpoint_path(m->checkpoint), err);
    if (!rc && o.task == MODEL_CLASSIFY && d.task == MODEL_LM && !(rc = train_labels_read(&found, labels, err))) {
        for (int i = 0; i < found.n; i++)
            names[i] = found.names[i];
        o.labels = names;
        o.n_label = found.n;
        o.problem = found.problem;
        choose_pad(m, &d, &o);
        log_line(LOG_INFO, "new head of %d labels, %s", found.n,
                 found.problem == PROBLEM_SINGLE_LABEL ? "one a row" : "any number a row");
    }
    return rc ? rc : model_open(&m->model, m->device, m->checkpoint, &o, err);
}
