/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: masters, both moments and the number of steps done in one safetensors file, which appears whole or not
 * at all. Rows and learning rates are functions of the step, so there is nothing else to remember. The file's metadata
 * holds every setting that the result depends on; a run that differs in one is refused with its name. How a step is
 * split into micro-batches, recomputation and the number of threads change no bit and may change between the runs. */
#include "train/parts.h"

#include "base/build.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "dist/dist.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "io/safetensors.h"
#include "train/fields.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* elements */
enum { PIECE = 1 << 20 };
static const char file_name[] = "checkpoint.safetensors";
static const char *const tensor_names[] = {"exp_avg", "exp_avg_sq", "masters", "sha256"};
/* hex digits, in the last tensor: of the settings, the step and the bytes of the others */
enum { DIGEST = 64 };

static void set_setting(struct trainer *t, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void set_setting(struct trainer *t, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = json_object_set_new(t->settings, name, json_vsprintf(format, args));
    va_end(args);
    if (!rc)
        return;
    json_decref(
        /* a setting that is missing would be one that may change: none are left, and state_settings says so */
        t->settings);
    t->settings = NULL;
}

static int set_source(struct trainer *t, struct error *err)
{
    char hex[65] = "none (initialised from the seed)";
    int rc = t->job->source ? checkpoint_sha256(t->job->source, hex, err) : 0;
    if (rc)
        return rc;
    set_setting(t, "model", "%s", hex);
    return t->settings && t->job->source ? checkpoint_side_sha256(t->job->source, "model/", t->settings, err) : 0;
}

/* The options that decide bits by themselves, under transformers' names. */
static int set_options(struct trainer *t, struct error *err)
{
    const struct train_options *o = t->job->options;
    struct buf text = BUF_INIT;
    int rc = 0;
    for (int i = 0; i < train_fields.n && !rc; i++) {
        const struct field *f = &train_fields.rows[i];
        char name[64];
        if (f->bits != FIELD_BITS || !field_read(&train_fields, f, o))
            continue;
        field_name(f, name, sizeof name);
        buf_reset(&text);
        if (!(rc = field_print(f, o, &text, err)) && utf8_valid(text.data, text.len) < text.len)
            rc = error_set(err, ERROR_DATA, "%s: is not UTF-8 text", name);
        if (!rc)
            set_setting(t, name, "%s", text.data ? text.data : "");
    }
    buf_free(&text);
    return rc;
}

int state_settings(struct trainer *t, struct error *err)
{
    const struct train_options *o = t->job->options;
    char hex[65];
    t->settings = json_object();
    int rc = train_data_sha256(t->job->data, hex, err);
    if (rc)
        return rc;
    set_setting(t, "data", "%s", hex);
    rc = t->settings ? set_options(t, err) : 0;
    set_setting(t, "steps", "%ld", t->order.total);
    set_setting(t, "rows a step (per_device_train_batch_size x gradient_accumulation_steps)", "%ld",
                (long)o->batch_size * o->accumulation);
    set_setting(t, "max_length of packed rows", "%d", o->packing ? o->max_length : 0);
    set_setting(t, "seed", "%llu", (unsigned long long)o->seed);
    set_setting(t, "dtype", "%s", dtype_name(o->dtype));
    set_setting(t, "build", "%s", build_name);
    /* bf16's products differ between instruction sets. */
    set_setting(t, "instruction set", "%s", o->dtype == DTYPE_F32 ? "any" : device_isa(t->m->device));
    if (!rc && t->job->directory)
        rc = set_source(t, err);
    return rc || t->settings ? rc : error_set_nomem(err, 64, "the settings of a checkpoint");
}

static struct buffer *tensor_buffer(const struct trainer *t, size_t i)
{
    switch (i) {
    case 0: return t->moment1;
    case 1: return t->moment2;
    default: return t->masters;
    }
}

static enum dtype tensor_dtype(const struct trainer *t, size_t i)
{
    return i < 2 ? moment_dtype(t->job->options) : DTYPE_F32;
}

int state_compare_ranks(const struct trainer *t, struct error *err)
{
    return share_check_settings(t->settings, err);
}

/* NULL: out of memory. */
static struct sha256 *begin_digest(const struct trainer *t, long step)
{
    struct sha256 *h = sha256_new();
    char *text = json_dumps(t->settings, JSON_SORT_KEYS | JSON_COMPACT);
    char number[32];
    snprintf(number, sizeof number, "step %ld", step);
    if (h && text) {
        sha256_add(h, text, strlen(text));
        sha256_add(h, number, strlen(number));
    } else if (h) {
        char unused[DIGEST + 1];
        sha256_finish(h, unused);
        h = NULL;
    }
    free(text);
    return h;
}

struct saving {
    struct safetensors_writer *w;
    struct sha256 *h;
    char *path;
    float *piece;
};

/* A stage of a tensor, from its place in the flat order. */
static int save_stage(struct saving *s, const struct trainer *t, size_t i, int stage, struct span all,
                      struct error *err)
{
    const struct stage *at = &t->share.cut.stages[stage];
    size_t size = dtype_size(tensor_dtype(t, i));
    int rc = 0;
    for (int64_t first = at->first; !rc && first < at->last; first += PIECE) {
        size_t bytes = (size_t)(at->last - first < PIECE ? at->last - first : PIECE) * size;
        queue_download(t->q, s->piece, span_at(all, (size_t)first * size), bytes);
        rc = queue_wait(t->q, err);
        sha256_add(s->h, s->piece, bytes);
        if (!rc)
            rc = safetensors_write_bytes(s->w, i, (uint64_t)first * size, s->piece, bytes, err);
    }
    return rc;
}

/* When rank 0 cannot write, the others do not wait for it. */
static int save_tensor(struct saving *s, struct trainer *t, size_t i, struct error *err)
{
    const struct share_part part = {tensor_buffer(t, i), dtype_size(tensor_dtype(t, i)), 0};
    struct span all;
    int written = 0, rc = 0;
    for (int stage = 0; !rc && stage < t->share.cut.n_stage; stage++) {
        rc = share_collect(&t->share, &part, stage, &all, err);
        if (!rc && !written && dist_rank() == 0)
            written = save_stage(s, t, i, stage, all, err);
    }
    return rc ? rc : written;
}

static int saving_begin(struct saving *s, struct trainer *t, struct error *err)
{
    struct tensor_info info[4];
    char step[32];
    s->h = begin_digest(t, t->step);
    s->path = path_join(t->job->directory, file_name);
    s->piece = mem_alloc(PIECE * sizeof *s->piece);
    json_t *metadata = json_object(); /* json_copy drops a member when memory is short and says nothing */
    snprintf(step, sizeof step, "%ld", t->step);
    int ready = s->path && s->piece && s->h && !json_object_update(metadata, t->settings) &&
                !json_object_set_new(metadata, "step", json_string(step));
    int rc = ready ? 0 : error_set_nomem(err, PIECE * 4, "a checkpoint");
    for (size_t i = 0; i < 3; i++)
        info[i] = (struct tensor_info){.name = tensor_names[i],
                                       .storage = storage_of_dtype(tensor_dtype(t, i)),
                                       .n_dim = 1,
                                       .shape = {t->trained.n_element}};
    info[3] = (struct tensor_info){.name = tensor_names[3], .storage = STORAGE_U8, .n_dim = 1, .shape = {DIGEST}};
    if (!rc)
        rc = safetensors_create(&s->w, s->path, info, 4, metadata, err);
    json_decref(metadata);
    return rc;
}

static int saving_end(struct saving *s, int rc, struct error *err)
{
    char digest[DIGEST + 1];
    if (s->h)
        sha256_finish(s->h, digest);
    if (!rc)
        rc = safetensors_write_bytes(s->w, 3, 0, digest, DIGEST, err);
    rc = safetensors_end(s->w, rc, err);
    mem_free(s->piece);
    mem_free(s->path);
    return rc;
}

/* Every rank gives its parts, rank 0 writes. The file knows nothing of ranks. */
int state_save(struct trainer *t, struct error *err)
{
    struct saving s = {0};
    int writes = dist_rank() == 0, rc = writes ? saving_begin(&s, t, err) : 0;
    rc = dist_agree(rc, err);
    for (size_t i = 0; !rc && i < 3; i++)
        rc = dist_agree(save_tensor(&s, t, i, err), err);
    if (writes)
        rc = saving_end(&s, rc, err);
    return dist_agree(rc, err);
}

static int error_differs(const char *path, const char *name, const char *then, const char *now, struct error *err)
{
    return error_set(err, ERROR_CONFIG,
                     "%s: was written with %s %s, this run has %s; repeat the run with the old setting, or give "
                     "another output directory",
                     path, name, then ? then : "(not recorded)", now ? now : "(none)");
}

/* Every setting equal, in both directions, or the first that differs by name. */
static int compare_settings(const struct trainer *t, const json_t *had, const char *path, struct error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(t->settings, name, value)
    {
        const char *then = json_string_value(json_object_get(had, name)), *now = json_string_value(value);
        if (!then || strcmp(then, now))
            return error_differs(path, name, then, now, err);
    }
    json_object_foreach((json_t *)had, name, value) if (!json_object_get(t->settings, name)) return error_differs(
        path, name, json_string_value(value), NULL, err);
    return 0;
}

/* A checkpoint's settings: its metadata without what else stands there. */
static int compare_metadata(const struct trainer *t, const struct safetensors *s, const char *path, struct error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(t->settings, name, value)
    {
        const char *then = safetensors_metadata(s, name), *now = json_string_value(value);
        if (!then || strcmp(then, now))
            return error_differs(path, name, then, now, err);
    }
    return 0;
}

static const char settings_name[] = "training_settings.json";

/* The settings stand in the directory from the beginning on, so that the end of one run is not written over by another
 * one. */
int state_begin(struct trainer *t, struct error *err)
{
    char *path = path_join(t->job->directory, settings_name),
         *weights = path_join(t->job->directory,
                              t->m->lora && !t->job->merge ? "adapter_model.safetensors" : "model.safetensors");
    json_t *had = NULL;
    int rc = path && weights ? 0 : error_set_nomem(err, 256, "a path");
    if (!rc && file_exists(path)) {
        rc = jsontext_load(&had, path, 1 << 20, err);
        rc = rc ? rc : compare_settings(t, had, path, err);
    } else if (!rc && file_exists(weights)) {
        rc = error_set(err, ERROR_CONFIG,
                       "%s: is there already and was not made by this run; give another output directory", weights);
    } else if (!rc) {
        rc = jsontext_write(path, t->settings, err);
    }
    json_decref(had);
    mem_free(path);
    mem_free(weights);
    return rc;
}

/* The bytes are those that were written. */
static int check_digest(const struct trainer *t, const struct safetensors *s, long step, const char *path,
                        struct error *err)
{
    struct sha256 *h = begin_digest(t, step);
    char digest[DIGEST + 1];
    if (!h)
        return error_set_nomem(err, 64, "SHA-256");
    for (size_t i = 0; i < 3; i++) {
        long at = safetensors_find(s, tensor_names[i]);
        if (at >= 0)
            sha256_add(h, safetensors_data(s, (size_t)at), (size_t)safetensors_tensor(s, (size_t)at)->n_byte);
    }
    sha256_finish(h, digest);
    long at = safetensors_find(s, tensor_names[3]);
    if (at < 0 || safetensors_tensor(s, (size_t)at)->n_byte != DIGEST)
        return error_set(err, ERROR_DATA,
                         "%s: has no checksum (another version wrote it): remove it to train from the start", path);
    return memcmp(safetensors_data(s, (size_t)at), digest, DIGEST)
               ? error_set(err, ERROR_DATA,
                           "%s: its checksum is wrong: the file is damaged; remove it to train from the start", path)
               : 0;
}

static int load_tensors(struct trainer *t, const struct safetensors *s, const char *path, struct error *err)
{
    const char *text = safetensors_metadata(s, "step");
    char *end = NULL;
    long step = text ? strtol(text, &end, 10) : -1;
    if (step < 0 || step > t->order.total || *end)
        return error_set(err, ERROR_DATA, "%s: \"step\" is %s, wanted 0 to %ld", path, text ? text : "missing",
                         t->order.total);
    int rc = check_digest(t, s, step, path, err);
    for (size_t i = 0; !rc && i < 3; i++) {
        long at = safetensors_find(s, tensor_names[i]);
        const struct tensor_info *info = at < 0 ? NULL : safetensors_tensor(s, (size_t)at);
        enum dtype wanted = tensor_dtype(t, i);
        if (!info || info->storage != storage_of_dtype(wanted) || info->n_element != (uint64_t)t->trained.n_element)
            return error_set(err, ERROR_DATA, "%s: %s is missing or not %lld values in %s", path, tensor_names[i],
                             (long long)t->trained.n_element, dtype_name(wanted));
        share_upload(&t->share, &(struct share_part){tensor_buffer(t, i), dtype_size(wanted), 0},
                     safetensors_data(s, (size_t)at));
    }
    if (!rc)
        t->step = step;
    return rc;
}

int state_load(struct trainer *t, struct error *err)
{
    struct file_map map = {0};
    struct safetensors *s = NULL;
    char *path = path_join(t->job->directory, file_name);
    if (!path)
        return error_set_nomem(err, 256, "a path");
    int rc = 0, found = file_exists(path);
    if (found && !(rc = file_map(&map, path, err)) && !(rc = safetensors_parse(&s, map.data, map.size, path, err)) &&
        !(rc = compare_metadata(t, s, path, err)))
        rc = load_tensors(t, s, path, err);
    rc = queue_finish(t->q, rc, err);
    int cut = map.data ? file_map_check(&map, path, err) : 0;
    rc = cut ? cut : rc;
    safetensors_free(s);
    if (map.data)
        file_unmap(&map);
    mem_free(path);
    return rc ? rc : found;
}

void state_remove(const struct trainer *t)
{
    char *path = path_join(t->job->directory, file_name);
    if (path)
        unlink(path);
    mem_free(path);
}
