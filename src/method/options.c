/* SPDX-License-Identifier: Apache-2.0 */
/* align's options: defaults, ranges, and their form in config.resolved.json, which is what a later start is compared with. */
#include "method/parts.h"

#include "base/build.h"
#include "base/clock.h"
#include "base/threads.h"
#include "io/checkpoint.h"
#include "io/jsontext.h"

#include <string.h>
#include <sys/utsname.h>

static const char *const retrievers[] = {"model", "encoder", "bm25"}, *const pools[] = {"seeds", "grown"}, *const starts[] = {"pretrained", "last"},
                  *const contexts[] = {"random", "anchor"}, *const counts[] = {"attempts", "kept"}, *const schedules[] = {"cosine", "linear", "constant"},
                  *const compats[] = {"4.35", "4.48", "4.49"}, *const stops[] = {"false", "true", "never"}, *const scopes[] = {"all", "generated"};

void align_options_default(struct align_options *o)
{
    *o = (struct align_options){.rounds = 2, .attempts = 512, .k = 5, .stop_novelty = 0.1, .dtype = DTYPE_BF16, .holdout = -1, .samples = 10, .threshold = 0.5};
    sift_options_default(&o->sift);
    generate_options_default(&o->ask);
    o->ask.num_beams = 5;
    o->ask.penalty_scope = PENALTY_GENERATED;
    o->answer = o->ask;
    o->ask.max_new_tokens = 64;
    o->ask.repetition_penalty = 1.2f;
    o->ask.no_repeat_ngram_size = 3;
    train_options_default(&o->train);
}

int align_options_check(const struct align_options *o, struct error *err)
{
    if (!o->model || !o->seeds)
        return error_set(err, ERROR_USAGE, "align: --model and --seeds are needed");
    if (!o->output && !o->preview)
        return error_set(err, ERROR_USAGE, "align: --output is needed: the run directory");
    if (o->rounds < 1 || o->attempts < 1 || o->k < 1)
        return error_set(err, ERROR_USAGE, "align: rounds, attempts and k: wanted at least 1, found %d, %d and %d", o->rounds, o->attempts, o->k);
    if (!(o->stop_novelty >= 0 && o->stop_novelty <= 1) || !(o->threshold >= 0 && o->threshold <= 1))
        return error_set(err, ERROR_USAGE, "align: stop-novelty and threshold: wanted 0 to 1, found %g and %g", o->stop_novelty, o->threshold);
    if (o->retriever == ALIGN_RETRIEVER_ENCODER && !o->encoder)
        return error_set(err, ERROR_USAGE, "align: --retriever encoder needs --encoder DIR");
    if (o->judge && !o->test)
        return error_set(err, ERROR_USAGE, "align: --judge needs --test FILE, the questions whose answers it judges");
    if (o->ask.num_return_sequences > 1 || o->answer.num_return_sequences > 1)
        return error_set(err, ERROR_USAGE, "align: num-return-sequences: wanted 1");
    int rc = sift_options_check(&o->sift, err);
    if (!rc && (rc = generate_options_check(&o->ask, err)))
        error_prefix(err, "ask");
    if (!rc && (rc = generate_options_check(&o->answer, err)))
        error_prefix(err, "answer");
    return rc ? rc : train_options_check(&o->train, err);
}

static int put(json_t *object, const char *prefix, const char *name, json_t *value)
{
    char key[64];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    return json_object_set_new(object, key, value);
}

/* Every number of generate_options under its option's name. */
#define DECODE_INTS(X) X(max_new_tokens, "max-new-tokens") X(min_new_tokens, "min-new-tokens") X(num_beams, "num-beams") X(do_sample, "do-sample") \
    X(top_k, "top-k") X(no_repeat_ngram_size, "no-repeat-ngram-size")
#define DECODE_REALS(X) X(temperature, "temperature") X(top_p, "top-p") X(min_p, "min-p") X(repetition_penalty, "repetition-penalty") \
    X(length_penalty, "length-penalty")
#define TRAIN_INTS(X) X(max_steps, "max-steps") X(batch_size, "per-device-train-batch-size") X(accumulation, "gradient-accumulation-steps") \
    X(max_length, "max-length") X(packing, "packing") X(shuffle, "shuffle") X(lora_r, "lora-r") X(bf16_moments, "bf16-moments") \
    X(bf16_random, "bf16-random")
#define TRAIN_REALS(X) X(learning_rate, "learning-rate") X(warmup_ratio, "warmup-ratio") X(num_train_epochs, "num-train-epochs") \
    X(weight_decay, "weight-decay") X(adam_beta1, "adam-beta1") X(adam_beta2, "adam-beta2") X(adam_epsilon, "adam-epsilon") \
    X(max_grad_norm, "max-grad-norm") X(min_lr_ratio, "min-lr-ratio") X(lora_alpha, "lora-alpha")
