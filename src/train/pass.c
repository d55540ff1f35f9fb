/* SPDX-License-Identifier: Apache-2.0 */
/* Forward and backward of one micro-batch.
 *
 * Everything accumulates in place in a fixed order: weight gradients continue their chains over token rows from one
 * micro-batch to the next, the vocabulary projection exists for `chunk` target rows at a time, and the residual
 * stream's gradient at the embedding is kept for the whole step, so that look-up gradients can be added behind the
 * (tied) head's. That is why the split of a step into micro-batches changes no bit. Target rows of a sequence are
 * padded to an even number, as its token rows are; a padding row has target -1 and zero gradient. Where rows of a
 * sequence are summed in pieces, the pieces are counted from its own beginning: chunks of the projection hold whole
 * blocks of them. */
#include "train/parts.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

enum {
    LOGIT_BYTES = 64 << 20,
    BLOCK = 256, /* target rows of one sequence that stay together */
    STRETCH =
        /* vocabulary entries in one chain of the head's dx: in longer ones the many tiny terms would be lost against
         * the sum */
    2048,
};

static int64_t logit_width(const struct model_desc *d)
{
    return d->task == MODEL_LM ? d->n_vocab : d->n_label;
}

static int logit_rows(const struct model_desc *d, const struct order_sizes *s)
{
    int64_t fit = LOGIT_BYTES / 4 / logit_width(d);
    fit = fit < BLOCK ? BLOCK : fit;
    return fit < s->targets && d->task == MODEL_LM ? (int)fit : s->targets;
}

static struct norm_kept carve_kept(struct carver *c, const struct model_desc *d, size_t rows)
{
    struct norm_kept k = {carve(c, rows, 1, DTYPE_F32), SPAN_NONE};
    if (d->norm == NORM_LAYER)
        k.mean = carve(c, rows, 1, DTYPE_F32);
    return k;
}

/* What layer_backward reads. With recomputation one set serves all layers. */
static void carve_saved(struct carver *c, const struct model_desc *d, enum dtype act, int tokens, struct layer_io *io)
{
    size_t t = (size_t)tokens;
    int by_head = d->qk_norm == QK_HEAD;
    io->kept1 = carve_kept(c, d, t);
    io->kept2 = carve_kept(c, d, t);
    io->qkv = carve(c, t, ((int64_t)d->n_head + 2 * d->n_kv_head) * d->head_dim, DTYPE_F32);
    io->lse = carve(c, t, d->n_head, DTYPE_F32);
    io->att = carve(c, t, (int64_t)d->n_head * d->head_dim, DTYPE_F32);
    io->mid = carve(c, t, d->n_embd, DTYPE_F32);
    io->gate_up_dtype = act;
    io->gate_up = carve(c, t, desc_up_width(d), act);
    io->att_dtype = DTYPE_F32;
    if (d->qk_norm) {
        io->qkv_raw = carve(c, t, ((int64_t)d->n_head + 2 * d->n_kv_head) * d->head_dim, DTYPE_F32);
        io->inverse_q = carve(c, t, by_head ? d->n_head : 1, DTYPE_F32);
        io->inverse_k = carve(c, t, by_head ? d->n_kv_head : 1, DTYPE_F32);
    }
    if (d->place != PLACE_PRE) {
        io->raw1 = carve(c, t, d->n_embd, DTYPE_F32);
        io->raw2 = carve(c, t, d->n_embd, DTYPE_F32);
        io->kept3 = carve_kept(c, d, t);
        io->kept4 = carve_kept(c, d, t);
    }
}

