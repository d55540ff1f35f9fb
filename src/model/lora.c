/* SPDX-License-Identifier: Apache-2.0 */
#include "model/lora.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A matrix of a layer as its file has it: what an adapter stands beside. */
struct target_module {
    enum layer_part part;
    char path[96], name[64]; /* behind the layer's prefix, without ".weight"; its last component */
    struct tensor_place at;
};

/* Those of one layer, in the row's order. */
static int list_modules(const struct model_desc *d, struct target_module out[LORA_N_MODULE])
{
    static const char tail[] = ".weight";
    const struct family *f = family_find(d->family);
    int n = 0;
    for (int i = 0; f && i < f->n_tensor && n < LORA_N_MODULE; i++) {
        const struct family_tensor *t = &f->tensors[i];
        size_t length = strlen(t->name), cut = sizeof tail - 1;
        struct target_module m = {.part = t->part, .at = tensor_place(d, t)};
        if (!(d->parts >> t->part & 1) || !m.at.k || !m.at.n || length < cut || length >= sizeof m.path ||
            strcmp(t->name + length - cut, tail))
            continue;
        snprintf(m.path, sizeof m.path, "%.*s", (int)(length - cut), t->name);
        const char *dot = strrchr(m.path, '.');
        snprintf(m.name, sizeof m.name, "%.63s", dot ? dot + 1 : m.path);
        out[n++] = m;
    }
    return n;
}

/* The options', or else the family's own. */
static const char *targets_of(const struct model_desc *d, const struct lora_options *o)
{
    const struct family *f = family_find(d->family);
    if (o->targets)
        return o->targets;
    return f && f->adapted ? f->adapted : "q_proj,v_proj";
}

/* Whether `name` is among the targets. */
static int is_target(const char *targets, const char *name)
{
    size_t n = strlen(name);
    if (!strcmp(targets, "all-linear"))
        return 1;
    for (const char *at = targets; (at = strstr(at, name)); at++)
        if ((at == targets || at[-1] == ',') && (at[n] == ',' || !at[n]))
            return 1;
    return 0;
}

/* Those of list_modules that are among the targets. */
static int list_targets(const struct model_desc *d, const struct lora_options *o,
                        struct target_module out[LORA_N_MODULE])
{
    struct target_module all[LORA_N_MODULE];
    int n = 0, n_all = list_modules(d, all);
    for (int i = 0; i < n_all; i++)
        if (is_target(targets_of(d, o), all[i].name))
            out[n++] = all[i];
    return n;
}

/* Each name once: two matrices of a layer may share one. */
static int is_repeated(const struct target_module *list, int i)
{
    for (int k = 0; k < i; k++)
        if (!strcmp(list[k].name, list[i].name))
            return 1;
    return 0;
}

static int refuse_target(const struct target_module *all, int n, const char *found, int length, struct error *err)
{
    char names[LORA_N_MODULE * 64] = "";
    size_t used = 0;
    for (int i = 0; i < n; i++)
        if (!is_repeated(all, i))
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? "," : "", all[i].name);
    return error_set(err, ERROR_USAGE,
                     "lora_target_modules: wanted some of %s with commas between, or all-linear, found \"%.*s\"", names,
                     length, found);
}

static int check_targets(const struct model_desc *d, const struct lora_options *o, struct error *err)
{
    const char *targets = targets_of(d, o);
    struct target_module all[LORA_N_MODULE];
    int n_all = list_modules(d, all);
    for (const char *at = targets; strcmp(targets, "all-linear");) {
        size_t n = strcspn(at, ",");
        int known = 0;
        for (int i = 0; i < n_all; i++)
            known |= strlen(all[i].name) == n && !strncmp(at, all[i].name, n);
        if (!known)
            return refuse_target(all, n_all, at, (int)n, err);
        if (!at[n])
            break;
        at += n + 1;
    }
    return 0;
}

void lora_targets(const struct model_desc *d, const struct lora_options *o, char names[LORA_N_MODULE + 1][64])
{
    struct target_module list[LORA_N_MODULE];
    int n = 0, n_all = list_targets(d, o, list);
    for (int i = 0; i < n_all; i++)
        if (!is_repeated(list, i))
            snprintf(names[n++], 64, "%s", list[i].name);
    *names[n] = 0;
}

static int64_t aligned_elements(int64_t n)
{
    return (n + 15) / 16 * 16;
}

