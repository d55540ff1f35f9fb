/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors of a checkpoint that no parameter reads: the harmless ones stand in one table with the reason, any other one
 * would change the numbers and is an error with its name. */
#include "model/parts.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* of the name: all of it, its beginning, its end */
enum place { WHOLE, FIRST, LAST };

static const struct {
    const char *name;
    enum place place;
    const char *why;
} harmless[] = {
    {"rotary_emb.inv_freq", LAST, "follows from rope_theta"},
    {"self_attn.masked_bias", LAST, "a constant of old programs"},
    {"self_attn.causal_mask", LAST, "a constant of old programs"},
    {".attention.bias", LAST, "a constant: which tokens see which"},
    {".attention.masked_bias", LAST, "a constant of old programs"},
    {".attn.bias", LAST, "a constant: which tokens see which"},
    {".attn.masked_bias", LAST, "a constant of old programs"},
    {"position_ids", LAST, "0, 1, 2, ..."},
    {"lm_head.weight", WHOLE, "the embedding's own matrix, or the head of another task"},
    {"cls.", FIRST, "the head of another task"},
    {"pooler.dense.weight", LAST, "the head of another task"},
    {"pooler.dense.bias", LAST, "the head of another task"},
    {"score.weight", WHOLE, "the head of another task"},
    {"score_head.", FIRST, "the head of another task"},
    {"normalizer.", FIRST, "read with the score head, or of another task"},
    {"v_head.", FIRST, "the head of another task"},
    {"value_head.", FIRST, "the head of another task"},
};

static const char *reason_harmless(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        size_t k = strlen(harmless[i].name);
        const char *at = harmless[i].place == LAST && n >= k ? name + n - k : name;
        if (harmless[i].place == FIRST ? !strncmp(at, harmless[i].name, k) : !strcmp(at, harmless[i].name))
            return harmless[i].why;
    }
    return NULL;
}

static int is_param(const struct tensor_info *const *read, int n, const struct tensor_info *info)
{
    for (int i = 0; i < n; i++)
        if (read[i] == info)
            return 1;
    return 0;
}

static int refuse_unused(const struct model *m, const char *path, const char *name, struct error *err)
{
    const char *layers = m->family->layer;
    size_t n = strcspn(layers, "%");
    long layer = strncmp(name, layers, n) ? -1 : strtol(name + n, NULL, 10);
    if (layer >= m->desc.n_layer)
        return error_set(
            err, ERROR_DATA,
            "%s: tensor %s is of a layer beyond num_hidden_layers %d of config.json; the checkpoint contradicts itself",
            path, name, m->desc.n_layer);
    return error_set(err, ERROR_DATA,
                     "%s: tensor %s would change the model's numbers and is not computed with (biases, scales and "
                     "other additions are not supported)",
                     path, name);
}

int model_check_unused(const struct model *m, const struct checkpoint *source, struct error *err)
{
    const struct tensor_info **read = mem_calloc((size_t)m->n_param + 1, sizeof *read);
    int rc = read ? 0 : error_set_nomem(err, (size_t)m->n_param * sizeof *read, "names of tensors");
    for (int i = 0; i < m->n_param && !rc; i++)
        read[i] = family_find_tensor(m->family, source, m->params[i].name);
    for (size_t i = 0; i < checkpoint_n_tensor(source) && !rc; i++) {
        const struct tensor_info *info = checkpoint_tensor(source, i);
        const char *head = m->family->head, *why = reason_harmless(info->name);
        if (!why && ((head && !strcmp(info->name, head)) || (!head && !strncmp(info->name, "lm_head.", 8))))
            why = "the embedding's own matrix, or the head of another task";
        if (is_param(read, m->n_param, info))
            continue;
        if (why)
            log_line(LOG_INFO, "%s: tensor %s is not used: %s", checkpoint_path(source), info->name, why);
        else
            rc = refuse_unused(m, checkpoint_path(source), info->name, err);
    }
    mem_free(read);
    return rc;
}