static void carve_layers(struct carver *c, const struct model_desc *d, enum dtype act, const struct order_sizes *s,
                         struct pass *p)
{
    size_t t = (size_t)s->tokens;
    struct span h = carve(c, t, d->n_embd, act), mlp = carve(c, t, d->n_ff, act), x = carve(c, t, d->n_embd, DTYPE_F32);
    struct span wide = act == DTYPE_BF16 ? carve(c, t, desc_up_width(d), DTYPE_F32) : SPAN_NONE,
                u = carve(c, t, p->adapter, act);
    struct layer_io io = {.post = d->place == PLACE_PRE ? SPAN_NONE : carve(c, t, d->n_embd, DTYPE_F32)};
    carve_rotations(c, d, s->tokens, &io);
    for (int l = 0; l < d->n_layer; l++) {
        if (!p->recompute || l == 0)
            carve_saved(c, d, act, s->tokens, &io);
        io.h1 = io.h2 = h;
        io.mlp = mlp;
        io.wide = wide;
        io.u = u;
        io.x = x;
        x = io.y = carve(c, t, d->n_embd, DTYPE_F32);
        if (p->layers)
            p->layers[l] = io;
    }
    p->last = x;
}

static void carve_pass(struct carver *c, const struct model_desc *d, enum dtype dtype, const struct order_sizes *s,
                       struct pass *p)
{
    enum dtype act = dtype == DTYPE_BF16 ? DTYPE_BF16 : DTYPE_F32;
    size_t t = (size_t)s->tokens, n = (size_t)s->targets;
    carve_layers(c, d, act, s, p);
    p->grad.dh = carve(c, t, d->n_embd, DTYPE_F32);
    p->grad.dpost = d->place != PLACE_PRE || d->parallel ? carve(c, t, d->n_embd, DTYPE_F32) : SPAN_NONE;
    p->grad.dqkv = carve(c, t, ((int64_t)d->n_head + 2 * d->n_kv_head) * d->head_dim, DTYPE_F32);
    p->grad.datt = carve(c, t, (int64_t)d->n_head * d->head_dim, DTYPE_F32);
    p->grad.dmlp = carve(c, t, d->n_ff, DTYPE_F32);
    p->grad.du = carve(c, t, p->adapter, DTYPE_F32);
    p->head_x = carve(c, n, d->n_embd, DTYPE_F32);
    p->head_kept = carve_kept(c, d, n);
    p->head_h = carve(c, n, d->n_embd, act);
    p->head_out = d->n_word ? carve(c, n, d->n_word, act) : p->head_h;
    p->head_dh = carve(c, n, model_width(d), DTYPE_F32);
    p->head_dx = d->n_word ? carve(c, n, d->n_embd, DTYPE_F32) : p->head_dh;
    size_t kept = p->adapter ? t : (size_t)s->step_tokens;
    p->words = d->n_word ? carve(c, kept, d->n_word, DTYPE_F32) : SPAN_NONE;
    p->chunk = logit_rows(d, s);
    p->logits = carve(c, (size_t)p->chunk, logit_width(d), DTYPE_F32);
    p->out_rows = carve(c, n, 1, DTYPE_I32);
    p->targets = carve(c, n, 1, DTYPE_I32);
    p->borders = carve(c, n + 2, 1, DTYPE_I32);
    p->soft_ids = s->n_top ? carve(c, n, s->n_top, DTYPE_I32) : SPAN_NONE;
    p->soft_logprobs = s->n_top ? carve(c, n, s->n_top, DTYPE_F32) : SPAN_NONE;
    p->nll = carve(c, (size_t)s->step_targets, 1, DTYPE_F32);
    p->step_dx = carve(c, kept, d->n_embd, DTYPE_F32);
    p->step_tokens = carve(c, (size_t)s->step_tokens, 1, DTYPE_I32);
    p->step_positions = d->n_position ? carve(c, (size_t)s->step_tokens, 1, DTYPE_I32) : SPAN_NONE;
}

size_t pass_bytes(const struct model_desc *d, enum dtype dtype, int recompute, int adapter, const struct order_sizes *s)
{
    struct carver c = {NULL, 0};
    struct pass p = {.recompute = recompute, .adapter = adapter};
    carve_pass(&c, d, dtype, s, &p);
    return c.used;
}

