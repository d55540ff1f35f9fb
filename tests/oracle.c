/* SPDX-License-Identifier: Apache-2.0 */
/* The transformer with everything a family may have, in double. No file of the library computes anything here but the
 * random weights. */
#include "oracle.h"

#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double *part(const struct model *m, const double *flat, int layer, enum layer_part p)
{
    return layer_has(m, layer, p) ? flat + layer_group(m, layer, p)->offset : NULL;
}

struct stretches { /* n of c elements, each stride behind the one before */
    const double *at;
    int n, c, stride;
};

/* Each stretch the norm of its own; y's are dense. */
static void norm(const struct model_desc *d, enum norm_kind kind, struct stretches x, const double *w,
                 const double *bias, double *y)
{
    int c = x.c;
    for (int t = 0; t < x.n; t++) {
        const double *in = x.at + t * x.stride;
        double mean = 0, sum = 0;
        for (int i = 0; i < c && kind == NORM_LAYER; i++)
            mean += in[i] / c;
        for (int i = 0; i < c; i++)
            sum += (in[i] - mean) * (in[i] - mean);
        for (int i = 0; i < c; i++)
            y[t * c + i] =
                (in[i] - mean) / sqrt(sum / c + (double)d->norm_eps) * (w ? (double)d->norm_offset + w[i] : 1) +
                (bias ? bias[i] : 0);
    }
}

static void add_bias(double *y, const double *bias, int n, int width)
{
    for (int i = 0; bias && i < n * width; i++)
        y[i] += bias[i % width];
}

/* y [n,n_out] = x [n,k] w^T */
static void linear(const double *x, const double *w, int n, int n_out, int k, double *y)
{
    for (int t = 0; t < n; t++)
        for (int o = 0; o < n_out; o++) {
            double sum = 0;
            for (int i = 0; i < k; i++)
                sum += x[t * k + i] * w[o * k + i];
            y[t * n_out + o] = sum;
        }
}

static void rotate(const struct model_desc *d, int layer, double *x, int t)
{
    int half = d->layers[layer] & LAYER_NO_ROPE ? 0 : d->n_rotated / 2;
    const float *frequencies = d->rotations[d->layers[layer] & LAYER_SECOND_ROPE ? 1 : 0].inv_freq;
    for (int i = 0; i < half; i++) {
        double angle = t * (double)frequencies[i], a = x[i], b = x[i + half];
        x[i] = a * cos(angle) - b * sin(angle);
        x[i + half] = b * cos(angle) + a * sin(angle);
    }
}

static void normalise_heads(const struct model *m, const double *flat, int layer, double *qkv, int n)
{
    const struct model_desc *d = &m->desc;
    int size = d->head_dim, width = (d->n_head + 2 * d->n_kv_head) * size;
    for (int t = 0; t < n && d->qk_norm; t++)
        for (int k = 0; k < 2; k++) {
            int heads = k ? d->n_kv_head : d->n_head, each = d->qk_norm == QK_HEAD ? size : heads * size;
            double *x = qkv + t * width + (k ? d->n_head * size : 0), *y = calloc((size_t)(heads * size), sizeof *y);
            norm(d, NORM_RMS, (struct stretches){x, heads * size / each, each, each},
                 part(m, flat, layer, k ? PART_K_NORM : PART_Q_NORM), NULL, y);
            memcpy(x, y, (size_t)(heads * size) * sizeof *y);
            free(y);
        }
}

