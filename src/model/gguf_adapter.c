/* SPDX-License-Identifier: Apache-2.0 */
/* llama.cpp's adapters: the factors of each matrix as NAME.lora_a [rank, inputs] and NAME.lora_b [outputs, rank], and
 * one alpha for all: it adds alpha / rank B A. Of the embedding it looks up rows of lora_a [tokens, rank] and
 * multiplies them with lora_b [width, rank]: B and the transposed A. */
#include "model/gguf_out.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/gguf_hf.h"
#include "model/gguf_parts.h"
#include "model/parts.h"

#include <string.h>

struct factor {
    struct gguf_target target; /* index: of lora_a */
    struct checkpoint_factors f;
    int index_b, embedding;
};
struct adapter {
    const struct checkpoint *source;
    const struct gguf_arch *arch;
    struct model tables; /* the descriptor and the parameters' names; nothing is loaded */
    struct factor *list; /* [n] */
    size_t n;
    double alpha; /* 0: not the same for all, so that B takes the scale */
};

/* name: the family's, which the file may spell otherwise. */
static int take_factor(struct adapter *a, const char *name, const struct tensor_info *t, struct error *err)
{
    struct factor *f = &a->list[a->n];
    const char *path = checkpoint_path(a->source);
    enum checkpoint_change change = checkpoint_factors(a->source, t, &f->f);
    if (change == CHECKPOINT_SAME)
        return 0;
    if (change != CHECKPOINT_LORA)
        return error_set(err, ERROR_CONFIG,
                         "%s: the adapter %s tensor %s, which llama.cpp's adapters cannot; write the merged model "
                         "instead: --model BASE --adapter DIR --to gguf",
                         path, change == CHECKPOINT_DORA ? "sets the lengths of the rows (DoRA) of" : "replaces",
                         t->name);
    if (gguf_target_find(&f->target, a->arch, &a->tables.desc, name))
        return error_set(
            err, ERROR_CONFIG,
            "%s: the adapter adapts tensor %s, which has no place of its own in llama.cpp's architecture %s", path,
            t->name, a->arch->name);
    f->target.info = t;
    f->embedding = !strcmp(f->target.name, "token_embd.weight");
    double alpha = f->f.scale * (double)f->f.rank;
    if (a->n && alpha != a->alpha)
        a->alpha = 0;
    else if (!a->n)
        a->alpha = alpha;
    a->n++;
    return 0;
}

static int gather_factors(struct adapter *a, struct error *err)
{
    struct model_desc *d = &a->tables.desc;
    const char *path = checkpoint_path(a->source);
    int rc = model_desc_parse(d, checkpoint_config(a->source), path, err);
    if (rc)
        return rc;
    a->arch = gguf_arch_of_type(d->family);
    if (!a->arch)
        return error_set(err, ERROR_CONFIG, "%s: llama.cpp has no architecture for models of type \"%s\" (it has %s)",
                         path, d->family, gguf_arch_names());
    if ((rc = model_tables(&a->tables, err)))
        return rc;
    a->list = mem_calloc((size_t)a->tables.n_param + 1, sizeof *a->list);
    rc = a->list ? 0 : error_set_nomem(err, (size_t)a->tables.n_param * sizeof *a->list, "an adapter");
    for (int i = 0; i < a->tables.n_param && !rc; i++) {
        const char *name = a->tables.params[i].name;
        const struct tensor_info *t = family_find_tensor(family_find(d->family), a->source, name);
        if (t)
            rc = take_factor(a, name, t, err);
    }
    return rc;
}

static int put_matrix(struct gguf_writer *w, const struct factor *f, const char *which, enum storage type,
                      uint64_t columns, uint64_t rows)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", f->target.name, which);
    return gguf_put_tensor(w, name, type == STORAGE_Q8_0 && columns % 32 ? STORAGE_F16 : type, 2,
                           (uint64_t[]){columns, rows});
}

static void put_adapter(struct adapter *a, struct gguf_writer *w, enum storage type)
{
    gguf_put_string(w, "general.architecture", a->arch->name);
    gguf_put_string(w, "general.type", "adapter");
    gguf_put_string(w, "adapter.type", "lora");
    gguf_put_f32(w, "adapter.lora.alpha", (float)a->alpha);
    for (size_t i = 0; i < a->n; i++) {
        struct factor *f = &a->list[i];
        int turned = f->target.change == GGUF_TURNED;
        uint64_t rank = (uint64_t)f->f.rank, rows = (uint64_t)(turned ? f->target.info->n_col : f->target.info->n_row),
                 columns = (uint64_t)(turned ? f->target.info->n_row : f->target.info->n_col);
        f->target.index = f->embedding ? put_matrix(w, f, "lora_a", type, rank, rows)
                                       : put_matrix(w, f, "lora_a", type, columns, rank);
        f->index_b = put_matrix(w, f, "lora_b", type, rank, f->embedding ? columns : rows);
    }
}

