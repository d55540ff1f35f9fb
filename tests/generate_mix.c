/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/generate_mix.h"

#include "base/rng.h"
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>

int everything_remote;

struct device *open_device(int n_thread)
{
    struct device *d;
    struct error err;
    struct device_options o = {.n_thread = n_thread};
    assert_int_equal(
        everything_remote ? device_open(&d, DEVICE_REMOTE, &o, &err) : device_open(&d, DEVICE_CPU, &o, &err), 0);
    return d;
}

struct model *small_model_with(struct device *d, enum dtype dtype, const char *more)
{
    struct model *m;
    struct error err;
    json_t *config = json_loads("{\"model_type\":\"llama\",\"hidden_size\":64,\"num_hidden_layers\":2,\"num_attention_"
                                "heads\":4,\"num_key_value_heads\":2,"
                                "\"intermediate_size\":96,\"vocab_size\":97,\"max_position_embeddings\":400,\"rms_norm_"
                                "eps\":1e-5,\"rope_theta\":10000.0,"
                                "\"tie_word_embeddings\":true,\"initializer_range\":0.3,\"eos_token_id\":2,\"bos_token_"
                                "id\":1,\"hidden_act\":\"silu\"}",
                                0, NULL);
    json_t *changed = json_loads(more, 0, NULL);
    assert_non_null(config);
    assert_int_equal(json_object_update(config, changed), 0);
    json_decref(changed);
    if (model_init(&m, d, config, "config.json", &(struct model_options){.dtype = dtype, .seed = 5}, &err))
        fail_msg("%s", err.message);
    json_decref(config);
    return m;
}

struct model *small_model(struct device *d, enum dtype dtype)
{
    return small_model_with(d, dtype, "{}");
}

int keep(void *user, int index, const struct generate_result *result)
{
    struct record *r = (struct record *)user + index;
    r->calls++;
    r->code = result->error.code;
    snprintf(r->message, sizeof r->message, "%.255s", result->error.code ? result->error.message : "");
    FILE *f = open_memstream(&r->bytes, &r->n);
    for (int i = 0; i < result->n; i++) {
        const struct generate_sequence *s = &result->sequences[i];
        fwrite(s->ids, 4, (size_t)s->n, f);
        fwrite(s->logprobs, 4, (size_t)s->n, f);
        fwrite(&s->score, 4, 1, f);
        fwrite(&s->sum_logprob, 8, 1, f);
        fwrite(&s->finish, sizeof s->finish, 1, f);
    }
    fclose(f);
    return 0;
}

void forget_records(struct record *r, int n)
{
    for (int i = 0; i < n; i++)
        free(r[i].bytes);
    memset(r, 0, (size_t)n * sizeof *r);
}

static struct rng_stream dice = {41, 42, 43};
static uint64_t thrown;
int below(int n)
{
    return (int)rng_below(&dice, thrown++, (uint32_t)n);
}

void random_requests(struct generate_request *q, int n, int32_t (*prompts)[CONTEXT])
{
    for (int i = 0; i < n; i++) {
        int from = i ? below(i) : 0, share = i && below(3) ? below(q[from].n_prompt + 1) : 0,
            len = share + 1 + below(below(3) ? 40 : 150);
        struct generate_options *o = &q[i].options;
        q[i] = (struct generate_request){
            .prompt = prompts[i], .n_prompt = len < 250 ? len : 250, .seed = 3, .key_a = (uint64_t)i, .key_b = 9};
        for (int t = 0; t < q[i].n_prompt; t++)
            prompts[i][t] = t < share ? prompts[from][t] : 3 + below(VOCAB - 3);
        generate_options_default(o);
        o->n_eos = below(3);
        o->eos_ids[0] = 2;
        o->eos_ids[1] = 11;
        o->max_new_tokens = 1 + below(24);
        o->min_new_tokens = below(4) ? 0 : below(6);
        o->repetition_penalty = below(3) ? 1 : 1.3f;
        o->no_repeat_ngram_size = below(3) ? 0 : 1 + below(3);
        o->penalty_scope = (enum penalty_scope)below(2);
        switch (below(3)) {
        case 0:
            o->num_beams = 2 + below(4);
            o->num_return_sequences = 1 + below(o->num_beams);
            o->length_penalty = (float)below(5) / 2 - 0.5f;
            o->early_stopping = (enum early_stopping)below(3);
            o->beam_compat = (enum beam_compat)below(3);
            break;
        case 1:
            o->do_sample = 1;
            o->num_return_sequences = 1 + below(3);
            o->temperature = 0.7f;
            o->top_k = below(2) ? 0 : 20;
            o->top_p = below(2) ? 1 : 0.9f;
            o->min_p = below(2) ? 0 : 0.02f;
        }
    }
}

void run_all(struct generate_engine *e, const struct generate_request *q, int n, struct record *r)
{
    struct error err;
    if (generate_run(e, q, n, keep, r, &err))
        fail_msg("%s", err.message);
    for (int i = 0; i < n; i++)
        assert_int_equal(r[i].calls, 1);
}

struct generate_engine *engine_with(struct model *m, const struct generate_engine_options *o)
{
    struct generate_engine *e;
    struct error err;
    if (generate_engine_new(&e, m, NULL, o, &err))
        fail_msg("%s", err.message);
    return e;
}

void expect_same(const struct record *want, const struct record *got, const char *what, int round, int i)
{
    if (want->n == got->n && !memcmp(want->bytes, got->bytes, want->n) && want->code == got->code)
        return;
    fail_msg("round %d, request %d differs %s: %s", round, i, what, got->message);
}
