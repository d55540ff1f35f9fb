/* SPDX-License-Identifier: Apache-2.0 */
/* LLaMA in double. No file of the library computes anything here but the random weights. */
#include "oracle_llama.h"

#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double *part(const struct model *m, const double *flat, int layer, enum layer_part p)
{
    return flat + layer_group(m, layer, p)->offset;
}

static void rms_norm(const double *x, const double *w, int n, int c, double eps, double *y)
{
    for (int t = 0; t < n; t++) {
        double sum = 0;
        for (int i = 0; i < c; i++)
            sum += x[t * c + i] * x[t * c + i];
        for (int i = 0; i < c; i++)
            y[t * c + i] = x[t * c + i] / sqrt(sum / c + eps) * w[i];
    }
}

/* y [n,n_out] (+)= x [n,k] w^T */
static void linear(const double *x, const double *w, int n, int n_out, int k, int add, double *y)
{
    for (int t = 0; t < n; t++)
        for (int o = 0; o < n_out; o++) {
            double sum = 0;
            for (int i = 0; i < k; i++)
                sum += x[t * k + i] * w[o * k + i];
            y[t * n_out + o] = sum + (add ? y[t * n_out + o] : 0);
        }
}

static void rotate(const struct model_desc *d, double *x, int t)
{
    int half = d->head_dim / 2;
    for (int i = 0; i < half; i++) {
        double angle = t * (double)d->rope_inv_freq[i], a = x[i], b = x[i + half];
        x[i] = a * cos(angle) - b * sin(angle);
        x[i + half] = b * cos(angle) + a * sin(angle);
    }
}

static void attention(const struct model_desc *d, double *qkv, int n, double *out)
{
    int heads = d->n_head, kv = d->n_kv_head, size = d->head_dim, width = (heads + 2 * kv) * size;
    double *p = calloc((size_t)n, sizeof *p);
    for (int t = 0; t < n; t++)
        for (int h = 0; h < heads + kv; h++)
            rotate(d, qkv + t * width + h * size, t);
    for (int t = 0; t < n; t++)
        for (int h = 0; h < heads; h++) {
            int at = heads * size + h / (heads / kv) * size;
            double sum = 0, *o = out + (t * heads + h) * size;
            for (int s = 0; s <= t; s++) {
                p[s] = 0;
                for (int i = 0; i < size; i++)
                    p[s] += qkv[t * width + h * size + i] * qkv[s * width + at + i];
                sum += p[s] = exp(p[s] / sqrt(size));
            }
            memset(o, 0, (size_t)size * sizeof *o);
            for (int s = 0; s <= t; s++)
                for (int i = 0; i < size; i++)
                    o[i] += p[s] / sum * qkv[s * width + at + kv * size + i];
        }
    free(p);
}

void oracle_hidden(const struct model *m, const double *flat, const int32_t *ids, int n, double *hidden)
{
    const struct model_desc *d = &m->desc;
    int c = d->n_embd, f = d->n_ff, width = (d->n_head + 2 * d->n_kv_head) * d->head_dim, inner = d->n_head * d->head_dim;
    double *x = calloc((size_t)n * (size_t)(2 * c + width + inner + 2 * f), sizeof *x), *h = x + n * c, *qkv = h + n * c, *att = qkv + n * width, *gu = att + n * inner;
    for (int t = 0; t < n; t++)
        memcpy(x + t * c, flat + (int64_t)ids[t] * c, (size_t)c * sizeof *x);
    for (int l = 0; l < d->n_layer; l++) {
        rms_norm(x, part(m, flat, l, PART_ATTN_NORM), n, c, (double)d->norm_eps, h);
        linear(h, part(m, flat, l, PART_QKV), n, width, c, 0, qkv);
        attention(d, qkv, n, att);
        linear(att, part(m, flat, l, PART_O), n, c, inner, 1, x);
        rms_norm(x, part(m, flat, l, PART_MLP_NORM), n, c, (double)d->norm_eps, h);
        linear(h, part(m, flat, l, PART_GATE_UP), n, 2 * f, c, 0, gu);
        for (int t = 0; t < n; t++)
            for (int i = 0; i < f; i++) {
                double g = gu[t * 2 * f + i], u = gu[t * 2 * f + f + i];
                gu[t * f + i] = g / (1 + exp(-g)) * u; /* row t is packed to f wide: never beyond what is still unread */
            }
        linear(gu, part(m, flat, l, PART_DOWN), n, c, f, 1, x);
    }
    rms_norm(x, flat + m->groups[m->final_norm].offset, n, c, (double)d->norm_eps, hidden);
    free(x);
}

void oracle_logits(const struct model *m, const double *flat, const double *hidden, int n, double *logits)
{
    const struct model_group *head = &m->groups[m->head];
    linear(hidden, flat + head->offset, n, (int)head->n, (int)head->k, 0, logits);
}

static double score_of(const struct model *m, const double *flat, const int32_t *ids, int n)
{
    double *hidden = calloc((size_t)n * (size_t)(m->desc.n_embd + 1), sizeof *hidden), *score = hidden + n * m->desc.n_embd, last;
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
    int c = m->desc.n_embd, width = (int)m->groups[m->head].n;
    double *hidden = calloc((size_t)row->n * (size_t)(c + width), sizeof *hidden), *logits = hidden + row->n * c, loss = 0;
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
    json_t *c = json_loads("{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":16,\"num_hidden_layers\":2,"
                           "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"intermediate_size\":24,\"vocab_size\":29,\"max_position_embeddings\":640,"
                           "\"rms_norm_eps\":1e-5,\"rope_theta\":100.0,\"tie_word_embeddings\":true,\"initializer_range\":0.3,\"eos_token_id\":2}", 0, NULL);
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
