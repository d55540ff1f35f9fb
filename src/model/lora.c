/* SPDX-License-Identifier: Apache-2.0 */
#include "model/lora.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

static const struct { const char *name, *place; enum layer_part part; } modules[LORA_N_MODULE] = {
    {"q_proj", "self_attn", PART_QKV}, {"k_proj", "self_attn", PART_QKV}, {"v_proj", "self_attn", PART_QKV}, {"o_proj", "self_attn", PART_O},
    {"gate_proj", "mlp", PART_GATE_UP}, {"up_proj", "mlp", PART_GATE_UP}, {"down_proj", "mlp", PART_DOWN},
};

struct shape { int64_t row, n, k; }; /* rows of the group, inputs */

static struct shape module_shape(const struct model_desc *d, int i)
{
    int64_t c = d->n_embd, q = (int64_t)d->n_head * d->head_dim, kv = (int64_t)d->n_kv_head * d->head_dim, f = d->n_ff;
    const struct shape shapes[LORA_N_MODULE] = {{0, q, c}, {q, kv, c}, {q + kv, kv, c}, {0, c, q}, {0, f, c}, {d->gated ? f : 0, f, c}, {0, c, f}};
    return shapes[i];
}

/* An MLP without a gate has no gate_proj. */
static int is_there(const struct model_desc *d, int i)
{
    return d->gated || strcmp(modules[i].name, "gate_proj");
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

static int check_targets(const char *targets, struct error *err)
{
    for (const char *at = targets; strcmp(targets, "all-linear");) {
        size_t n = strcspn(at, ",");
        int known = 0;
        for (int i = 0; i < LORA_N_MODULE; i++)
            known |= strlen(modules[i].name) == n && !strncmp(at, modules[i].name, n);
        if (!known)
            return error_set(err, ERROR_USAGE, "lora_target_modules: wanted some of q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj with commas between, or all-linear, found \"%.*s\"", (int)n, at);
        if (!at[n])
            break;
        at += n + 1;
    }
    return 0;
}

void lora_targets(const struct lora_options *o, const char *names[LORA_N_MODULE + 1])
{
    int n = 0;
    for (int i = 0; i < LORA_N_MODULE; i++)
        if (is_target(o->targets, modules[i].name))
            names[n++] = modules[i].name;
    names[n] = NULL;
}

static int64_t aligned(int64_t n)
{
    return (n + 15) / 16 * 16;
}

/* Places of one layer's adapters from *at on, into groups[part] when given. */
static void place_layer(const struct model_desc *d, const struct lora_options *o, int64_t *at, int *widest, struct lora_group *groups)
{
    for (int part = 0; part < PART_COUNT; part++) {
        struct lora_group g = {0};
        int64_t k = 0;
        for (int i = 0; i < LORA_N_MODULE; i++)
            if ((int)modules[i].part == part && is_there(d, i) && is_target(o->targets, modules[i].name)) {
                struct shape s = module_shape(d, i);
                k = s.k;
                g.modules[g.n_module++] = (struct lora_module){.row = s.row, .n = s.n};
            }
        g.a = *at;
        *at += aligned(g.n_module * o->r * k);
        for (int i = 0; i < g.n_module; i++) {
            g.modules[i].b = *at;
            *at += aligned(g.modules[i].n * o->r);
        }
        *widest = g.n_module * o->r > *widest ? g.n_module * o->r : *widest;
        if (groups)
            groups[part] = g;
    }
}

int lora_sizes(const struct model_desc *d, const struct lora_options *o, int64_t *n_element, int *widest, struct error *err)
{
    *n_element = 0;
    *widest = 0;
    int rc = check_targets(o->targets, err);
    for (int l = 0; !rc && l < d->n_layer; l++)
        place_layer(d, o, n_element, widest, NULL);
    return rc;
}

/* A's, then B's of a group, with PEFT's names. */
static int name_params(struct model *m, int layer, int part, const struct lora_options *o, struct error *err)
{
    struct lora *lora = m->lora;
    const struct lora_group *g = &lora->groups[layer_index(m, layer, (enum layer_part)part)];
    for (int b = 0; b < 2; b++)
        for (int i = 0, at = 0; i < LORA_N_MODULE; i++) {
            struct shape s = module_shape(&m->desc, i);
            char name[160];
            if ((int)modules[i].part != part || !is_there(&m->desc, i) || !is_target(o->targets, modules[i].name))
                continue;
            snprintf(name, sizeof name, "base_model.model.model.layers.%d.%s.%s.lora_%c.weight", layer, modules[i].place, modules[i].name, b ? 'B' : 'A');
            struct model_param *p = &lora->params[lora->n_param++];
            *p = (struct model_param){.name = arena_strdup(&m->arena, name), .ndim = 2, .decay = 1, .shape = {b ? s.n : o->r, b ? o->r : s.k},
                                      .offset = b ? g->modules[at].b : g->a + at * o->r * s.k, .count = b ? s.n * o->r : o->r * s.k};
            if (!p->name)
                return error_set_nomem(err, sizeof name, "an adapter");
            at++;
        }
    return 0;
}

static int make_weights(struct model *m, int64_t *largest, struct error *err)
{
    struct lora *lora = m->lora;
    int rc = 0;
    for (int i = 0; !rc && i < m->n_group; i++) {
        struct lora_group *g = &lora->groups[i];
        int64_t rank = (int64_t)g->n_module * lora->rank, k = m->groups[i].k;
        if (!g->n_module)
            continue;
        *largest = rank * k > *largest ? rank * k : *largest;
        rc = weight_new(&g->weight, m->device, rank, k, m->dtype, "an adapter", err);
        for (int j = 0; !rc && j < g->n_module; j++)
            rc = weight_new(&g->modules[j].weight, m->device, g->modules[j].n, lora->rank, m->dtype, "an adapter", err);
    }
    return rc;
}

int lora_add(struct model *m, const struct lora_options *o, struct error *err)
{
    int rc = check_targets(o->targets, err), widest = 0;
    int64_t largest = 1;
    size_t n_param = (size_t)m->desc.n_layer * LORA_N_MODULE * 2;
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
    if (!rc)
        rc = make_weights(m, &largest, err);
    if (!rc)
        rc = buffer_new(&lora->stage, m->device, (size_t)largest * 4, "an adapter", err);
    if (rc)
        lora_remove(m);
    return rc;
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
    for (int i = 0; i < m->lora->n_param; i++) {
        const struct model_param *p = &m->lora->params[i];
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
        tensor_scale(q, &(struct scale_args){(size_t)(rank * m->groups[i].k), lora->scale, span_at(masters, (size_t)g->a * 4), stage});
        tensor_weight_pack(q, &(struct weight_pack_args){g->weight, 0, rank, stage, DTYPE_F32, 0});
        for (int j = 0; j < g->n_module; j++)
            tensor_weight_pack(q, &(struct weight_pack_args){g->modules[j].weight, 0, g->modules[j].n, span_at(masters, (size_t)g->modules[j].b * 4), DTYPE_F32, 0});
    }
}

/* The j-th module's columns of u or du. */
static struct span columns(struct span u, int j, int rank, enum dtype t)
{
    return span_at(u, (size_t)j * (size_t)rank * dtype_size(t));
}

static void down(const struct model *m, struct queue *q, const struct lora_group *g, int n_row, struct span x, enum dtype x_dtype, struct span u)
{
    tensor_linear(q, &(struct linear_args){.w = g->weight, .n_row = n_row, .x = x, .x_dtype = x_dtype, .y = u, .y_dtype = model_act_dtype(m)});
}

void lora_forward(const struct model *m, struct queue *q, const struct lora_group *g, int n_row, struct span x, enum dtype x_dtype, struct span u, struct span y, int64_t y_stride)
{
    enum dtype act = model_act_dtype(m);
    int rank = m->lora->rank;
    down(m, q, g, n_row, x, x_dtype, u);
    for (int j = 0; j < g->n_module; j++) {
        struct span to = span_at(y, (size_t)g->modules[j].row * 4);
        tensor_linear(q, &(struct linear_args){.w = g->modules[j].weight, .n_row = n_row, .x = columns(u, j, rank, act), .x_dtype = act, .x_stride = (int64_t)g->n_module * rank,
                                               .y = to, .y_stride = y_stride, .residual = to, .residual_stride = y_stride});
    }
}

void lora_backward(const struct model *m, struct queue *q, const struct model_batch *b, const struct lora_group *g, struct span dy, int64_t dy_stride, struct span x,
                   enum dtype x_dtype, struct span u, struct span du, struct span dx, struct span gradients)
{
    enum dtype act = model_act_dtype(m);
    int rank = m->lora->rank;
    int64_t all = (int64_t)g->n_module * rank;
    down(m, q, g, b->n_row, x, x_dtype, u);
    for (int j = 0; j < g->n_module; j++) {
        const struct lora_module *p = &g->modules[j];
        struct span from = span_at(dy, (size_t)p->row * 4);
        tensor_linear_dw(q, &(struct linear_dw_args){.n = p->n, .k = rank, .n_row = b->n_row, .borders = b->borders, .n_seq = b->n_seq, .compute = act, .dy = from,
                                                     .dy_stride = dy_stride, .x = columns(u, j, rank, act), .x_dtype = act, .x_stride = all,
                                                     .dw = span_at(gradients, (size_t)p->b * 4)});
        tensor_linear_dx(q, &(struct linear_dx_args){.w = p->weight, .n_row = b->n_row, .dy = from, .dy_stride = dy_stride, .dx = columns(du, j, rank, DTYPE_F32), .dx_stride = all});
    }
    tensor_linear_dw(q, &(struct linear_dw_args){.n = all, .k = weight_k(g->weight), .n_row = b->n_row, .borders = b->borders, .n_seq = b->n_seq, .compute = act, .dy = du, .x = x,
                                                 .x_dtype = x_dtype, .dw = span_at(gradients, (size_t)g->a * 4)});
    if (dx.buffer)
        tensor_linear_dx(q, &(struct linear_dx_args){.w = g->weight, .n_row = b->n_row, .dy = du, .dx = dx, .accumulate = 1});
}

void lora_finish_gradients(const struct model *m, struct queue *q, struct span gradients)
{
    for (int i = 0; i < m->n_group; i++) {
        const struct lora_group *g = &m->lora->groups[i];
        struct span a = span_at(gradients, (size_t)g->a * 4);
        if (g->n_module)
            tensor_scale(q, &(struct scale_args){(size_t)(g->n_module * m->lora->rank * m->groups[i].k), m->lora->scale, a, a});
    }
}