static void attention(const struct model *m, const double *flat, int layer, double *qkv, int n, double *out)
{
    const struct model_desc *d = &m->desc;
    int heads = d->n_head, kv = d->n_kv_head, size = d->head_dim, width = (heads + 2 * kv) * size;
    double *p = calloc((size_t)n, sizeof *p),
           scale = (d->attention_scale > 0 ? (double)d->attention_scale : 1 / sqrt(size)) /
                   (d->layer_scale ? layer + 1 : 1),
           cap = (double)d->attention_cap;
    add_bias(qkv, part(m, flat, layer, PART_QKV_BIAS), n, width);
    normalise_heads(m, flat, layer, qkv, n);
    for (int t = 0; t < n; t++)
        for (int h = 0; h < heads + kv; h++)
            rotate(d, layer, qkv + t * width + h * size, t);
    for (int t = 0; t < n; t++)
        for (int h = 0; h < heads; h++) {
            int at = heads * size + h / (heads / kv) * size, end = d->bidirectional ? n : t + 1;
            int begin = d->window && d->layers[layer] & LAYER_WINDOW && t >= d->window ? t + 1 - d->window : 0;
            double sum = 0, *o = out + (t * heads + h) * size;
            for (int s = begin; s < end; s++) {
                p[s] = 0;
                for (int i = 0; i < size; i++)
                    p[s] += qkv[t * width + h * size + i] * qkv[s * width + at + i];
                p[s] *= scale;
                p[s] = cap > 0 ? cap * tanh(p[s] / cap) : p[s];
                sum += p[s] = exp(p[s]);
            }
            memset(o, 0, (size_t)size * sizeof *o);
            for (int s = begin; s < end; s++)
                for (int i = 0; i < size; i++)
                    o[i] += p[s] / sum * qkv[s * width + at + kv * size + i];
        }
    free(p);
}

static double activated(enum activation act, double x)
{
    switch (act) {
    case ACT_SILU: return x / (1 + exp(-x));
    case ACT_GELU: return 0.5 * x * erfc(-x / sqrt(2));
    case ACT_GELU_TANH: return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case ACT_RELU2: return x > 0 ? x * x : 0;
    case ACT_TANH: return tanh(x);
    default: fail_msg("the oracle does not know activation %d", (int)act);
    }
    return 0;
}

struct room { /* of one pass; [n, ...] */
    double *x, *h, *read, *qkv, *att, *up, *out;
};

static void mlp(const struct model *m, const double *flat, int l, const struct room *r, int n)
{
    const struct model_desc *d = &m->desc;
    int f = d->n_ff, width = d->gated ? 2 * f : f;
    linear(r->read, part(m, flat, l, PART_GATE_UP), n, width, d->n_embd, r->up);
    add_bias(r->up, part(m, flat, l, PART_GATE_UP_BIAS), n, width);
    for (int t = 0; t < n; t++)
        for (int i = 0; i < f; i++) {
            double g = r->up[t * width + i], u = d->gated ? r->up[t * width + f + i] : 1;
            r->up[t * f + i] =
                activated(d->act, g) * u; /* row t is packed to f wide: never beyond what is still unread */
        }
    linear(r->up, part(m, flat, l, PART_DOWN), n, d->n_embd, f, r->out);
    add_bias(r->out, part(m, flat, l, PART_DOWN_BIAS), n, d->n_embd);
}

/* What a half reads of the stream. */
static void read_stream(const struct model *m, const double *flat, int l, enum layer_part p, const struct room *r,
                        int n)
{
    const struct model_desc *d = &m->desc;
    if (d->place == PLACE_POST || d->place == PLACE_AFTER)
        memcpy(r->read, r->x, (size_t)(n * d->n_embd) * sizeof *r->x);
    else
        norm(d, d->norm, (struct stretches){r->x, n, d->n_embd, d->n_embd}, part(m, flat, l, p),
             part(m, flat, l, p + 1), r->read);
}

/* r->out into the stream. */
static void join_stream(const struct model *m, const double *flat, int l, enum layer_part post, const struct room *r,
                        int n)
{
    const struct model_desc *d = &m->desc;
    int c = d->n_embd;
    const double *w = part(m, flat, l, post), *bias = part(m, flat, l, post + 1);
    if (d->place == PLACE_POST || d->place == PLACE_SANDWICH) {
        norm(d, d->norm, (struct stretches){r->out, n, c, c}, w, bias, r->h);
        memcpy(r->out, r->h, (size_t)(n * c) * sizeof *r->h);
    }
    for (int i = 0; i < n * c; i++)
        r->x[i] += r->out[i];
    if (d->place == PLACE_AFTER) {
        norm(d, d->norm, (struct stretches){r->x, n, c, c}, w, bias, r->h);
        memcpy(r->x, r->h, (size_t)(n * c) * sizeof *r->h);
    }
}

