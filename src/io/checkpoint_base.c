/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a checkpoint that is no adapter: a directory or a GGUF file, with the names and the tie that transformers would
 * see. */
#include "io/checkpoint_parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/hub.h"

#include <string.h>

/* A model that was saved without its head (LlamaModel) has the names of the others without "model.". */
static int complete_names(struct checkpoint *ck, struct error *err)
{
    static const char *const heads[] = {"lm_head.", "score.", "score_head.", "normalizer.", "v_head.", "value_head."};
    int bare = 0;
    for (size_t i = 0; i < ck->n_tensor; i++) {
        if (!strncmp(ck->tensors[i].info.name, "model.", 6))
            return 0;
        bare |= !strcmp(ck->tensors[i].info.name, "embed_tokens.weight");
    }
    for (size_t i = 0; bare && i < ck->n_tensor; i++) {
        struct tensor_info *t = &ck->tensors[i].info;
        struct buf name = BUF_INIT;
        int is_head = 0;
        for (size_t k = 0; k < sizeof heads / sizeof *heads; k++)
            is_head |= !strncmp(t->name, heads[k], strlen(heads[k]));
        if (is_head)
            continue;
        buf_printf(&name, "model.%s", t->name);
        t->name = name.failed ? NULL : arena_strdup(&ck->arena, name.data);
        buf_free(&name);
        if (!t->name)
            return error_set_nomem(err, 256, ck->path);
    }
    return 0;
}

/* Element for element; of different shapes: no. */
static int are_equal(const struct checkpoint *ck, const struct tensor_info *a, const struct tensor_info *b,
                     struct error *err)
{
    const void *x = checkpoint_raw(ck, a), *y = checkpoint_raw(ck, b);
    if (a->n_row != b->n_row || a->n_col != b->n_col)
        return 0;
    if (x && x == y && a->storage == b->storage) /* one storage under two names, as torch.save keeps ties */
        return 1;
    if (x && y && a->storage == b->storage)
        return !memcmp(x, y, a->n_byte);
    size_t bytes = (size_t)a->n_col * sizeof(float);
    float *rows = mem_alloc(2 * bytes);
    int equal = rows ? 1 : error_set_nomem(err, 2 * bytes, "a row of weights");
    for (int64_t r = 0; equal > 0 && r < a->n_row; r++) {
        int rc = checkpoint_read_f32(ck, a, r, 1, rows, err);
        if (rc || (rc = checkpoint_read_f32(ck, b, r, 1, rows + a->n_col, err)))
            equal = rc;
        else
            equal = !memcmp(rows, rows + a->n_col, bytes);
    }
    mem_free(rows);
    return equal;
}

/* As transformers 5: a head that is stored and is another matrix than the embedding is used, whatever the flag says;
 * the flag then says what is true. It may be absent: what that means is the family's. */
static int settle_tie(struct checkpoint *ck, struct error *err)
{
    const json_t *flag = json_object_get(ck->config, "tie_word_embeddings");
    ck->tied = json_is_true(flag);
    const struct tensor_info *head = json_is_false(flag) ? NULL : checkpoint_find(ck, "lm_head.weight");
    if (!flag && head && checkpoint_is_shared(ck, head)) { /* nobody keeps one storage for two matrices */
        ck->tied = 1;
        return json_object_set_new(ck->config, "tie_word_embeddings", json_true()) ? error_set_nomem(err, 64, ck->path)
                                                                                   : 0;
    }
    const struct tensor_info *embed = head ? checkpoint_find(ck, "model.embed_tokens.weight") : NULL;
    int same = head && embed && head != embed ? are_equal(ck, head, embed, err) : 1;
    if (same)
        return same < 0 ? same : 0;
    if (ck->tied)
        log_line(
            LOG_INFO,
            "%s: tie_word_embeddings is true, but lm_head.weight is another matrix than the embedding: both are used",
            ck->path);
    ck->tied = 0;
    return json_object_set_new(ck->config, "tie_word_embeddings", json_false()) ? error_set_nomem(err, 64, ck->path)
                                                                                : 0;
}

static int finish(struct checkpoint *ck, struct error *err)
{
    int rc = checkpoint_take_text(ck, err);
    if (rc || (rc = complete_names(ck, err)))
        return rc;
    checkpoint_sort(ck);
    for (size_t i = 1; i < ck->n_tensor; i++)
        if (!strcmp(ck->tensors[i - 1].info.name, ck->tensors[i].info.name))
            return error_set(err, ERROR_DATA, "%s: tensor %s is given twice", ck->path, ck->tensors[i].info.name);
    return settle_tie(ck, err);
}

static int has_file(const char *directory, const char *name, int *found, struct error *err)
{
    char *path = path_join(directory, name);
    *found = path && file_exists(path);
    mem_free(path);
    return path ? 0 : error_set_nomem(err, strlen(directory), "a path");
}

int checkpoint_is_adapter(const char *path, int *yes, struct error *err)
{
    int adapter = 0, whole = 0, rc = 0;
    if (file_is_directory(path) && !(rc = has_file(path, "adapter_config.json", &adapter, err)) && adapter)
        rc = has_file(path, "config.json", &whole, err);
    *yes = adapter && !whole;
    return rc;
}

int checkpoint_open_base(struct checkpoint **out, const char *path, struct error *err)
{
    *out = NULL;
    struct checkpoint *ck = mem_calloc(1, sizeof *ck);
    if (!ck)
        return error_set_nomem(err, sizeof *ck, path);
    int adapter = 0, rc = hub_resolve(&ck->path, path, err);
    if (!rc)
        rc = checkpoint_is_adapter(ck->path, &adapter, err);
    if (!rc && adapter)
        rc = error_set(err, ERROR_CONFIG, "%s: is an adapter, wanted a base model; merge it first: isara convert",
                       ck->path);
    if (!rc)
        rc = file_is_directory(ck->path) ? checkpoint_open_directory(ck, err) : checkpoint_open_gguf(ck, err);
    if (!rc)
        rc = finish(ck, err);
    int cut = checkpoint_check_whole(ck, err);
    rc = cut ? cut : rc;
    if (rc)
        checkpoint_close(ck);
    else
        *out = ck;
    return rc;
}