#define ALIGN_INTS(X) X(rounds, "rounds") X(attempts, "attempts") X(k, "k") X(holdout, "holdout") X(samples, "samples") X(baselines, "baselines") \
    X(keep_test_overlap, "keep-test-overlap") \
    X(sift.question_min_words, "question-min-words") X(sift.question_max_words, "question-max-words") \
    X(sift.answer_min_words, "answer-min-words") X(sift.answer_max_words, "answer-max-words") X(sift.need_end, "sift-need-end")
#define ALIGN_REALS(X) X(stop_novelty, "stop-novelty") X(sift.threshold, "sift-threshold") X(sift.repetition, "sift-repetition") \
    X(sift.copy, "sift-copy") X(threshold, "threshold")

static int put_decoding(json_t *s, const char *prefix, const struct generate_options *o)
{
    int rc = 0;
    json_t *eos = json_array(), *stop = json_array();
#define X(field, name) rc |= put(s, prefix, name, json_integer(o->field));
    DECODE_INTS(X)
#undef X
#define X(field, name) rc |= put(s, prefix, name, json_real((double)o->field));
    DECODE_REALS(X)
#undef X
    rc |= put(s, prefix, "early-stopping", json_string(stops[o->early_stopping]));
    rc |= put(s, prefix, "beam-compat", json_string(compats[o->beam_compat]));
    rc |= put(s, prefix, "penalty-scope", json_string(scopes[o->penalty_scope]));
    for (int i = 0; i < o->n_eos; i++)
        rc |= json_array_append_new(eos, json_integer(o->eos_ids[i]));
    for (int i = 0; i < o->n_stop; i++)
        rc |= json_array_append_new(stop, json_string(o->stop[i]));
    return rc | put(s, prefix, "eos-token-id", eos) | put(s, prefix, "stop", stop);
}

static const char *bits_of(const struct align *a) /* f32 gives the same bits on every machine */
{
    return a->o.dtype == DTYPE_F32 ? "f32" : device_isa(a->device);
}

json_t *align_settings(const struct align *a)
{
    const struct align_options *o = &a->o;
    json_t *s = json_object();
    struct buf template = BUF_INIT;
    int rc = !s;
    template_describe(a->template, &template);
#define X(field, name) rc |= put(s, "", name, json_integer(o->field));
    ALIGN_INTS(X)
#undef X
#define X(field, name) rc |= put(s, "", name, json_real(o->field));
    ALIGN_REALS(X)
#undef X
#define X(field, name) rc |= put(s, "train-", name, json_integer(o->train.field));
    TRAIN_INTS(X)
#undef X
#define X(field, name) rc |= put(s, "train-", name, json_real(o->train.field));
    TRAIN_REALS(X)
#undef X
    rc |= put(s, "train-", "lr-scheduler-type", json_string(schedules[o->train.schedule]));
    rc |= put(s, "train-", "lora-target-modules", json_string(o->train.lora_targets));
    rc |= put(s, "", "retriever", json_string(retrievers[o->retriever])) | put(s, "", "pool", json_string(pools[o->pool]));
    rc |= put(s, "", "start", json_string(starts[o->start])) | put(s, "", "ask-contexts", json_string(contexts[o->ask_contexts]));
    rc |= put(s, "", "count", json_string(counts[o->count])) | put(s, "", "dtype", json_string(dtype_name(o->dtype)));
    json_error_t why;
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)o->seed);
    rc |= put(s, "", "seed", json_string(seed)) | put_decoding(s, "ask-", &o->ask) | put_decoding(s, "answer-", &o->answer);
    rc |= put(s, "", "template", template.failed ? NULL : jsontext_document(template.data, template.len, 0, &why));
    rc |= put(s, "", "model-sha256", json_string(a->source_sha256)) | put(s, "", "seeds-sha256", json_string(a->seeds.sha256));
    rc |= put(s, "", "test-sha256", json_string(a->test.sha256));
    rc |= put(s, "", "judge", json_string(o->judge ? o->judge : "")) | put(s, "", "encoder", json_string(o->encoder ? o->encoder : ""));
    rc |= put(s, "", "bits", json_string(bits_of(a))) | put(s, "", "build", json_string(build_name)) | json_object_update(s, a->files);
    buf_free(&template);
    if (rc) {
        json_decref(s);
        return NULL;
    }
    return s;
}