int pass_new(struct pass *p, const struct model *m, int recompute, const struct order_sizes *s, struct error *err)
{
    const struct model_desc *d = &m->desc;
    *p = (struct pass){
        .m = m, .q = device_queue(m->device), .sizes = *s, .recompute = recompute, .adapter = lora_widest(m)};
    size_t host = (size_t)s->step_targets * 4, logits = (size_t)logit_rows(d, s) * (size_t)d->n_label * 4,
           soft = (size_t)s->targets * (size_t)s->n_top;
    p->layers = mem_calloc((size_t)d->n_layer, sizeof *p->layers);
    p->host_rows = mem_alloc(host);
    p->host_targets = mem_alloc(host);
    p->host_nll = mem_alloc(host);
    p->host_borders = mem_alloc(((size_t)s->targets + 2) * 4);
    p->chunks = mem_alloc(((size_t)s->targets / 2 + 1) * sizeof *p->chunks);
    p->host_logits = mem_alloc(logits);
    p->host_soft = (struct soft_lists){s->n_top, 0, mem_alloc(soft * 4 + 1), mem_alloc(soft * 4 + 1)};
    if (!p->host_soft.ids || !p->host_soft.logprobs)
        return error_set_nomem(err, soft * 8, "soft targets");
    if (!p->layers || !p->host_rows || !p->host_targets || !p->host_nll || !p->host_logits || !p->host_borders ||
        !p->chunks)
        return error_set_nomem(err, host, "a training pass");
    int rc = rows_new(&p->rows, m->device, s->tokens, s->sequences, err);
    if (rc || (rc = buffer_new(&p->slab, m->device, pass_bytes(d, m->compute, recompute, p->adapter, s),
                               "activations and their gradients", err)))
        return rc;
    struct carver c = {p->slab, 0};
    carve_pass(&c, d, m->compute, s, p);
    return 0;
}

void pass_free(struct pass *p)
{
    if (p->q)
        queue_drain(p->q);
    rows_free(&p->rows);
    buffer_free(p->slab);
    mem_free(p->layers);
    mem_free(p->host_rows);
    mem_free(p->host_targets);
    mem_free(p->host_nll);
    mem_free(p->host_borders);
    mem_free(p->chunks);
    mem_free(p->host_logits);
    mem_free(p->host_soft.ids);
    mem_free(p->host_soft.logprobs);
    *p = (struct pass){0};
}

/* Products of the first micro-batch write the gradients of matrices anew; zeroed are those that only ever are added
 * to. gradients: the place of the flat order's beginning. */
static void zero_rest(struct pass *p, struct span gradients, struct flat_range only)
{
    const struct model *m = p->m;
    for (int i = 0; i < m->n_group; i++) {
        const struct model_group *g = &m->groups[i];
        if (g->offset < only.first || g->offset >= only.end)
            continue;
        if (g->is_vector || (i == 0 && m->head != 0) || (m->positions && i == m->positions))
            tensor_fill(p->q,
                        &(struct fill_args){(size_t)(g->n * g->k) * 4, span_at(gradients, (size_t)g->offset * 4)});
    }
}

void pass_begin(struct pass *p, struct span gradients)
{
    p->step_row = p->step_target = 0;
    p->label_loss = 0;
    p->fresh = 1;
    if (gradients.buffer && p->m->lora)
        tensor_fill(p->q, &(struct fill_args){(size_t)p->m->lora->n_element * 4, gradients});
    else if (gradients.buffer && !p->share)
        zero_rest(p, gradients, (struct flat_range){0, p->m->n_element});
}

/* Where a stage's gradients go. */
static struct span begin_stage(struct pass *p, int stage, struct span gradients)
{
    if (!p->share || !gradients.buffer)
        return gradients;
    const struct stage *s = &p->share->cut.stages[stage];
    struct span at = share_begin_stage(p->share, stage);
    if (p->fresh)
        zero_rest(p, at, (struct flat_range){s->first, s->last});
    return at;
}

static void end_stage(struct pass *p, int stage)
{
    if (p->share && p->is_last)
        share_end_stage(p->share, stage);
}

static void add_target(struct pass *p, int *n, int row, int target)
{
    p->host_rows[*n] = row;
    p->host_targets[(*n)++] = target;
}