static void one_layer(const struct model *m, const double *flat, int l, const struct room *r, int n)
{
    const struct model_desc *d = &m->desc;
    int c = d->n_embd, width = (d->n_head + 2 * d->n_kv_head) * d->head_dim, inner = d->n_head * d->head_dim;
    double *attended = calloc((size_t)(n * c), sizeof *attended);
    read_stream(m, flat, l, PART_ATTN_NORM, r, n);
    linear(r->read, part(m, flat, l, PART_QKV), n, width, c, r->qkv);
    attention(m, flat, l, r->qkv, n, r->att);
    linear(r->att, part(m, flat, l, PART_O), n, c, inner, attended);
    add_bias(attended, part(m, flat, l, PART_O_BIAS), n, c);
    if (d->parallel) {
        read_stream(m, flat, l, PART_MLP_NORM, r, n);
        mlp(m, flat, l, r, n);
        for (int i = 0; i < n * c; i++)
            r->x[i] += attended[i] + r->out[i];
    } else {
        memcpy(r->out, attended, (size_t)(n * c) * sizeof *attended);
        join_stream(m, flat, l, PART_ATTN_POST, r, n);
        read_stream(m, flat, l, PART_MLP_NORM, r, n);
        mlp(m, flat, l, r, n);
        join_stream(m, flat, l, PART_MLP_POST, r, n);
    }
    free(attended);
}

void oracle_hidden(const struct model *m, const double *flat, const int32_t *ids, int n, double *hidden)
{
    const struct model_desc *d = &m->desc;
    int c = d->n_embd, f = d->n_ff, width = (d->n_head + 2 * d->n_kv_head) * d->head_dim,
        inner = d->n_head * d->head_dim;
    struct room r = {.x = calloc((size_t)n * (size_t)(4 * c + width + inner + 2 * f), sizeof *r.x)};
    r.h = r.x + n * c;
    r.read = r.h + n * c;
    r.out = r.read + n * c;
    r.qkv = r.out + n * c;
    r.att = r.qkv + n * width;
    r.up = r.att + n * inner;
    for (int t = 0; t < n; t++)
        for (int i = 0; i < c; i++) {
            const double *word = flat + (int64_t)ids[t] * model_width(d);
            r.x[t * c + i] = word[d->n_word ? 0 : i] * (d->embed_scale > 0 ? (double)d->embed_scale : 1);
            if (d->n_word)
                linear(word, flat + m->groups[m->project_in].offset + i * d->n_word, 1, 1, d->n_word, r.x + t * c + i);
            r.x[t * c + i] +=
                m->positions ? flat[m->groups[m->positions].offset + (int64_t)(t + d->position_offset) * c + i] : 0;
        }
    for (int l = 0; l < d->n_layer; l++)
        one_layer(m, flat, l, &r, n);
    if (d->final_norm)
        norm(d, d->norm, (struct stretches){r.x, n, c, c},
             m->final_norm ? flat + m->groups[m->final_norm].offset : NULL,
             m->final_norm_bias ? flat + m->groups[m->final_norm_bias].offset : NULL, r.h);
    else
        memcpy(r.h, r.x, (size_t)(n * c) * sizeof *hidden);
    if (d->n_word)
        linear(r.h, flat + m->groups[m->project_out].offset, n, d->n_word, c, hidden);
    else
        memcpy(hidden, r.h, (size_t)(n * c) * sizeof *hidden);
    free(r.x);
}