json_t *align_manifest(const struct align *a)
{
    struct utsname u = {0};
    uname(&u);
    return json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:s}, s:{s:s, s:s, s:f}, s:{s:s, s:s, s:i, s:i, s:s}, s:{s:s?, s:s, s:i}, s:{s:s, s:s, s:s, s:i, s:s}, s:f}",
                     "program", "isara", "build", "version", build_version, "commit", build_commit, "compiler", __VERSION__, "isa", device_isa(a->device), "bits", bits_of(a), "model", "path", a->o.model,
                     "sha256", a->source_sha256, "parameters", a->desc.n_param, "seeds", "path", a->o.seeds, "sha256", a->seeds.sha256, "pairs", a->seeds.n,
                     "held_out", a->n_held, "format", a->seeds.format, "test", "path", a->o.test, "sha256", a->test.sha256, "questions", a->test.n, "machine", "system",
                     u.sysname, "release", u.release, "machine", u.machine, "processors", threads_available(), "host", u.nodename, "time", clock_wall());
}

static int index_of(const json_t *s, const char *key, const char *const *names, int n)
{
    const char *v = json_string_value(json_object_get(s, key));
    for (int i = 0; v && i < n; i++)
        if (!strcmp(names[i], v))
            return i;
    return 0;
}
#define INDEX_OF(s, key, names) index_of(s, key, names, (int)(sizeof names / sizeof *names))

static json_t *get(const json_t *s, const char *prefix, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    return json_object_get(s, key);
}

static void get_decoding(const json_t *s, const char *prefix, struct generate_options *o)
{
    size_t i;
    json_t *v;
#define X(field, name) o->field = (int)json_integer_value(get(s, prefix, name));
    DECODE_INTS(X)
#undef X
#define X(field, name) o->field = (float)json_number_value(get(s, prefix, name));
    DECODE_REALS(X)
#undef X
    char key[64];
    snprintf(key, sizeof key, "%searly-stopping", prefix);
    o->early_stopping = (enum early_stopping)INDEX_OF(s, key, stops);
    snprintf(key, sizeof key, "%sbeam-compat", prefix);
    o->beam_compat = (enum beam_compat)INDEX_OF(s, key, compats);
    snprintf(key, sizeof key, "%spenalty-scope", prefix);
    o->penalty_scope = (enum penalty_scope)INDEX_OF(s, key, scopes);
    o->n_eos = o->n_stop = 0;
    json_array_foreach(get(s, prefix, "eos-token-id"), i, v)
        if (o->n_eos < MODEL_MAX_EOS)
            o->eos_ids[o->n_eos++] = (int)json_integer_value(v);
    json_array_foreach(get(s, prefix, "stop"), i, v)
        if (o->n_stop < GENERATE_MAX_STOP && json_is_string(v))
            snprintf(o->stop[o->n_stop++], sizeof o->stop[0], "%s", json_string_value(v));
}

int align_options_from(struct align_options *o, const json_t *s, const char *where, struct error *err)
{
    const char *dtype = json_string_value(json_object_get(s, "dtype")), *seed = json_string_value(json_object_get(s, "seed"));
    align_options_default(o);
    if (!dtype || !seed)
        return error_set(err, ERROR_DATA, "%s: the settings lack dtype or seed", where);
#define X(field, name) o->field = (int)json_integer_value(json_object_get(s, name));
    ALIGN_INTS(X)
#undef X
#define X(field, name) o->field = json_number_value(json_object_get(s, name));
    ALIGN_REALS(X)
#undef X
#define X(field, name) o->train.field = (int)json_integer_value(get(s, "train-", name));
    TRAIN_INTS(X)
#undef X
#define X(field, name) o->train.field = json_number_value(get(s, "train-", name));
    TRAIN_REALS(X)
#undef X
    o->train.schedule = (enum lr_schedule)INDEX_OF(s, "train-lr-scheduler-type", schedules);
    o->retriever = (enum align_retriever)INDEX_OF(s, "retriever", retrievers);
    o->pool = (enum align_pool)INDEX_OF(s, "pool", pools);
    o->start = (enum align_start)INDEX_OF(s, "start", starts);
    o->ask_contexts = (enum align_contexts)INDEX_OF(s, "ask-contexts", contexts);
    o->count = (enum align_count)INDEX_OF(s, "count", counts);
    o->dtype = !strcmp(dtype, "f32") ? DTYPE_F32 : !strcmp(dtype, "q8") ? DTYPE_Q8 : DTYPE_BF16;
    o->seed = strtoull(seed, NULL, 10);
    get_decoding(s, "ask-", &o->ask);
    get_decoding(s, "answer-", &o->answer);
    return 0;
}