/* Places of one layer's adapters from *at on, into groups[part] when given. */
static void place_layer(const struct model_desc *d, const struct lora_options *o, int64_t *at, int *widest,
                        struct lora_group *groups)
{
    struct target_module list[LORA_N_MODULE];
    int n = list_targets(d, o, list);
    for (int part = 0; part < PART_COUNT; part++) {
        struct lora_group g = {0};
        int64_t k = 0;
        for (int i = 0; i < n; i++)
            if ((int)list[i].part == part) {
                k = list[i].at.k;
                g.modules[g.n_module++] = (struct lora_module){.row = list[i].at.row, .n = list[i].at.n};
            }
        g.a = *at;
        *at += aligned_elements(g.n_module * o->r * k);
        for (int i = 0; i < g.n_module; i++) {
            g.modules[i].b = *at;
            *at += aligned_elements(g.modules[i].n * o->r);
        }
        *widest = g.n_module * o->r > *widest ? g.n_module * o->r : *widest;
        if (groups)
            groups[part] = g;
    }
}

int lora_sizes(const struct model_desc *d, const struct lora_options *o, int64_t *n_element, int *widest,
               struct error *err)
{
    *n_element = 0;
    *widest = 0;
    int rc = check_targets(d, o, err);
    for (int l = 0; !rc && l < d->n_layer; l++)
        place_layer(d, o, n_element, widest, NULL);
    if (d->task != MODEL_LM)
        *n_element += aligned_elements((int64_t)d->n_label * model_width(d));
    return rc;
}

/* A's, then B's of a group, with PEFT's names. */
static int name_params(struct model *m, int layer, int part, const struct lora_options *o, struct error *err)
{
    struct lora *lora = m->lora;
    const struct lora_group *g = &lora->groups[layer_index(m, layer, (enum layer_part)part)];
    struct target_module list[LORA_N_MODULE];
    int n = list_targets(&m->desc, o, list);
    for (int b = 0; b < 2; b++)
        for (int i = 0, at = 0; i < n; i++) {
            struct tensor_place s = list[i].at;
            char name[300], prefix[64];
            if ((int)list[i].part != part)
                continue;
            snprintf(prefix, sizeof prefix, m->family->layer, layer);
            int whole = m->desc.text_part && !strncmp(prefix, "model.", 6);
            snprintf(name, sizeof name, "base_model.model.%s%s%s.lora_%c.weight", whole ? "model.language_model." : "",
                     whole ? prefix + 6 : prefix, list[i].path, b ? 'B' : 'A');
            struct model_param *p = &lora->params[lora->n_param++];
            *p = (struct model_param){.name = arena_strdup(&m->arena, name),
                                      .ndim = 2,
                                      .decay = 1,
                                      .shape = {b ? s.n : o->r, b ? o->r : s.k},
                                      .heads = b ? s.heads : 0,
                                      .offset = b ? g->modules[at].b : g->a + at * o->r * s.k,
                                      .count = b ? s.n * o->r : o->r * s.k};
            if (!p->name)
                return error_set_nomem(err, sizeof name, "an adapter");
            at++;
        }
    return 0;
}

int lora_make_weights(struct model *m, int64_t *largest, struct error *err)
{
    struct lora *lora = m->lora;
    int rc = 0;
    for (int i = 0; !rc && i < m->n_group; i++) {
        struct lora_group *g = &lora->groups[i];
        int64_t rank = (int64_t)g->n_module * lora->rank, k = m->groups[i].k;
        if (!g->n_module)
            continue;
        *largest = rank * k > *largest ? rank * k : *largest;
        rc = weight_new(&g->weight, m->device, (struct weight_shape){rank, k, model_act_dtype(m)}, "an adapter", err);
        for (int j = 0; !rc && j < g->n_module; j++)
            rc = weight_new(&g->modules[j].weight, m->device,
                            (struct weight_shape){g->modules[j].n, lora->rank, model_act_dtype(m)}, "an adapter", err);
    }
    return rc;
}

/* The head's place behind the adapters. */
static int add_head(struct model *m, struct error *err)
{
    struct lora *lora = m->lora;
    const struct model_group *g = &m->groups[m->head];
    lora->head = lora->n_element;
    if (m->desc.task == MODEL_LM)
        return 0;
    lora->n_element += aligned_elements(g->n * g->k);
    for (int i = 0; i < m->n_param; i++) {
        char name[300];
        if (m->param_group[i] != m->head)
            continue;
        snprintf(name, sizeof name, "base_model.model.%s", m->params[i].name);
        struct model_param *p = &lora->params[lora->n_param++];
        *p = m->params[i];
        p->name = arena_strdup(&m->arena, name);
        p->offset = lora->head;
        if (!p->name)
            return error_set_nomem(err, sizeof name, "an adapter");
    }
    return 0;
}

