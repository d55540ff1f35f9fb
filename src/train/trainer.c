/* SPDX-License-Identifier: Apache-2.0 */
/* The loop. One optimizer step is: zero the gradients, run its micro-batches, look at the loss and the gradient's norm,
 * let AdamW write the masters and pack them. Nothing in it allocates. Between steps come the log line, checkpoints and
 * the question whether to stop. */
#include "train/parts.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "dist/dist.h"
#include "io/file.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static struct span element_at(struct buffer *b, int64_t element)
{
    return (struct span){b, (size_t)element * 4};
}

/* What the step's summed loss is divided by. */
static double step_weight(const struct trainer *t, long *targets, long *tokens)
{
    double weight = 0;
    *targets = *tokens = 0;
    for (int i = 0; i < t->order.n_row; i++) {
        const struct train_row *r = t->order.rows[i];
        weight += row_weight(r, &t->m->desc);
        *targets += row_targets(r, (int)t->m->desc.task);
        *tokens += r->n + r->n_rejected;
    }
    return weight;
}

/* beta^step by repeated squaring: the same bits everywhere. */
static double beta_power(double beta, long n)
{
    double result = 1;
    for (; n; n >>= 1, beta *= beta)
        if (n & 1)
            result *= beta;
    return result;
}

/* What the packing behind step `step` is rounded by; weights that were read, not trained, are rounded to nearest. */
static uint64_t pack_noise(const struct trainer *t, long step)
{
    const struct train_options *o = t->job->options;
    return o->bf16_random && step > 0 ? ((o->seed + 1) * 0xd1b54a32d192ed03u ^ (uint64_t)step * 0x9e3779b97f4a7c15u) | 1
                                      : 0;
}

/* Of the flat order: a group, or an adapter; what is a weight's is packed at once. */
struct update {
    struct flat_range range;
    struct weight *weight;
    double decay, lr, grad_scale; /* grad_scale: what gradients are multiplied by */
};

/* n elements from `first` on, which are the at-th of this rank's part. */
static void adamw(struct trainer *t, const struct update *u, int64_t first, int64_t n, int64_t at)
{
    const struct train_options *o = t->job->options;
    enum dtype moments = moment_dtype(o);
    tensor_adamw(t->q, &(struct adamw_args){
                           .n = (size_t)n,
                           .param = element_at(t->masters, at),
                           .grad = element_at(dist_size() > 1 ? t->share.sum : t->leaves.now, at),
                           .moments = moments,
                           .m = {t->moment1, (size_t)at * dtype_size(moments)},
                           .v = {t->moment2, (size_t)at * dtype_size(moments)},
                           .lr = (float)u->lr,
                           .beta1 = (float)o->adam_beta1,
                           .beta2 = (float)o->adam_beta2,
                           .eps = (float)o->adam_epsilon,
                           .decay = (float)u->decay,
                           .grad_scale = (float)u->grad_scale,
                           .c1 = (float)(1 - beta_power(o->adam_beta1, t->step + 1)),
                           .c2 = (float)(1 - beta_power(o->adam_beta2, t->step + 1)),
                           .key = (o->seed + 1) * 0x9e3779b97f4a7c15u ^ (uint64_t)t->step * 0xd1b54a32d192ed03u,
                           .first = (uint64_t)first,
                           .w = u->weight,
                           .noise = model_pack_noise(pack_noise(t, t->step + 1), first),
                       });
}

/* What of it is this rank's: its slice of each region. */
static void update_range(struct trainer *t, const struct update *u)
{
    const struct cut *c = &t->share.cut;
    for (int i = 0; i < c->n_region; i++) {
        int64_t begin = cut_slice(c, &c->regions[i], c->rank), end = cut_slice(c, &c->regions[i], c->rank + 1),
                first = u->range.first > begin ? u->range.first : begin, last = u->range.end < end ? u->range.end : end;
        if (first < last)
            adamw(t, u, first, last - first, c->regions[i].own + first - begin);
    }
}