void oracle_logits(const struct model *m, const double *flat, const double *hidden, int n, double *logits)
{
    const struct model_group *head = &m->groups[m->head];
    linear(hidden, flat + head->offset, n, (int)head->n, (int)head->k, logits);
    for (int i = 0; m->desc.logit_cap > 0 && m->desc.task == MODEL_LM && i < n * (int)head->n; i++)
        logits[i] = (double)m->desc.logit_cap * tanh(logits[i] / (double)m->desc.logit_cap);
}

static double score_of(const struct model *m, const double *flat, const int32_t *ids, int n)
{
    double *hidden = calloc((size_t)n * (size_t)(model_width(&m->desc) + 1), sizeof *hidden),
           *score = hidden + n * model_width(&m->desc), last;
    oracle_hidden(m, flat, ids, n, hidden);
    oracle_logits(m, flat, hidden, n, score);
    last = score[n - 1];
    free(hidden);
    return last;
}

double oracle_loss(const struct model *m, const double *flat, const struct train_row *row)
{
    if (m->desc.task == MODEL_REWARD)
        return log1p(exp(score_of(m, flat, row->rejected, row->n_rejected) - score_of(m, flat, row->ids, row->n)));
    int c = model_width(&m->desc), width = (int)m->groups[m->head].n;
    double *hidden = calloc((size_t)row->n * (size_t)(c + width), sizeof *hidden), *logits = hidden + row->n * c,
           loss = 0;
    oracle_hidden(m, flat, row->ids, row->n, hidden);
    oracle_logits(m, flat, hidden, row->n, logits);
    for (int i = 1; m->desc.task == MODEL_LM && i < row->n; i++) {
        double sum = 0, *z = logits + (i - 1) * width;
        for (int j = 0; j < width; j++)
            sum += exp(z[j]);
        loss += row->target[i] ? log(sum) - z[row->ids[i]] : 0;
    }
    double sum = 0, *z = logits + model_pool_row(&m->desc, row->ids, row->n) * width;
    for (int j = 0; m->desc.task != MODEL_LM && j < width; j++) {
        sum += exp(z[j]);
        loss += m->desc.problem == PROBLEM_SINGLE_LABEL ? 0 : log1p(exp(z[j]));
        loss -= (row->label >> j & 1) * z[j];
    }
    loss += m->desc.task == MODEL_CLASSIFY && m->desc.problem == PROBLEM_SINGLE_LABEL ? log(sum) : 0;
    free(hidden);
    return loss;
}

json_t *oracle_config(const char *extra)
{
    json_t *c = json_loads(
        "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":16,\"num_hidden_layers\":2,"
        "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"intermediate_size\":24,\"vocab_size\":29,\"max_position_"
        "embeddings\":640,"
        "\"rms_norm_eps\":1e-5,\"rope_theta\":100.0,\"tie_word_embeddings\":true,\"initializer_range\":0.3,\"eos_token_"
        "id\":2}",
        0, NULL);
    json_t *patch = extra ? json_loads(extra, 0, NULL) : NULL;
    assert_non_null(c);
    if (extra)
        assert_non_null(patch);
    json_object_update(c, patch);
    json_decref(patch);
    return c;
}

double *oracle_weights(const struct model *m, uint64_t seed)
{
    size_t n = (size_t)m->n_element;
    struct queue *q = device_queue(m->device);
    struct buffer *b;
    float *single = malloc(n * sizeof *single);
    double *flat = malloc(n * sizeof *flat);
    assert_int_equal(buffer_new(&b, m->device, n * 4, "weights", NULL), 0);
    assert_int_equal(model_init_masters(m, seed, q, (struct span){b, 0}, NULL), 0);
    queue_download(q, single, (struct span){b, 0}, n * 4);
    assert_int_equal(queue_wait(q, NULL), 0);
    for (size_t i = 0; i < n; i++)
        flat[i] = (double)single[i];
    free(single);
    buffer_free(b);
    return flat;
}