int lora_add(struct model *m, const struct lora_options *o, struct error *err)
{
    int rc = check_targets(&m->desc, o, err), widest = 0;
    int64_t largest = 1;
    size_t n_param = (size_t)m->desc.n_layer * LORA_N_MODULE * 2 + 1;
    if (rc)
        return rc;
    struct lora *lora = m->lora = mem_calloc(1, sizeof *lora);
    if (!lora)
        return error_set_nomem(err, sizeof *lora, "an adapter");
    lora->rank = o->r;
    lora->scale = (float)(o->alpha / o->r);
    lora->groups = mem_calloc((size_t)m->n_group, sizeof *lora->groups);
    lora->params = mem_calloc(n_param, sizeof *lora->params);
    rc = lora->groups && lora->params ? 0 : error_set_nomem(err, n_param * sizeof *lora->params, "an adapter");
    for (int l = 0; !rc && l < m->desc.n_layer; l++) {
        struct lora_group groups[PART_COUNT];
        place_layer(&m->desc, o, &lora->n_element, &widest, groups);
        for (int part = 0; !rc && part < PART_COUNT; part++) {
            if (!groups[part].n_module)
                continue;
            lora->groups[layer_index(m, l, (enum layer_part)part)] = groups[part];
            rc = name_params(m, l, part, o, err);
        }
    }
    rc = rc ? rc : add_head(m, err);
    if (!rc)
        rc = lora_make_weights(m, &largest, err);
    if (!rc)
        rc = buffer_new(&lora->stage, m->device, (size_t)largest * 4, "an adapter", err);
    if (rc)
        lora_remove(m);
    return rc;
}

int lora_widest(const struct model *m)
{
    int widest = 0;
    for (int i = 0; m->lora && i < m->n_group; i++) {
        int rows = m->lora->groups[i].n_module * m->lora->rank;
        widest = rows > widest ? rows : widest;
    }
    return widest;
}

void lora_remove(struct model *m)
{
    struct lora *lora = m->lora;
    if (!lora)
        return;
    queue_drain(device_queue(m->device));
    for (int i = 0; lora->groups && i < m->n_group; i++) {
        weight_free(lora->groups[i].weight);
        for (int j = 0; j < 3; j++)
            weight_free(lora->groups[i].modules[j].weight);
    }
    buffer_free(lora->stage);
    mem_free(lora->groups);
    mem_free(lora->params);
    mem_free(lora);
    m->lora = NULL;
}

int lora_init_masters(const struct model *m, uint64_t seed, struct queue *q, struct span masters, struct error *err)
{
    const struct lora *lora = m->lora;
    for (int i = 0; i < lora->n_param && lora->params[i].offset < lora->head; i++) {
        const struct model_param *p = &lora->params[i];
        int is_a = !!strstr(p->name, ".lora_A.");
        double bound = 1 / sqrt((double)p->shape[1]);
        struct rng_stream stream = {seed, hash64(p->name, strlen(p->name)), 0};
        float *values = mem_calloc((size_t)p->count, sizeof *values);
        if (!values)
            return error_set_nomem(err, (size_t)p->count * sizeof *values, "an adapter");
        for (int64_t j = 0; is_a && j < p->count; j++)
            values[j] = (float)(bound * (2 * rng_uniform_double(&stream, (uint64_t)j) - 1));
        queue_upload(q, span_at(masters, (size_t)p->offset * 4), values, (size_t)p->count * 4);
        mem_free(values);
    }
    return 0;
}

void lora_pack(struct model *m, struct queue *q, struct span masters)
{
    const struct lora *lora = m->lora;
    struct span stage = {lora->stage, 0};
    for (int i = 0; i < m->n_group; i++) {
        const struct lora_group *g = &lora->groups[i];
        if (!g->n_module)
            continue;
        int64_t rank = (int64_t)g->n_module * lora->rank;
        tensor_scale(q, &(struct scale_args){(size_t)(rank * m->groups[i].k), lora->scale,
                                             span_at(masters, (size_t)g->a * 4), stage});
        tensor_weight_pack(q, &(struct weight_pack_args){g->weight, 0, rank, stage, DTYPE_F32, 0});
        for (int j = 0; j < g->n_module; j++)
            tensor_weight_pack(q,
                               &(struct weight_pack_args){g->modules[j].weight, 0, g->modules[j].n,
                                                          span_at(masters, (size_t)g->modules[j].b * 4), DTYPE_F32, 0});
    }
    const struct model_group *head = &m->groups[m->head];
    if (lora->head < lora->n_element)
        tensor_weight_pack(q, &(struct weight_pack_args){head->weight, 0, head->n,
                                                         span_at(masters, (size_t)lora->head * 4), DTYPE_F32, 0});
}