/* Ends the block of target rows before `end`, in the chunk it still fits or in a new one. */
static void close_block(struct pass *p, int end)
{
    struct head_chunk *c = p->n_chunk ? &p->chunks[p->n_chunk - 1] : NULL;
    if (end == p->block)
        return;
    if (!c || end - c->first > p->chunk) {
        c = &p->chunks[p->n_chunk++];
        *c = (struct head_chunk){.first = p->block, .border = p->n_border};
        p->host_borders[p->n_border++] = 0;
    }
    c->n = end - c->first;
    c->n_block++;
    p->host_borders[p->n_border++] = c->n;
    p->block = end;
}

/* Lays the rows out and uploads them; returns the number of target rows, padding included. */
static int load_rows(struct pass *p, const struct train_row *const *rows, int n)
{
    int task = (int)p->m->desc.task, n_target = 0;
    rows_reset(&p->rows);
    p->n_chunk = p->n_border = p->block = 0;
    for (int i = 0; i < n; i++) {
        const struct train_row *r = rows[i];
        int tokens = task == MODEL_LM ? row_tokens(r, task) : r->n, first = rows_add(&p->rows, r->ids, tokens);
        rows_begin_text(&p->rows, first, r->n);
        if (task != MODEL_LM)
            add_target(p, &n_target, first + model_pool_row(&p->m->desc, r->ids, tokens), 0);
        if (r->n_rejected)
            add_target(p, &n_target,
                       rows_add(&p->rows, r->rejected, r->n_rejected) +
                           model_pool_row(&p->m->desc, r->rejected, r->n_rejected),
                       0);
        for (int j = 1; task == MODEL_LM && j <= tokens; j++)
            if (r->target[j]) {
                if (n_target - p->block == BLOCK)
                    close_block(p, n_target);
                add_target(p, &n_target, first + j - 1, r->ids[j]);
            }
        if (n_target & 1)
            add_target(p, &n_target, first, -1);
        close_block(p, n_target);
    }
    rows_upload(&p->rows, p->q);
    queue_upload(p->q, p->out_rows, p->host_rows, (size_t)n_target * 4);
    queue_upload(p->q, p->targets, p->host_targets, (size_t)n_target * 4);
    queue_upload(p->q, p->borders, p->host_borders, (size_t)p->n_border * 4);
    queue_upload(p->q, span_at(p->step_tokens, (size_t)p->step_row * 4), p->rows.tokens, (size_t)p->rows.n_row * 4);
    if (p->step_positions.buffer)
        queue_upload(p->q, span_at(p->step_positions, (size_t)p->step_row * 4), p->rows.positions,
                     (size_t)p->rows.n_row * 4);
    return n_target;
}

static void load_soft(struct pass *p, const struct train_row *const *rows, int n)
{
    struct soft_lists *l = &p->host_soft;
    l->n = 0;
    for (int i = 0; i < n; i++)
        soft_lists_add(l, rows[i]);
    size_t bytes = (size_t)l->n * (size_t)l->n_top * 4;
    queue_upload(p->q, p->soft_ids, l->ids, bytes);
    queue_upload(p->q, p->soft_logprobs, l->logprobs, bytes);
}

static void label_gradients(struct pass *p, const struct train_row *const *rows, int n_target, float grad_scale)
{
    size_t bytes = (size_t)n_target * (size_t)p->m->desc.n_label * 4;
    queue_download(p->q, p->host_logits, p->logits, bytes);
    queue_drain(p->q); /* a failure comes back with pass_loss */
    head_loss(&p->m->desc, rows, n_target / 2, p->host_logits, (double)grad_scale, &p->label_loss);
    queue_upload(p->q, p->logits, p->host_logits, bytes);
}

/* Gradient of the head's input: chains over stretches of the vocabulary, added in order. */
static void head_dx(struct pass *p, int n, struct span dx)
{
    const struct model_group *head = &p->m->groups[p->m->head];
    for (int64_t first = 0; first < head->n; first += STRETCH)
        tensor_linear_dx(p->q, &(struct linear_dx_args){.w = head->weight,
                                                        .n_row = n,
                                                        .dy = p->logits,
                                                        .dx = dx,
                                                        .accumulate = first > 0,
                                                        .first = first,
                                                        .count = head->n - first < STRETCH ? head->n - first : STRETCH,
                                                        .way = model_way(p->m)});
}

