/* SPDX-License-Identifier: Apache-2.0 */
/* A model opened as another kind than its files say: as a classifier or reward model with a new head. */
#include "model/parts.h"

#include <string.h>

static void set_classifier(json_t *config, const char *family, const struct model_options *o)
{
    json_t *names = json_object(), *ids = json_object();
    for (int i = 0; i < o->n_label; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        json_object_set_new(names, key, json_string(o->labels[i]));
        json_object_set_new(ids, o->labels[i], json_integer(i));
    }
    json_object_set_new(config, "architectures", json_pack("[s]", family_find(family)->classify));
    json_object_set_new(
        config, "problem_type",
        json_string(o->problem == PROBLEM_SINGLE_LABEL ? "single_label_classification" : "multi_label_classification"));
    json_object_del(config, "num_labels");
    json_object_set_new(config, "id2label", names);
    json_object_set_new(config, "label2id", ids);
    if (o->set_pad)
        json_object_set_new(config, "pad_token_id", json_integer(o->pad_id));
}

static void set_score(json_t *config, const char *family)
{
    json_object_set_new(config, "architectures", json_pack("[s]", family_find(family)->score));
    json_object_set_new(config, "score_dim", json_integer(1));
    json_object_set_new(config, "score_type", json_string("reward"));
    json_object_set_new(config, "score_bias", json_false());
    json_object_set_new(config, "do_normalize", json_false());
    json_object_set_new(config, "normalizer_type", json_null());
}

int model_reward_is_classifier(const struct model_desc *d)
{
    return !family_find(d->family)->score;
}

/* As trl's RewardTrainer leaves it. */
static void set_reward_classifier(json_t *config, const char *family, const struct model_options *o)
{
    static const char *const labels[] = {"LABEL_0"};
    struct model_options one = *o;
    one.labels = labels;
    one.n_label = 1;
    set_classifier(config, family, &one);
    json_object_del(config, "problem_type");
}

/* A classifier of one label is a reward model where one is wanted. */
static void take_as_reward(struct model_desc *d, const struct model_options *o)
{
    if (o->task == MODEL_REWARD && d->task == MODEL_CLASSIFY && d->n_label == 1) {
        d->task = MODEL_REWARD;
        d->reward_classifier = 1;
    }
}

int task_set(struct model_desc *d, json_t *config, const char *path, const struct model_options *o, struct error *err)
{
    static const char *const kinds[] = {"language model", "classifier", "reward model", "encoder"};
    if (o->task == MODEL_BODY)
        return 0;
    if (d->task == MODEL_BODY)
        return error_set(
            err, ERROR_CONFIG,
            "%s: %s is an encoder, which embeds texts (isara embed, --retriever encoder) and has no head; wanted a %s",
            path, d->family, kinds[o->task]);
    take_as_reward(d, o);
    if (o->task == MODEL_LM || (d->task == o->task && (!o->n_label || o->n_label == d->n_label)))
        return 0;
    if (d->task == o->task)
        return error_set(err, ERROR_CONFIG, "%s: a classifier of %d labels, wanted %d", path, d->n_label, o->n_label);
    if (d->task != MODEL_LM)
        return error_set(err, ERROR_CONFIG, "%s: is a %s, wanted a %s or a language model", path, kinds[d->task],
                         kinds[o->task]);
    if (o->task == MODEL_CLASSIFY && (o->n_label < 1 || !o->labels))
        return error_set(err, ERROR_CONFIG,
                         "%s: is no classifier, and which labels a new head should have is not given", path);
    if (o->task == MODEL_CLASSIFY)
        set_classifier(config, d->family, o);
    else if (model_reward_is_classifier(d))
        set_reward_classifier(config, d->family, o);
    else
        set_score(config, d->family);
    int rc = model_desc_parse(d, config, path, err);
    if (!rc)
        take_as_reward(d, o);
    return rc;
}

int task_read_tensors(struct model_desc *d, const struct checkpoint *source, struct error *err)
{
    static const char *const names[] = {"normalizer.mean", "normalizer.var"};
    double *const into[] = {d->score_mean, d->score_var};
    float values[MODEL_MAX_LABEL];
    int rc = 0;
    if (d->task != MODEL_REWARD)
        return 0;
    d->head_bias = checkpoint_find(source, "score_head.bias") != NULL;
    for (int i = 0; i < 2 && !rc; i++) {
        const struct tensor_info *info = checkpoint_find(source, names[i]);
        if (info && info->n_element != (uint64_t)d->n_label)
            rc = error_set(err, ERROR_DATA, "%s: %s: wanted score_dim = %d values, found %llu", checkpoint_path(source),
                           names[i], d->n_label, (unsigned long long)info->n_element);
        else if (info && !(rc = checkpoint_read_f32(source, info, 0, info->n_row, values, err)))
            for (int k = 0; k < d->n_label; k++)
                into[i][k] = (double)values[k];
    }
    return rc;
}