/* A stage's masters, which begin at `all` with the stage's first, into the copy that is computed with. */
static void pack_stage(struct trainer *t, int stage, struct span all, uint64_t noise)
{
    const struct stage *s = &t->share.cut.stages[stage];
    if (t->m->lora)
        lora_pack(t->m, t->q, all);
    else
        model_pack_range(t->m, t->q, all, (struct flat_range){s->first, s->last}, noise);
}

/* From the masters of all. Whoever has a part of matrices in bf16 rounds it before it goes to the others, unless that
 * is at random and a matter of places in a matrix. */
static int pack_all(struct trainer *t, uint64_t noise, struct error *err)
{
    int rounds = dist_size() > 1 && !t->m->lora && t->m->dtype == DTYPE_BF16 && !noise, rc = 0;
    struct share_part part = {t->masters, dtype_size(rounds ? DTYPE_BF16 : DTYPE_F32), rounds};
    for (int i = 0; !rc && i < t->share.cut.n_stage; i++) {
        const struct stage *s = &t->share.cut.stages[i];
        struct span all;
        if ((rc = share_collect(&t->share, &part, i, &all, err)))
            break;
        all = span_at(all, (size_t)s->first * part.size);
        if (rounds)
            model_pack_rounded(t->m, t->q, all, (struct flat_range){s->first, s->last});
        else
            pack_stage(t, i, all, noise);
    }
    return rc || !rounds ? rc : share_vectors(&t->share, t->m, t->masters, err);
}

static int update_weights(struct trainer *t, double lr, double grad_norm, struct error *err)
{
    const struct train_options *o = t->job->options;
    int packs = dist_size() == 1 && !t->m->lora; /* at once; else from the parts of all */
    struct update u = {.lr = lr, .grad_scale = train_clip(o->max_grad_norm, grad_norm), .decay = o->weight_decay};
    u.range.end = t->trained.n_element;
    if (t->m->lora)
        update_range(t, &u);
    for (int i = 0; i < t->m->n_group && !t->m->lora; i++) {
        const struct model_group *g = &t->m->groups[i];
        u.range = (struct flat_range){g->offset, g->offset + g->n * g->k};
        u.decay = g->is_vector ? 0 : o->weight_decay; /* vectors are norms and biases */
        u.weight = packs ? g->weight : NULL;
        update_range(t, &u);
        if (g->is_vector && packs)
            tensor_copy(t->q, &(struct copy_args){(size_t)g->n * 4, element_at(t->masters, g->offset), g->vector});
    }
    return packs ? 0 : pack_all(t, pack_noise(t, t->step + 1), err);
}