static void project_out_dw(struct pass *p, const struct head_chunk *c, struct span gradients)
{
    const struct model_group *g = &p->m->groups[p->m->project_out];
    enum dtype act = model_act_dtype(p->m);
    tensor_linear_dw(
        p->q, &(struct linear_dw_args){.n = g->n,
                                       .k = g->k,
                                       .n_row = c->n,
                                       .compute = act,
                                       .dy = span_at(p->head_dh, (size_t)c->first * (size_t)g->n * 4),
                                       .x = span_at(p->head_h, (size_t)c->first * (size_t)g->k * dtype_size(act)),
                                       .x_dtype = act,
                                       .dw = span_at(gradients, (size_t)g->offset * 4),
                                       .borders = span_at(p->borders, (size_t)c->border * 4),
                                       .n_seq = c->n_block,
                                       .fresh = p->fresh && c == p->chunks});
}

/* Losses of a chunk's logits, which become their gradients. */
static void token_loss(struct pass *p, const struct head_chunk *c, float grad_scale)
{
    const struct model_desc *d = &p->m->desc;
    int n_top = p->sizes.n_top;
    struct span loss = span_at(p->nll, (size_t)(p->step_target + c->first) * 4);
    if (n_top) {
        size_t lists = (size_t)c->first * (size_t)n_top * 4;
        tensor_divergence(p->q, &(struct divergence_args){.n_row = c->n,
                                                          .n_vocab = d->n_vocab,
                                                          .n_top = n_top,
                                                          .logits = p->logits,
                                                          .ids = span_at(p->soft_ids, lists),
                                                          .logprobs = span_at(p->soft_logprobs, lists),
                                                          .loss = loss,
                                                          .grad_scale = grad_scale,
                                                          .soft_cap = d->logit_cap});
        return;
    }
    tensor_cross_entropy(p->q, &(struct cross_entropy_args){.n_row = c->n,
                                                            .n_vocab = d->n_vocab,
                                                            .logits = p->logits,
                                                            .targets = span_at(p->targets, (size_t)c->first * 4),
                                                            .nll = loss,
                                                            .grad_scale = grad_scale,
                                                            .soft_cap = d->logit_cap});
}

/* Beside adapters a classifier's head alone is trained. */
static struct span head_gradient(const struct model *m, struct span gradients)
{
    int64_t at = m->lora ? m->lora->head : m->groups[m->head].offset;
    return m->lora && at == m->lora->n_element ? SPAN_NONE : span_at(gradients, (size_t)at * 4);
}

/* Logits, loss and the head's gradients of one chunk of target rows. dw: the head's. */
static void head_chunk(struct pass *p, const struct train_row *const *rows, const struct head_chunk *c,
                       float grad_scale, struct span dw)
{
    const struct model *m = p->m;
    const struct model_group *head = &m->groups[m->head];
    enum dtype act = model_act_dtype(m);
    size_t row = (size_t)c->first * (size_t)model_width(&m->desc);
    struct span h = span_at(p->head_out, row * dtype_size(act));
    tensor_linear(p->q, &(struct linear_args){.w = head->weight,
                                              .n_row = c->n,
                                              .x = h,
                                              .x_dtype = act,
                                              .y = p->logits,
                                              .bias = group_vector(m, m->head_bias),
                                              .way = model_way(m)});
    if (m->desc.task == MODEL_LM && m->desc.logit_cap > 0)
        tensor_soft_cap(p->q,
                        &(struct soft_cap_args){(size_t)c->n * (size_t)m->desc.n_vocab, m->desc.logit_cap, p->logits});
    if (m->desc.task == MODEL_LM)
        token_loss(p, c, grad_scale);
    else
        label_gradients(p, rows, c->n, grad_scale);
    if (grad_scale == 0)
        return;
    if (dw.buffer)
        tensor_linear_dw(p->q, &(struct linear_dw_args){.n = head->n,
                                                        .k = head->k,
                                                        .n_row = c->n,
                                                        .compute = act,
                                                        .dy = p->logits,
                                                        .x = h,
                                                        .x_dtype = act,
                                                        .dw = dw,
                                                        .borders = span_at(p->borders, (size_t)c->border * 4),
                                                        .n_seq = c->n_block,
                                                        .fresh = p->fresh && c == p->chunks});
    head_dx(p, c->n, span_at(p->head_dh, row * 4));
}