/* The j-th module's columns of u or du. */
static struct span adapter_columns(struct span u, int j, int rank, enum dtype t)
{
    return span_at(u, (size_t)j * (size_t)rank * dtype_size(t));
}

static void adapter_down(const struct lora_pass *p)
{
    tensor_linear(p->q, &(struct linear_args){.w = p->g->weight,
                                              .n_row = p->n_row,
                                              .x = p->x,
                                              .x_dtype = p->x_dtype,
                                              .rows = p->rows,
                                              .y = p->u,
                                              .y_dtype = model_act_dtype(p->m)});
}

void lora_forward(const struct lora_pass *p, struct span y, int64_t y_stride)
{
    const struct lora_group *g = p->g;
    enum dtype act = model_act_dtype(p->m);
    int rank = p->m->lora->rank;
    adapter_down(p);
    for (int j = 0; j < g->n_module; j++) {
        struct span to = span_at(y, (size_t)g->modules[j].row * 4);
        tensor_linear(p->q, &(struct linear_args){.w = g->modules[j].weight,
                                                  .n_row = p->n_row,
                                                  .x = adapter_columns(p->u, j, rank, act),
                                                  .x_dtype = act,
                                                  .x_stride = (int64_t)g->n_module * rank,
                                                  .y = to,
                                                  .y_stride = y_stride,
                                                  .residual = to,
                                                  .residual_stride = y_stride});
    }
}

void lora_backward(const struct lora_pass *p, const struct model_batch *b, const struct lora_gradients *to)
{
    const struct lora_group *g = p->g;
    enum dtype act = model_act_dtype(p->m);
    int rank = p->m->lora->rank;
    int64_t all = (int64_t)g->n_module * rank;
    adapter_down(p);
    for (int j = 0; j < g->n_module; j++) {
        const struct lora_module *module = &g->modules[j];
        struct span from = span_at(to->dy, (size_t)module->row * 4);
        tensor_linear_dw(p->q, &(struct linear_dw_args){.n = module->n,
                                                        .k = rank,
                                                        .n_row = p->n_row,
                                                        .borders = b->borders,
                                                        .n_seq = b->n_seq,
                                                        .compute = act,
                                                        .dy = from,
                                                        .dy_stride = to->dy_stride,
                                                        .x = adapter_columns(p->u, j, rank, act),
                                                        .x_dtype = act,
                                                        .x_stride = all,
                                                        .dw = span_at(to->gradients, (size_t)module->b * 4)});
        tensor_linear_dx(p->q, &(struct linear_dx_args){.w = module->weight,
                                                        .n_row = p->n_row,
                                                        .dy = from,
                                                        .dy_stride = to->dy_stride,
                                                        .dx = adapter_columns(to->du, j, rank, DTYPE_F32),
                                                        .dx_stride = all});
    }
    tensor_linear_dw(p->q, &(struct linear_dw_args){.n = all,
                                                    .k = weight_k(g->weight),
                                                    .n_row = p->n_row,
                                                    .borders = b->borders,
                                                    .n_seq = b->n_seq,
                                                    .compute = act,
                                                    .dy = to->du,
                                                    .x = p->x,
                                                    .x_dtype = p->x_dtype,
                                                    .dw = span_at(to->gradients, (size_t)g->a * 4)});
    if (to->dx.buffer)
        tensor_linear_dx(p->q, &(struct linear_dx_args){
                                   .w = g->weight, .n_row = p->n_row, .dy = to->du, .dx = to->dx, .accumulate = 1});
}

void lora_finish_gradients(const struct model *m, struct queue *q, struct span gradients)
{
    for (int i = 0; i < m->n_group; i++) {
        const struct lora_group *g = &m->lora->groups[i];
        struct span a = span_at(gradients, (size_t)g->a * 4);
        if (g->n_module)
            tensor_scale(
                q, &(struct scale_args){(size_t)(g->n_module * m->lora->rank * m->groups[i].k), m->lora->scale, a, a});
    }
}