/* Names the first rows of the step, and how many there are. */
static int error_diverged(const struct trainer *t, const struct train_step *s, struct error *err)
{
    char names[256] = "";
    size_t used = 0;
    int i = 0;
    for (; i < t->order.n_row && used + sizeof t->order.rows[i]->id + 8 < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", t->order.rows[i]->id);
    return error_set(err, ERROR_FAILED,
                     "training diverged at step %ld: loss %g, gradient norm %g; rows of the step: %s%s; a lower "
                     "learning_rate than %g may help, or look at these rows",
                     s->step, s->loss, s->grad_norm, names, i < t->order.n_row ? ", ..." : "",
                     t->job->options->learning_rate);
}

/* Rows [from, end) of the step, in its micro-batches. */
static void run_rows(struct trainer *t, int from, int end, float scale, struct span gradients)
{
    for (int i = 0, begin = 0; i < t->order.n_micro; begin = t->order.ends[i++]) {
        int first = begin > from ? begin : from, last = t->order.ends[i] < end ? t->order.ends[i] : end;
        t->pass.is_last = last == end;
        if (first < last)
            pass_run(&t->pass, t->order.rows + first, last - first, scale, gradients);
    }
}

/* A leaf's gradient in leaves.now, or in the windows of its stages. */
static void run_leaf(struct trainer *t, int leaf, int n_leaf, float scale)
{
    struct span gradients = t->leaves.now ? element_at(t->leaves.now, 0) : share_place(&t->share, 0, 4);
    int n_row = t->order.n_row, first = leaf_first(leaf, n_leaf, n_row), end = leaf_first(leaf + 1, n_leaf, n_row);
    pass_begin(&t->pass, gradients);
    if (first == end && t->leaves.now) /* no micro-batch will write it */
        tensor_fill(t->q, &(struct fill_args){(size_t)t->trained.n_element * 4, gradients});
    run_rows(t, first, end, scale, gradients);
    pass_end(&t->pass, gradients);
}

/* The step's gradient in leaves.now, the sum of its squares, and the sum of the step's losses. A leaf's losses are
 * waited for before the next one's take their place; with one leaf that is the step's only wait before its update. */
static int run_leaves(struct trainer *t, float scale, double *loss, double *squares, struct error *err)
{
    int n_leaf = t->leaves.n_leaf, rc = 0;
    *loss = 0;
    for (int leaf = 0; !rc && leaf < n_leaf; leaf++) {
        double some;
        run_leaf(t, leaf, n_leaf, scale);
        leaves_add(&t->leaves, t->q, leaf);
        if (leaf + 1 == n_leaf) {
            tensor_sum_squares(t->q,
                               &(struct sum_squares_args){(size_t)t->trained.n_element, element_at(t->leaves.now, 0),
                                                          element_at(t->norm, 0), 0, 0});
            queue_download(t->q, squares, element_at(t->norm, 0), sizeof *squares);
        }
        rc = pass_loss(&t->pass, &some, err);
        *loss += rc ? 0 : some;
    }
    return rc;
}

static int is_empty(const struct trainer *t, int leaf)
{
    int n_leaf = t->share.n_leaf;
    return leaf_first(leaf, n_leaf, t->order.n_row) == leaf_first(leaf + 1, n_leaf, t->order.n_row);
}

/* Stage by stage what no pass does: nothing of a leaf that is another's, zeros of one without rows, and all of an
 * adapter's behind its pass. */
static void give_stages(struct trainer *t, int zeros)
{
    for (int i = t->share.cut.n_stage - 1; i >= 0; i--) {
        const struct stage *s = &t->share.cut.stages[i];
        struct span at = span_at(share_begin_stage(&t->share, i), (size_t)s->first * 4);
        if (zeros && s->last > s->first)
            tensor_fill(t->q, &(struct fill_args){(size_t)(s->last - s->first) * 4, at});
        share_end_stage(&t->share, i);
    }
}

/* The same by several ranks, each with its part of the gradient in share.sum. */
static int run_shared(struct trainer *t, float scale, double *loss, double *squares, struct error *err)
{
    int n_leaf = t->share.n_leaf, rc = 0;
    *loss = 0;
    for (int first = 0; !rc && first < n_leaf; first += dist_size()) {
        int leaf = first + dist_rank(), computes = leaf < n_leaf && !is_empty(t, leaf);
        double some = 0;
        share_begin_round(&t->share, first);
        if (computes)
            run_leaf(t, leaf, n_leaf, scale);
        if (!computes || t->m->lora)
            give_stages(t, leaf < n_leaf && !computes);
        rc = share_end_round(&t->share, err);
        if (!rc && computes)
            rc = pass_loss(&t->pass, &some, err);
        rc = dist_agree(rc, err);
        rc = rc ? rc : share_losses(&t->share, some, loss, err);
    }
    return rc ? rc : share_squares(&t->share, squares, err);
}

static int run_step(struct trainer *t, struct train_step *s, struct error *err)
{
    double weight, squares = 0;
    order_step(&t->order, t->step);
    weight = step_weight(t, &s->target_tokens, &s->tokens);
    s->step = t->step + 1;
    s->total = t->order.total;
    s->learning_rate = train_learning_rate(t->job->options, t->step, t->order.total);
    s->epoch = (double)s->step / (double)t->order.per_epoch;
    int rc = dist_size() > 1 ? run_shared(t, (float)(1 / weight), &s->loss, &squares, err)
                             : run_leaves(t, (float)(1 / weight), &s->loss, &squares, err);
    if (rc)
        return rc;
    s->loss /= weight;
    s->grad_norm = sqrt(squares);
    if (!isfinite(s->loss) || !isfinite(s->grad_norm))
        return error_diverged(t, s, err);
    rc = update_weights(t, s->learning_rate, s->grad_norm, err);
    t->step++;
    return rc;
}

/* Mean loss of the evaluation rows under the packed weights. */
static int evaluate_rows(struct trainer *t, double *loss, struct error *err)
{
    const struct train_data *data = t->job->eval_data;
    const struct train_row *rows[64];
    double sum = 0, weight = 0;
    int rc = 0;
    for (int first = 0; !rc && first < data->n;) {
        double some;
        int n = 0;
        for (; n < t->job->options->batch_size && n < 64 && first < data->n; n++) {
            rows[n] = &data->rows[first++];
            weight += row_weight(rows[n], &t->m->desc);
        }
        pass_begin(&t->pass, SPAN_NONE);
        pass_run(&t->pass, rows, n, 0, SPAN_NONE);
        if (!(rc = pass_loss(&t->pass, &some, err)))
            sum += some;
    }
    *loss = sum / weight;
    return rc;
}

static int check_data(const struct train_job *job, const struct train_data *data, struct error *err)
{
    const struct model_desc *d = model_desc(job->model);
    for (int i = 0; i < data->n; i++) {
        const struct train_row *r = &data->rows[i];
        if (r->n > d->n_ctx || r->n_rejected > d->n_ctx)
            return error_set(err, ERROR_DATA, "row %s: %d tokens, the model's context holds %d", r->id,
                             r->n > d->n_ctx ? r->n : r->n_rejected, d->n_ctx);
        if (row_targets(r, (int)d->task) < 1 || r->n < 1 || (d->task == MODEL_REWARD && r->n_rejected < 1))
            return error_set(err, ERROR_DATA, "row %s: nothing to train on", r->id);
        int rc = r->soft.n_top ? soft_check(r, d->n_vocab, err) : 0;
        if (rc)
            return rc;
        for (int j = 0; j < r->n + r->n_rejected; j++) {
            int32_t id = j < r->n ? r->ids[j] : r->rejected[j - r->n];
            if (id < 0 || id >= d->n_vocab)
                return error_set(err, ERROR_DATA, "row %s: token id %d at %d is outside of the vocabulary of %d", r->id,
                                 (int)id, j, d->n_vocab);
        }
    }
    return 0;
}

/* Keeping the activations is faster; what does not fit is computed again. The bits are the same. */
static int must_recompute(const struct trainer *t, const struct order_sizes *sizes)
{
    const struct train_options *o = t->job->options;
    const struct train_base base = {&t->m->desc, model_packed_bytes(t->m), t->m->keeps_blocks};
    size_t state = dist_size() > 1 ? share_state_bytes(&t->share.cut, o)
                                   : train_state_bytes(o, (size_t)t->trained.n_element),
           kept = pass_bytes(&t->m->desc, o->dtype, 0, lora_widest(t->m), sizes);
    size_t room = device_memory(t->m->device).free;
    int is_large = train_recomputes(&base, o, kept);
    if (o->recompute >= 0 || (!is_large && state + kept <= room))
        return o->recompute > 0;
    log_line(LOG_INFO, "activations are computed again layer by layer: keeping them would take %zu MiB %s %zu MiB%s",
             (is_large ? kept : state + kept - room) >> 20, is_large ? "beside the" : "more than the",
             (is_large ? base.weights : room) >> 20,
             is_large ? " of quantised weights (--no-gradient-checkpointing keeps them)" : " that are free");
    return 1;
}

int train_check_source(const struct train_options *o, const struct checkpoint *source, const struct model_desc *d,
                       struct error *err)
{
    int scores = d->task == MODEL_REWARD && !d->reward_classifier;
    if (!o->lora_r || (!scores && source && (!checkpoint_is_adapted(source) || train_keeps_blocks(o, source))))
        return 0;
    return error_set(
        err, ERROR_USAGE,
        "lora_r: an adapter is trained for a language model or classifier that has a file of its own: not from "
        "scratch, not on another adapter (merge that first: isara convert) but over a quantised file, not with a score "
        "head");
}

/* Quantised matrices stay as they are beside an adapter; a head that is trained whole must be no such one. */
static int check_packing(const struct trainer *t, struct error *err)
{
    const struct train_options *o = t->job->options;
    const struct model *m = t->m;
    int keeps = o->lora_r && (m->desc.task == MODEL_LM || m->dtype != DTYPE_Q8);
    if (m->keeps_blocks && !keeps)
        return error_set(err, ERROR_USAGE,
                         "dtype: the model's matrices are quantised: an adapter can be trained beside them (lora_r), "
                         "but not they themselves%s",
                         m->desc.task == MODEL_LM ? "" : " or a head");
    if (o->dtype == m->dtype || m->dtype == DTYPE_Q8)
        return 0;
    return error_set(err, ERROR_INTERNAL, "the model is packed in %s and training computes in %s", dtype_name(m->dtype),
                     dtype_name(o->dtype));
}

static int trainer_init(struct trainer *t, const struct train_job *job, struct error *err)
{
    struct order_sizes sizes = {0};
    *t = (struct trainer){.job = job, .m = job->model, .q = device_queue(model_device(job->model))};
    const struct train_options *o = job->options;
    struct device *d = t->m->device;
    int rc;
    if (job->data->n < 1)
        return error_set(err, ERROR_DATA, "there are no rows to train on");
    if ((rc = check_packing(t, err)) || (rc = train_check_source(o, job->source, &t->m->desc, err)) ||
        (rc = train_options_check(job->options, err)) || (rc = check_data(job, job->data, err)) ||
        (job->eval_data && (rc = check_data(job, job->eval_data, err))) ||
        (rc = order_init(&t->order, job->data, job->options, (int)t->m->desc.task, err)) ||
        (rc = state_settings(t, err)))
        return rc;
    lora_remove(t->m); /* what it is trained on from is in the source */
    t->m->compute = o->dtype;
    if (o->lora_r && (rc = lora_add(t->m, &(struct lora_options){o->lora_r, o->lora_alpha, o->lora_targets}, err)))
        return rc;
    t->trained = model_trained(t->m);
    order_measure(&t->order, &sizes);
    if (job->eval_data)
        rows_measure(job->eval_data, job->options->batch_size < 64 ? job->options->batch_size : 64,
                     (int)t->m->desc.task, &sizes);
    if ((rc = share_init(&t->share, t->m, &(struct share_wish){o->gradient_leaves, sizes.micro > 1}, err)))
        return rc;
    size_t n = (size_t)t->share.cut.n, moments = n * dtype_size(moment_dtype(o));
    if ((rc = buffer_new(&t->masters, d, n * 4, "master weights", err)) ||
        (rc = dist_size() > 1 ? 0 : leaves_init(&t->leaves, d, o->gradient_leaves, t->trained.n_element, err)) ||
        (rc = buffer_new(&t->moment1, d, moments, "first moments", err)) ||
        (rc = buffer_new(&t->moment2, d, moments, "second moments", err)) ||
        (rc = buffer_new(&t->norm, d, sizeof(double), "the gradient's norm", err)))
        return rc;
    if ((rc = pass_new(&t->pass, t->m, must_recompute(t, &sizes), &sizes, err)))
        return rc;
    t->pass.share = dist_size() > 1 && !t->m->lora ? &t->share : NULL;
    return 0;
}

static void trainer_deinit(struct trainer *t)
{
    queue_drain(t->q);
    pass_free(&t->pass);
    order_deinit(&t->order);
    buffer_free(t->masters);
    leaves_deinit(&t->leaves);
    share_deinit(&t->share);
    buffer_free(t->moment1);
    buffer_free(t->moment2);
    buffer_free(t->norm);
    if (t->trained.n_element) /* else what stands there is not its own */
        lora_remove(t->m);
    t->m->compute = t->m->dtype;
    json_decref(t->settings);
}

/* A head beside it is the source's, or a new one. */
static int init_adapter(struct trainer *t, struct span masters, struct error *err)
{
    const struct lora *lora = t->m->lora;
    if (checkpoint_is_adapted(t->job->source))
        return lora_read_masters(t->m, t->job->source, t->q, masters, err);
    int rc = lora_init_masters(t->m, t->job->options->seed, t->q, masters, err);
    if (rc || lora->head == lora->n_element)
        return rc;
    return model_read_range(t->m, t->job->source, t->q, span_at(masters, (size_t)lora->head * 4),
                            (struct flat_range){t->m->groups[t->m->head].offset, t->m->n_element}, err);
}

/* A stage's masters from the source or from the seed, packed; this rank keeps its part. */
static int begin_masters(struct trainer *t, int stage, struct error *err)
{
    const struct stage *s = &t->share.cut.stages[stage];
    const struct flat_range only = {s->first, s->last};
    struct span place = dist_size() > 1 ? share_place(&t->share, stage, 4) : element_at(t->masters, 0),
                at = span_at(place, (size_t)s->first * 4);
    int rc = 0;
    if (s->first == s->last)
        return 0;
    if (t->m->lora)
        rc = init_adapter(t, at, err);
    else if (t->job->source)
        rc = model_read_range(t->m, t->job->source, t->q, at, only, err);
    else
        rc = model_init_range(t->m, t->job->options->seed, t->q, at, only, err);
    if (rc)
        return rc;
    pack_stage(t, stage, at, pack_noise(t, t->step));
    share_keep(&t->share, stage, t->masters);
    return queue_wait(t->q, err);
}

/* Masters from the last checkpoint, from the source, or from the seed; packed. */
static int load_masters(struct trainer *t, struct train_result *result, struct error *err)
{
    int resumed = t->job->directory ? state_load(t, err) : 0, rc = dist_agree(resumed < 0 ? resumed : 0, err);
    if (!rc && dist_size() > 1)
        rc = share_check_step(t->step, err);
    if (rc)
        return rc;
    result->resumed_from = resumed ? (int)t->step : 0;
    for (int i = 0; !rc && !resumed && i < t->share.cut.n_stage; i++)
        rc = begin_masters(t, i, err);
    if (resumed)
        rc = pack_all(t, pack_noise(t, t->step), err);
    rc = queue_finish(t->q, rc, err);
    if (t->job->source)
        checkpoint_release(t->job->source);
    return dist_agree(rc, err);
}

/* A signal to one rank is one to all: the same step is everybody's last. */
static int must_stop(struct trainer *t, const struct train_step *s, int *stop, struct error *err)
{
    int number = interrupt_requested(), rc = dist_size() > 1 ? share_signal(&t->share, &number, err) : 0;
    if (number)
        interrupt_request(number);
    *stop = number && s->step < s->total;
    return rc;
}

static int between_steps(struct trainer *t, struct runlog *log, const struct train_step *s, struct train_result *result,
                         struct error *err)
{
    const struct train_options *o = t->job->options;
    double eval_loss = NAN;
    log_line(
        LOG_DEBUG,
        "step %ld of %ld: loss %.4f, gradient norm %.3g, learning rate %.3g, %ld tokens, %ld of them targets, %.2f s",
        s->step, s->total, s->loss, s->grad_norm, s->learning_rate, s->tokens, s->target_tokens, s->seconds);
    int rc = 0, ends_epoch = s->step % t->order.per_epoch == 0 || s->step == s->total;
    if (t->job->eval_data && t->job->eval_data->n && ends_epoch)
        rc = evaluate_rows(t, &eval_loss, err);
    if (!rc && t->job->eval_data && t->job->eval_data->n && ends_epoch && !isfinite(eval_loss))
        rc = error_set(err, ERROR_FAILED, "evaluation behind step %ld: the loss is %g: %s", s->step, eval_loss,
                       model_overflow);
    result->eval_loss = eval_loss;
    if (!rc && log)
        rc = runlog_step(log, s, eval_loss, err);
    if (t->job->on_step)
        t->job->on_step(t->job->user, s);
    int stop = 0;
    rc = dist_agree(rc, err);
    rc = rc ? rc : must_stop(t, s, &stop, err);
    if (!rc && t->job->directory && ((o->save_steps && s->step % o->save_steps == 0 && s->step < s->total) || stop)) {
        rc = state_save(t, err);
        if (!rc && log)
            rc = runlog_state(log, t, err);
    }
    return rc || !stop ? rc : interrupt_check(err);
}

static int run_steps(struct trainer *t, struct runlog *log, struct train_result *result, struct error *err)
{
    int rc = 0;
    long last = t->job->stop_after > 0 && t->job->stop_after < t->order.total ? t->job->stop_after : t->order.total;
    double sent = 0;
    while (!rc && t->step < last) {
        struct train_step s = {0};
        double start = clock_now(), before = dist_sent();
        mem_guard_enter();
        rc = queue_finish(t->q, run_step(t, &s, err), err);
        s.seconds = clock_now() - start;
        sent += dist_sent() - before;
        result->allocations += mem_guard_leave();
        if (rc)
            break;
        if (!result->steps)
            result->first_loss = s.loss;
        result->last_loss = s.loss;
        result->steps++;
        rc = between_steps(t, log, &s, result, err);
    }
    if (!rc && dist_size() > 1 && dist_rank() == 0 && result->steps)
        log_line(LOG_INFO, "rank 0 of %d sent %.2f MB a step", dist_size(), sent * 1e-6 / (double)result->steps);
    return rc;
}

/* Rank 0 alone writes. */
static int begin_directory(struct trainer *t, int *lock, struct error *err)
{
    int rc = 0;
    if (t->job->directory && dist_rank() == 0)
        rc = dir_lock(t->job->directory, lock, err);
    if (!rc && t->job->directory && dist_rank() == 0)
        rc = state_begin(t, err);
    return dist_agree(rc, err);
}

static int end_directory(struct trainer *t, struct runlog *log, struct error *err)
{
    int rc = save_model(t, err);
    if (!rc && log)
        rc = runlog_state(log, t, err);
    rc = dist_agree(rc, err);
    if (!rc && t->job->directory && dist_rank() == 0)
        state_remove(t);
    return rc;
}

int train_run(const struct train_job *job, struct train_result *result, struct error *err)
{
    struct trainer t;
    struct runlog *log = NULL;
    int lock = -1;
    *result = (struct train_result){.eval_loss = NAN};
    int rc = dist_agree(trainer_init(&t, job, err), err);
    rc = rc || dist_size() == 1 ? rc : state_compare_ranks(&t, err);
    if (!rc)
        rc = begin_directory(&t, &lock, err);
    if (!rc)
        rc = load_masters(&t, result, err);
    if (!rc && job->directory && dist_rank() == 0)
        rc = runlog_open(&log, &t, err);
    rc = dist_agree(rc, err);
    if (!rc)
        rc = run_steps(&t, log, result, err);
    if (!rc)
        rc = end_directory(&t, log, err);
    runlog_close(log);
    rc = dist_agree(rc, err);
    trainer_deinit(&t);
    if (lock >= 0)
        close(lock);
    return rc;
}
