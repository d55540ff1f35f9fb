/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of an alignment: the same functions that size the slabs, over the lengths that the seeds have. */
#include "method/plan.h"

#include "base/clock.h"
#include "base/mem.h"
#include "method/teacher.h"

#include <math.h>
#include <string.h>

/* tokens of a pair when there are no seeds to count */
enum { QUESTION = 15, ANSWER = 25, MOST_LOADS = 4096 };
/* Resident beside slabs, measured: the process with its libraries and scratch, and each entry of a vocabulary with its
 * merges and look-up tables; what Open MPI has of several ranks on one machine. */
static const double PROCESS_BYTES = 6 << 20, TOKEN_BYTES = 360, STAGE_BYTES = 12 << 20, MPI_BYTES = 44 << 20;

static double tokenizer_bytes(const struct tokenizer *t)
{
    return t ? TOKEN_BYTES * (double)tokenizer_size(t) : 0;
}

int plan_loaded(double *bytes, const struct plan_model *m, enum dtype t, struct error *err)
{
    const struct model_packing p = {m->source, t, m->keep_blocks};
    size_t weights = 0;
    int rc = model_weight_bytes(&weights, m->desc, m->device, &p, err);
    *bytes = (double)weights + tokenizer_bytes(m->tokenizer) + PROCESS_BYTES;
    return rc;
}

const char plan_dequantised[] =
    "the model's file is quantised: to tune all weights they are held in the training's type beside f32 masters, "
    "gradients and moments, 16 bytes more a weight; an adapter (--train-lora-r, train: --lora-r) leaves them as they "
    "are";

int plan_dequantises(const struct plan_model *m, const struct align_options *o)
{
    return !o->train.lora_r && m->source && checkpoint_any_blocks(m->source);
}

double plan_tuning_rest(const struct tokenizer *t)
{
    return tokenizer_bytes(t) + PROCESS_BYTES + STAGE_BYTES;
}

double plan_rank_bytes(const struct train_share *s, const struct tokenizer *t)
{
    return s->weights + s->sharded + s->windows + s->activations + plan_tuning_rest(t) +
           (s->n_rank > 1 ? MPI_BYTES : 0);
}

double plan_machine(const struct device *d)
{
    return (double)device_memory(d).total;
}

double plan_rate(struct device *d, enum dtype t, int rows)
{
    enum { N = 2048, K = 1024, RUNS = 6 };
    struct weight *w = NULL;
    struct buffer *b = NULL;
    double rate = 0;
    struct queue *q = device_queue(d);
    if (!weight_new(&w, d, (struct weight_shape){N, K, t}, "plan", NULL) &&
        !buffer_new(&b, d, (size_t)rows * (K + N) * 4, "plan", NULL)) {
        struct linear_args a = {.w = w, .n_row = rows, .x = {b, 0}, .y = {b, (size_t)rows * K * 4}};
        tensor_linear(q, &a);
        queue_drain(q);
        double start = clock_cpu(); /* what else the machine does just now is no part of it */
        for (int i = 0; i < RUNS; i++)
            tensor_linear(q, &a);
        queue_drain(q);
        rate = 2.0 * rows * N * K * RUNS * device_n_thread(d) / fmax(clock_cpu() - start, 1e-6);
    }
    weight_free(w);
    buffer_free(b);
    return rate;
}

static int count_tokens(const struct tokenizer *t, const char *before, const char *text, const char *after, int *n,
                        struct error *err)
{
    struct tokens ids = TOKENS_INIT;
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s %s%s", before, text, after);
    int rc = b.failed ? error_set_nomem(err, b.len, "a plan") : tokenizer_encode(t, b.data, b.len, 0, &ids, err);
    *n = (int)ids.n;
    tokens_free(&ids);
    buf_free(&b);
    return rc;
}

/* tokens */
struct pair_length {
    int question, answer;
};
struct lengths {
    struct pair_length *pairs;
    int n;
};