/* [rows, rank] with the scale in it where alpha does not say it. */
static int write_b(const struct adapter *a, struct gguf_writer *w, const struct factor *f, int index, float *row,
                   struct error *err)
{
    int64_t rank = f->f.rank, rows = f->target.info->n_row;
    int rc = 0;
    for (int64_t r = 0; r < rows && !rc; r++) {
        int64_t to = f->target.heads ? gguf_hf_row(r, rows, f->target.heads, f->target.change) : r;
        for (int64_t k = 0; k < rank; k++)
            row[k] = a->alpha != 0 ? f->f.b[r * rank + k] : (float)(f->f.scale * (double)f->f.b[r * rank + k]);
        rc = gguf_write_f32(w, index, (uint64_t)(to * rank), row, (uint64_t)rank, err);
    }
    return rc;
}

static int write_turned_a(struct gguf_writer *w, const struct factor *f, double scale, float *row, struct error *err)
{
    int64_t rank = f->f.rank, columns = f->target.info->n_col;
    int rc = 0;
    for (int64_t c = 0; c < columns && !rc; c++) {
        for (int64_t k = 0; k < rank; k++)
            row[k] = (float)(scale * (double)f->f.a[k * columns + c]);
        rc = gguf_write_f32(w, f->index_b, (uint64_t)(c * rank), row, (uint64_t)rank, err);
    }
    return rc;
}

/* Of a matrix that lies the other way round B A is the transpose of what llama.cpp wants: its A is our B, transposed.
 */
static int write_turned(const struct adapter *a, struct gguf_writer *w, const struct factor *f, float *row,
                        struct error *err)
{
    int64_t rank = f->f.rank, inputs = f->target.info->n_row;
    float *line = mem_alloc((size_t)inputs * sizeof *line);
    int rc = line ? 0 : error_set_nomem(err, (size_t)inputs * sizeof *line, "an adapter");
    for (int64_t k = 0; k < rank && !rc; k++) {
        for (int64_t i = 0; i < inputs; i++)
            line[i] = f->f.b[i * rank + k];
        rc = gguf_write_f32(w, f->target.index, (uint64_t)(k * inputs), line, (uint64_t)inputs, err);
    }
    mem_free(line);
    if (rc)
        return rc;
    return write_turned_a(w, f, a->alpha != 0 ? 1 : f->f.scale, row, err);
}

/* The embedding's B goes into lora_a and its A, transposed, into lora_b. */
static int write_factor(const struct adapter *a, struct gguf_writer *w, const struct factor *f, struct error *err)
{
    int64_t rank = f->f.rank;
    float *row = mem_alloc((size_t)rank * sizeof *row);
    int rc = row ? 0 : error_set_nomem(err, (size_t)rank * sizeof *row, "an adapter");
    if (!rc && f->target.change == GGUF_TURNED) {
        rc = write_turned(a, w, f, row, err);
    } else if (!rc && f->embedding) {
        rc = write_turned_a(w, f, 1, row, err);
        rc = rc ? rc : write_b(a, w, f, f->target.index, row, err);
    } else if (!rc) {
        rc = gguf_write_f32(w, f->target.index, 0, f->f.a, (uint64_t)(rank * f->target.info->n_col), err);
        rc = rc ? rc : write_b(a, w, f, f->index_b, row, err);
    }
    mem_free(row);
    return rc;
}

int gguf_adapter_write(struct gguf_writer *w, const struct checkpoint *source, enum storage type, const char *path,
                       struct error *err)
{
    struct adapter a = {.source = source};
    int rc = gather_factors(&a, err);
    if (!rc) {
        put_adapter(&a, w, type);
        rc = gguf_writer_begin(w, path, err);
    }
    for (size_t i = 0; i < a.n && !rc; i++)
        rc = write_factor(&a, w, &a.list[i], err);
    mem_free(a.list);
    arena_free(&a.tables.arena);
    return rc;
}