/* Of a group that may not be there, and is not trained beside adapters. */
static struct span gradient_at(const struct model *m, int group, struct span gradients)
{
    return group && !m->lora ? span_at(gradients, (size_t)m->groups[group].offset * 4) : SPAN_NONE;
}

/* From head_dh to the gradient of head_x, which is returned. */
static struct span final_norm_backward(struct pass *p, int n_target, struct span gradients)
{
    const struct model *m = p->m;
    struct span dx =
        p->grad.dh; /* free here, and no smaller than head_x: target rows are token rows, or their padding */
    if (m->project_out)
        tensor_linear_dx(p->q, &(struct linear_dx_args){.w = m->groups[m->project_out].weight,
                                                        .n_row = n_target,
                                                        .dy = p->head_dh,
                                                        .dx = p->head_dx,
                                                        .way = model_way(m)});
    if (!m->desc.final_norm)
        return p->head_dx;
    tensor_norm_dx(p->q, &(struct norm_dx_args){.kind = m->desc.norm,
                                                .n_row = n_target,
                                                .n_col = m->desc.n_embd,
                                                .offset = m->desc.norm_offset,
                                                .x = p->head_x,
                                                .weight = group_vector(m, m->final_norm),
                                                .inverse = p->head_kept.inverse,
                                                .mean = p->head_kept.mean,
                                                .dy = p->head_dx,
                                                .dx = dx,
                                                .dweight = gradient_at(m, m->final_norm, gradients),
                                                .dbias = gradient_at(m, m->final_norm_bias, gradients)});
    return dx;
}

/* From the residual stream behind the last layer to the loss, and back to its gradient in grad.dx. */
static void head_run(struct pass *p, const struct train_row *const *rows, int n_target, float grad_scale,
                     struct span gradients)
{
    const struct model *m = p->m;
    int c = m->desc.n_embd;
    enum dtype act = model_act_dtype(m);
    tensor_gather_rows(p->q, &(struct gather_rows_args){n_target, c, p->last, p->out_rows, p->head_x});
    final_norm_forward(m, p->q, n_target, p->head_x, p->head_kept, (struct typed_span){p->head_h, act});
    if (m->project_out)
        project_out_forward(m, p->q, n_target, (struct typed_span){p->head_h, act},
                            (struct typed_span){p->head_out, act});
    struct span own = begin_stage(p, m->desc.n_layer + 1, gradients);
    struct span dw = head_gradient(m, m->head ? own : begin_stage(p, 0, gradients));
    for (int i = 0; i < p->n_chunk; i++) {
        head_chunk(p, rows, &p->chunks[i], grad_scale, dw);
        if (m->project_out && !m->lora && grad_scale != 0)
            project_out_dw(p, &p->chunks[i], own);
    }
    if (grad_scale == 0)
        return;
    struct span dx = final_norm_backward(p, n_target, own);
    end_stage(p, m->desc.n_layer + 1);
    tensor_fill(p->q, &(struct fill_args){(size_t)p->rows.n_row * (size_t)c * 4, p->grad.dx});
    tensor_scatter_add_rows(p->q, &(struct scatter_add_rows_args){n_target, c, dx, p->out_rows, p->grad.dx});
}