/* Each seed's question and answer as the built-in template has them; one assumed pair without seeds. */
static int count_pairs(const struct tokenizer *t, const struct seeds *seeds, struct lengths *l, struct error *err)
{
    int rc = 0;
    l->pairs = mem_calloc(seeds ? (size_t)seeds->n + 1 : 1, sizeof *l->pairs);
    if (!l->pairs)
        return error_set_nomem(err, sizeof *l->pairs, "a plan");
    for (int i = 0; t && seeds && i < seeds->n && !rc; i++) {
        struct pair_length *p = &l->pairs[l->n++];
        rc = count_tokens(t, "Question:", seeds->items[i].question, "\n", &p->question, err);
        if (!rc)
            rc = count_tokens(t, "Answer:", seeds->items[i].answer ? seeds->items[i].answer : "", "\n\n", &p->answer,
                              err);
    }
    if (!l->n)
        l->pairs[l->n++] = (struct pair_length){QUESTION, ANSWER};
    return rc;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Of a question's answers at most so many are kept. */
static int kept_at_most(const struct align_options *o)
{
    return o->keep_best ? least(o->keep_best, o->answers) : o->answers;
}

static int answer_k(const struct align_options *o)
{
    return o->answer_contexts == ALIGN_ANSWER_NONE ? 0 : o->k;
}

/* What asking or answering takes: every attempt has k pairs in the prompt, then as much as a pair of the seeds has. */
static double generate_bytes(const struct plan_model *m, const struct align_options *o, const struct lengths *l,
                             int is_question, struct generate_load *loads)
{
    const struct model_desc *d = m->desc;
    const struct generate_options *g = is_question ? &o->ask : &o->answer;
    int n = least(is_question ? o->attempts : o->attempts * o->answers, MOST_LOADS);
    for (int i = 0; i < n; i++) {
        int prompt = is_question ? 2 : l->pairs[i % l->n].question, last = least(prompt, d->n_ctx);
        for (int k = 1; k <= (is_question ? o->k : answer_k(o)); k++) {
            const struct pair_length *p = &l->pairs[(i * 7 + k * 3) % l->n];
            prompt += p->question + p->answer;
        }
        if (prompt + g->max_new_tokens > d->n_ctx)
            prompt = d->n_ctx > g->max_new_tokens ? d->n_ctx - g->max_new_tokens : last;
        int new = is_question ? l->pairs[i % l->n].question : l->pairs[i % l->n].answer;
        new = new < g->min_new_tokens ? g->min_new_tokens : least(new, g->max_new_tokens);
        loads[i] = (struct generate_load){prompt < 1 ? 1 : prompt, new};
    }
    return (double)generate_memory(m->device, d, o->dtype, g, loads, n);
}

/* Of the first t rounds so many ask: improve steps and those of the seeds alone do not. */
static int rounds_asked(const struct align_options *o, int t)
{
    return t > o->seed_rounds ? (t - o->seed_rounds + o->improve_steps - 1) / o->improve_steps : 0;
}

/* What round t tunes on: the seeds and half of what was answered so far, or half of its own. */
static double rows_of_round(const struct align_options *o, int n_seed, int t)
{
    double kept = 0.5 * o->attempts * kept_at_most(o);
    return o->tune_on == ALIGN_TUNE_NEWEST && t > o->seed_rounds ? kept : n_seed + kept * rounds_asked(o, t);
}

static int tune_ranks(struct plan *p, const struct plan_model *m, const struct align_options *o,
                      const struct train_base *base, const struct train_data *data, struct error *err);

/* Rows that are learnt in all rounds, each as often as it is. */
static double rows_of_all(const struct align_options *o, int n_seed)
{
    double rows = 0;
    for (int t = 1; t <= o->rounds; t++)
        rows += o->train.max_steps ? (double)o->train.max_steps * o->train.batch_size
                                   : o->train.num_train_epochs * rows_of_round(o, n_seed, t);
    return rows;
}

/* The seeds and as many rows again as half of all attempts, of the seeds' lengths. */
static int tune_bytes(struct plan *plan, const struct plan_model *m, const struct align_options *o,
                      const struct lengths *l, struct error *err)
{
    const struct model_desc *d = m->desc;
    const struct model_packing packing = {m->source, o->dtype, 1};
    struct train_base base = {.desc = d, .keeps_blocks = m->keep_blocks};
    struct train_data data = {0};
    int n = l->n + least(o->attempts * rounds_asked(o, o->rounds) * kept_at_most(o) / 2, MOST_LOADS), rc = 0,
        longest = o->train.max_length;
    size_t result = 0;
    int32_t *ids = mem_calloc((size_t)longest + 1, sizeof *ids);
    if (!ids)
        return error_set_nomem(err, (size_t)longest * 4, "a plan");
    for (int i = 0; i < n && !rc; i++) {
        const struct pair_length *p = &l->pairs[i % l->n];
        char id[24];
        snprintf(id, sizeof id, "%d", i);
        rc = train_data_add_ids(&(struct row_maker){.data = &data, .desc = d, .max_length = longest}, ids,
                                least(p->question + p->answer, longest), least(p->question, longest - 1), id, err);
    }
    if (!rc && m->keep_blocks)
        rc = model_weight_bytes(&base.weights, d, m->device, &packing, err);
    if (!rc)
        rc = train_memory_of(&base, &o->train, &data, &result, err);
    plan->tune = (double)result;
    if (o->tune_loss == ALIGN_LOSS_SOFT)
        plan->tune += (double)data.n_target * TEACHER_TOP * 8;
    if (!rc && m->asked)
        rc = tune_ranks(plan, m, o, &base, &data, err);
    train_data_free(&data);
    mem_free(ids);
    return rc;
}

/* Floating-point operations of one token row through the layers, and of one row of the vocabulary projection. */
static double layer_flop(const struct model_desc *d)
{
    double c = d->n_embd, q = (double)d->n_head * d->head_dim, kv = (double)d->n_kv_head * d->head_dim;
    return 2 * d->n_layer * (c * (q + 2 * kv) + q * c + (d->gated ? 3.0 : 2.0) * c * d->n_ff);
}

static double rate_of(const struct plan_model *m, enum dtype t, int rows)
{
    enum { MOST = sizeof m->rates->known / sizeof *m->rates->known, TRIES = 3 };
    struct plan_rates *r = m->rates;
    for (int i = 0; r && i < r->n; i++)
        if (r->known[i].dtype == t && r->known[i].rows == rows)
            return r->known[i].rate;
    double start = clock_now(), rate = plan_rate(m->device, t, rows);
    for (int i = 1; r && i < TRIES && clock_now() - start < 0.05; i++)
        rate = fmax(rate, plan_rate(m->device, t, rows));
    if (r && r->n < MOST) {
        r->known[r->n].dtype = t;
        r->known[r->n].rows = rows;
        r->known[r->n++].rate = rate;
    }
    return rate;
}

/* Of products that read, score and generate, as measured beside that of one large product. */
#define TEXTS_SHARE 0.4

double plan_texts_seconds(const struct plan_model *m, enum dtype t, const struct plan_texts *w)
{
    const struct model_desc *d = m->desc;
    double row = layer_flop(d), head = 2.0 * d->n_embd * d->n_vocab;
    int rows = w->rows < 1 ? 1 : least(w->rows, 160);
    double rate = fmax(rate_of(m, t, rows), 1e9) * TEXTS_SHARE;
    return ((w->read + w->written) * row + (w->scored + w->written) * head) / rate;
}

double plan_open_seconds(const struct plan_model *m, double loaded)
{
    /* measured: the process and its files, an entry of the vocabulary, a byte of packed weights by one thread */
    static const double begin = 0.05, entry = 4.8e-6, byte = 1.6e-9;
    double vocabulary = m->tokenizer ? (double)tokenizer_size(m->tokenizer) : 0;
    return begin + entry * vocabulary + byte * loaded / device_n_thread(m->device);
}

static double train_rate_of(const struct plan_model *m, const struct train_options *o)
{
    return fmax(rate_of(m, o->dtype, 512), 1e9) * 0.4;
}

struct plan_load plan_load_of(const struct plan_model *m, const struct train_options *o, const struct train_data *data)
{
    const struct model_desc *d = m->desc;
    double rows = fmin((double)o->batch_size * o->accumulation, data->n),
           layers = rows / data->n * (double)data->n_token * layer_flop(d),
           head = rows / data->n * (double)data->n_target * 2.0 * d->n_embd * d->n_vocab;
    double forward = (layers + head) / train_rate_of(m, o);
    return (struct plan_load){forward, forward * (o->recompute == 1 ? 3 : 2), head / (layers + head)};
}

static void estimate_seconds(struct plan *p, const struct plan_model *m, const struct align_options *o, int n_seed)
{
    const struct model_desc *d = m->desc;
    double row = layer_flop(d), head = 2.0 * d->n_embd * d->n_vocab, train_rate = train_rate_of(m, &o->train),
           attempts = (double)o->attempts * rounds_asked(o, o->rounds), pair = p->question_tokens + p->answer_tokens,
           answers = attempts * o->answers;
    int rows = o->attempts * o->ask.num_beams;
    const struct plan_texts asked = {.read = attempts * pair * o->k / 2, /* prompts share what they begin with */
                                     .written = attempts * o->ask.num_beams * p->question_tokens,
                                     .rows = rows},
                            answered = {.read = answers * (pair * answer_k(o) + p->question_tokens),
                                        .written = answers * o->answer.num_beams * p->answer_tokens,
                                        .rows = rows};
    p->ask_seconds = plan_texts_seconds(m, o->dtype, &asked);
    p->answer_seconds = plan_texts_seconds(m, o->dtype, &answered);
    double rows_tuned = rows_of_all(o, n_seed);
    p->tune_seconds = 3 * rows_tuned * (pair * row + p->answer_tokens * head) / train_rate;
    double rows_taught = (o->rounds - o->seed_rounds) * (n_seed + 0.5 * o->attempts);
    struct plan_texts taught = {
        .read = rows_taught * pair * (answer_k(o) + 1), .scored = rows_taught * p->answer_tokens, .rows = rows};
    if (o->on_policy)
        taught.written = rows_taught * o->answer.num_beams * p->answer_tokens;
    if (o->tune_loss == ALIGN_LOSS_SOFT)
        p->tune_seconds += plan_texts_seconds(m, o->dtype, &taught);
}

static int tune_ranks(struct plan *p, const struct plan_model *m, const struct align_options *o,
                      const struct train_base *base, const struct train_data *data, struct error *err)
{
    int rows = least(o->train.batch_size * o->train.accumulation, data->n);
    return plan_ranks(&p->ranks, m,
                      &(struct plan_work){.base = base,
                                          .options = &o->train,
                                          .data = data,
                                          .asked = m->asked,
                                          .rows = rows,
                                          .load = plan_load_of(m, &o->train, data),
                                          .steps = rows_of_all(o, data->n) / o->rounds / rows,
                                          .divided = (p->ask_seconds + p->answer_seconds) / o->rounds},
                      err);
}

/* What is done elsewhere takes no time here; the arms answer here even so. */
static void plan_elsewhere(struct plan *p, const struct align_options *o)
{
    double questions = (double)o->attempts * rounds_asked(o, o->rounds), answers = questions * o->answers,
           pair = p->question_tokens + p->answer_tokens;
    if (o->who[ALIGN_ASKER].endpoint) {
        p->ask_seconds = 0;
        p->elsewhere[ALIGN_ASKER] =
            (struct plan_elsewhere){questions, questions * o->k * pair, questions * p->question_tokens};
    }
    if (o->who[ALIGN_ANSWERER].endpoint) {
        p->answer_seconds = 0;
        p->elsewhere[ALIGN_ANSWERER] =
            (struct plan_elsewhere){answers, answers * (o->k * pair + p->question_tokens), answers * p->answer_tokens};
    }
}

int plan_align(struct plan *p, const struct plan_model *model, const struct seeds *seeds, const struct align_options *o,
               struct error *err)
{
    struct plan_model as_kept = *model;
    const struct plan_model *m = &as_kept;
    struct plan_rates rates = {.n = 0};
    as_kept.keep_blocks = train_keeps_blocks(&o->train, model->source);
    as_kept.rates = model->rates ? model->rates : &rates;
    *p = (struct plan){.machine = plan_machine(m->device)};
    struct lengths l = {NULL, 0};
    struct generate_load *loads = mem_calloc((size_t)least(o->attempts * o->answers, MOST_LOADS) + 1, sizeof *loads);
    int rc = loads ? count_pairs(m->tokenizer, seeds, &l, err) : error_set_nomem(err, sizeof *loads, "a plan");
    rc = rc ? rc : plan_loaded(&p->loaded, m, o->dtype, err);
    for (int i = 0; i < l.n && !rc; i++) {
        p->question_tokens += (double)l.pairs[i].question / l.n;
        p->answer_tokens += (double)l.pairs[i].answer / l.n;
    }
    if (!rc)
        estimate_seconds(p, m, o, seeds ? seeds->n : 64);
    if (!rc)
        plan_elsewhere(p, o);
    rc = rc ? rc : tune_bytes(p, m, o, &l, err);
    if (!rc) {
        p->ask = p->loaded + generate_bytes(m, o, &l, 1, loads);
        p->answer = p->loaded + generate_bytes(m, o, &l, 0, loads);
        p->tune += plan_tuning_rest(m->tokenizer);
        if (o->who[ALIGN_ASKER].endpoint)
            p->ask = p->loaded;
        p->peak = p->ask > p->answer ? p->ask : p->answer;
        p->peak = p->tune > p->peak ? p->tune : p->peak;
    }
    mem_free(l.pairs);
    mem_free(loads);
    return rc;
}