void pass_run(struct pass *p, const struct train_row *const *rows, int n, float grad_scale, struct span gradients)
{
    const struct model *m = p->m;
    struct model_batch b;
    int n_target = load_rows(p, rows, n), n_layer = m->desc.n_layer;
    if (p->sizes.n_top)
        load_soft(p, rows, n);
    rows_batch(&p->rows, &b);
    p->grad.dx = span_at(p->step_dx, m->lora ? 0 : (size_t)p->step_row * (size_t)m->desc.n_embd * 4);
    p->grad.fresh = p->fresh;
    embed_forward(m, p->q, &b, p->layers[0].x, p->words);
    rotations_forward(m, p->q, &b, &p->layers[0]);
    for (int l = 0; l < n_layer; l++)
        layer_forward(m, p->q, l, &b, &p->layers[l]);
    head_run(p, rows, n_target, grad_scale, gradients);
    for (int l = n_layer - 1; l >= 0 && grad_scale != 0; l--) {
        if (p->recompute && l != n_layer - 1)
            layer_forward(m, p->q, l, &b, &p->layers[l]);
        p->grad.gradients = begin_stage(p, l + 1, gradients);
        layer_backward(m, p->q, l, &b, &p->layers[l], &p->grad);
        end_stage(p, l + 1);
    }
    p->fresh = 0;
    p->step_row += b.n_row;
    p->step_target += n_target;
}

/* From the gradient of what the first layer reads to that of the embedding's rows. */
static void project_in_backward(struct pass *p, struct embed_dw_args *a, struct span gradients)
{
    const struct model *m = p->m;
    const struct model_group *g = &m->groups[m->project_in];
    tensor_embed(p->q, &(struct embed_args){
                           .w = m->groups[0].weight, .n_row = p->step_row, .tokens = p->step_tokens, .y = p->words});
    tensor_linear_dw(p->q, &(struct linear_dw_args){.n = g->n,
                                                    .k = g->k,
                                                    .n_row = p->step_row,
                                                    .compute = model_act_dtype(m),
                                                    .dy = p->step_dx,
                                                    .x = p->words,
                                                    .x_dtype = DTYPE_F32,
                                                    .dw = gradient_at(m, m->project_in, gradients),
                                                    .fresh = 1});
    tensor_linear_dx(p->q,
                     &(struct linear_dx_args){.w = g->weight, .n_row = p->step_row, .dy = p->step_dx, .dx = p->words});
    a->dy = p->words;
    a->n_col = (int)g->k;
}

void pass_end(struct pass *p, struct span gradients)
{
    if (p->m->lora) {
        lora_finish_gradients(p->m, p->q, gradients);
        return;
    }
    const struct model *m = p->m;
    const struct model_desc *d = &m->desc;
    if (p->share)
        gradients = share_begin_stage(p->share, 0);
    if (p->share && m->head)
        zero_rest(p, gradients, (struct flat_range){0, p->share->cut.stages[0].last});
    struct embed_dw_args a = {.n_vocab = d->n_vocab,
                              .n_row = p->step_row,
                              .n_col = d->n_embd,
                              .tokens = p->step_tokens,
                              .dy = p->step_dx,
                              .dw = gradients};
    if (m->positions) {
        struct embed_dw_args positions = a;
        positions.tokens = p->step_positions;
        positions.offset = d->position_offset;
        positions.dw = span_at(gradients, (size_t)m->groups[m->positions].offset * 4);
        tensor_embed_dw(p->q, &positions);
    }
    if (d->embed_scale > 0)
        tensor_scale(p->q, &(struct scale_args){(size_t)p->step_row * (size_t)d->n_embd, d->embed_scale, p->step_dx,
                                                p->step_dx});
    if (m->project_in)
        project_in_backward(p, &a, gradients);
    tensor_embed_dw(p->q, &a);
    end_stage(p, 0);
}

int pass_loss(struct pass *p, double *loss, struct error *err)
{
    int labels = p->m->desc.task != MODEL_LM;
    *loss = p->label_loss;
    if (!labels)
        queue_download(p->q, p->host_nll, p->nll, (size_t)p->step_target * 4);
    int rc = queue_wait(p->q, err);
    for (int i = 0; !rc && !labels && i < p->step_target; i++)
        *loss += (double)p->host_nll[i];
    return rc;
}
