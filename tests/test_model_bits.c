/* SPDX-License-Identifier: Apache-2.0 */
/* Every family keeps the promises about bits: requests alone or together, threads, instruction sets, pages, chunks and
 * shared prefixes of the cache, micro-batches, recomputation and resuming change nothing. Models are random ones with
 * the configurations of tests/golden/families, so that every switch is drawn; encoders and classifiers only train. */
#include "check.h"

#include "io/file.h"
#include "base/interrupt.h"
#include "generate_mix.h"
#include "io/jsontext.h"
#include "model/families.h"
#include "model/shared_rows.h"
#include "train/train.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CONFIG = 120, N_REQUEST = 7, N_TEXT = 5, N_ROW = 6, STEPS = 4, MOST_LENGTH = 40, LIMIT = 24 };

static json_t *configs[MOST_CONFIG];
static char names[MOST_CONFIG][256];
static int n_config;

static const char *key_of(const struct family *f, const char *ours)
{
    for (int i = 0; i < f->n_alias; i++)
        if (!strcmp(f->aliases[i].ours, ours))
            return f->aliases[i].theirs;
    return ours;
}

static int is_dynamic(const json_t *rule)
{
    const char *type = json_string_value(json_object_get(rule, "rope_type"));
    return type && !strcmp(type, "dynamic");
}

/* More than LIMIT tokens turn by other frequencies. Returns what max_position_embeddings must be. */
static int set_limits(json_t *object)
{
    const char *key;
    json_t *v;
    int context = is_dynamic(object) ? LIMIT : CONTEXT;
    json_object_foreach(object, key, v)
    {
        int inside = set_limits(v);
        context = inside < context ? inside : context;
        if (!strcmp(key, "original_max_position_embeddings"))
            json_integer_set(v, LIMIT);
    }
    if (is_dynamic(object))
        json_object_set_new(object, "factor", json_real(1 + CONTEXT / LIMIT));
    return context;
}

/* The golden configurations with a vocabulary and context that the mixes of requests want. */
static int read_configs(void **state)
{
    (void)state;
    const struct dirent *entry;
    DIR *all = opendir("tests/golden/families");
    while (all && (entry = readdir(all))) {
        char path[400];
        json_t *c;
        snprintf(path, sizeof path, "tests/golden/families/%s/config.json", entry->d_name);
        int past = strstr(entry->d_name, "past") != NULL;
        if (strchr(entry->d_name, '.') || (strstr(entry->d_name, "longrope") && !past) ||
            strstr(entry->d_name, "vision") || jsontext_load(&c, path, 1 << 20, NULL))
            continue;
        const struct family *f = family_find(json_string_value(json_object_get(c, "model_type")));
        if (n_config == MOST_CONFIG || !f)
            return -1;
        json_object_set_new(c, key_of(f, "vocab_size"), json_integer(VOCAB));
        json_object_set_new(c, key_of(f, "max_position_embeddings"), json_integer(past ? set_limits(c) : CONTEXT));
        snprintf(names[n_config], sizeof *names, "%s", entry->d_name);
        configs[n_config++] = c;
    }
    closedir(all);
    return n_config ? 0 : -1;
}

static int free_configs(void **state)
{
    (void)state;
    for (int i = 0; i < n_config; i++)
        json_decref(configs[i]);
    return 0;
}

struct place {
    struct device *device;
    struct model *m;
};

static int reduced(void)
{
    const char *r = getenv("ISARA_REDUCED");
    return r && *r;
}

static struct place open_place(int config, const char *isa, int n_thread)
{
    struct place p;
    struct error err;
    if (device_open(&p.device, DEVICE_CPU, &(struct device_options){.n_thread = n_thread, .isa = isa}, NULL) &&
        device_open(&p.device, DEVICE_CPU, &(struct device_options){.n_thread = n_thread}, &err))
        fail_msg("%s", err.message);
    if (model_init(&p.m, p.device, configs[config], names[config],
                   &(struct model_options){.dtype = DTYPE_F32, .seed = 5}, &err))
        fail_msg("%s", err.message);
    return p;
}

static void close_place(struct place *p)
{
    model_close(p->m);
    device_close(p->device);
}

static const char *any_isa(void)
{
    static const char *const isas[] = {"generic", "avx2", "avx512", NULL};
    return isas[below(4)];
}

static void generate_in(const struct place *p, const struct generate_request *q, int n,
                        const struct generate_engine_options *o, struct record *r)
{
    struct generate_engine *e = engine_with(p->m, o);
    run_all(e, q, n, r);
    generate_engine_free(e);
}

static void scores_of(const struct model *m, const struct model_text *texts, int n, float *out)
{
    assert_int_equal(model_score(m, texts, n, out, NULL), 0);
}

/* Log-probabilities and embeddings of texts alone and together. */
static void check_texts(const struct place *one, const struct place *other, const struct generate_request *q,
                        const char *name)
{
    static float alone[N_TEXT * CONTEXT], together[N_TEXT * CONTEXT], mean[2][N_TEXT * 64];
    struct model_text texts[N_TEXT];
    int at = 0, width = model_width(model_desc(one->m));
    assert_true(width <= 64);
    for (int i = 0; i < N_TEXT; i++) {
        texts[i] = (struct model_text){q[i].prompt, q[i].n_prompt, 1};
        scores_of(one->m, &texts[i], 1, alone + at);
        assert_int_equal(model_embed(one->m, &texts[i], 1, 1, mean[0] + i * width, NULL), 0);
        at += texts[i].n - 1;
    }
    scores_of(other->m, texts, N_TEXT, together);
    assert_int_equal(model_embed(other->m, texts, N_TEXT, 1, mean[1], NULL), 0);
    if (memcmp(alone, together, (size_t)at * sizeof *alone) ||
        memcmp(mean[0], mean[1], (size_t)(N_TEXT * width) * sizeof(float)))
        fail_msg("%s: texts alone and together differ", name);
}

/* Texts of two random beginnings, alone and together, where what they share is computed once. The beginnings end inside
 * a page, at its end, and beyond a chunk of keys. */
static void check_shared_texts(const struct place *one, const struct place *other, const char *name)
{
    enum { N = 11, MOST = 330 };
    static float alone[N * MOST], together[N * MOST];
    static int32_t ids[N][MOST];
    const int lengths[2] = {(const int[]){9 + below(20), 32, 33 + below(60), 260 + below(30)}[below(4)], 8 + below(50)};
    struct model_text texts[N];
    int at = 0, most = model_desc(one->m)->n_ctx;
    for (int i = 0; i < N; i++) {
        int of = i > 6, shared = lengths[of], n = shared + 1 + below(20);
        n = n < most ? n : most;
        for (int j = 0; j < n; j++)
            ids[i][j] = j < shared && i != 7 * of ? ids[7 * of][j] : below(VOCAB);
        texts[i] = (struct model_text){ids[i], n, shared + 1 < n ? shared + 1 : n};
        texts[i].n_prompt -= below(4) ? 0 : below(texts[i].n_prompt);
        scores_of(one->m, &texts[i], 1, alone + at);
        at += n - texts[i].n_prompt;
    }
    scores_of(other->m, texts, N, together);
    if (memcmp(alone, together, (size_t)at * sizeof *alone))
        fail_msg("%s: the scores of texts that begin alike differ from those of each alone", name);
}

/* 14 tokens before one of 3 completions, 3 times, then a text of its own: 2 of 3 times the prompt's rows but the last
 * are saved. */
static void what_texts_share_is_found(void **state)
{
    (void)state;
    struct device *d = open_device(1);
    struct model *m = small_model(d, DTYPE_F32);
    int32_t ids[10][20];
    struct model_text texts[10];
    for (int i = 0; i < 10; i++) {
        for (int j = 0; j < 20; j++)
            ids[i][j] = j < 14 ? i / 3 * 20 + j : 80 + i;
        texts[i] = (struct model_text){ids[i], 16 + i % 3, 14};
    }
    assert_int_equal(shared_saving(m, texts, 10), 3 * 2 * 13);
    assert_int_equal(shared_saving(m, texts, 1), 0);
    texts[1].n_prompt = 5; /* its completion's rows are its own: too few are left to share */
    assert_int_equal(shared_saving(m, texts, 3), 0);
    model_close(m);
    device_close(d);
}

static void generation_and_scores_are_the_same_bits_however_they_are_run(void **state)
{
    (void)state;
    static int32_t prompts[N_REQUEST][CONTEXT];
    for (int k = 0; k < n_config; k += reduced() ? 5 : 1) {
        struct generate_request q[N_REQUEST];
        struct record want[N_REQUEST] = {0}, got[N_REQUEST] = {0};
        struct generate_engine_options o;
        struct place one = open_place(k, NULL, 1), other = open_place(k, any_isa(), 1 + below(3));
        int is_lm = model_desc(one.m)->task == MODEL_LM && !model_desc(one.m)->bidirectional;
        random_requests(q, N_REQUEST, prompts);
        if (is_lm) {
            for (int i = 0; i < N_REQUEST; i++)
                generate_in(&one, &q[i], 1, NULL, &want[i]);
            generate_engine_options_default(&o, other.m);
            o.page = 32 << below(3);
            o.prefix_cache = below(2);
            o.prefill_chunk = 1 + below(70);
            generate_in(&other, q, N_REQUEST, &o, got);
            for (int i = 0; i < N_REQUEST; i++)
                expect_same(&want[i], &got[i], names[k], k, i);
            check_texts(&one, &other, q, names[k]);
            check_shared_texts(&one, &other, names[k]);
        }
        forget_records(want, N_REQUEST);
        forget_records(got, N_REQUEST);
        close_place(&other);
        close_place(&one);
    }
}

static void make_rows(struct train_data *data, const struct model_desc *d)
{
    *data = (struct train_data){0};
    for (int i = 0; i < N_ROW; i++) {
        int32_t ids[MOST_LENGTH];
        int n = 4 + (i * 11 + 3) % (MOST_LENGTH - 4);
        for (int j = 0; j < n; j++)
            ids[j] = 3 + (i * 31 + j * j * 7 + j) % (VOCAB - 3);
        assert_int_equal(train_data_add_ids(&(struct row_maker){.data = data, .desc = d, .max_length = MOST_LENGTH},
                                            ids, n, 2, "row", NULL),
                         0);
        data->rows[i].label = 1 << i % 3;
    }
}

struct run {
    int config, n_thread, accumulation, recompute, stop_at;
    const char *isa, *directory;
};

static void stop_there(void *user, const struct train_step *s)
{
    const struct run *r = user;
    if (s->step == r->stop_at)
        interrupt_request(SIGTERM);
}

static int train(struct run *r)
{
    struct place p = open_place(r->config, r->isa, r->n_thread);
    struct train_data data;
    struct train_options o;
    struct train_result result;
    struct error err;
    make_rows(&data, model_desc(p.m));
    train_options_default(&o);
    o.dtype = DTYPE_F32;
    o.learning_rate = 1e-3;
    o.max_steps = STEPS;
    o.accumulation = r->accumulation;
    o.batch_size = 4 / r->accumulation;
    o.recompute = r->recompute;
    o.seed = 5;
    struct train_job job = {
        .model = p.m, .data = &data, .options = &o, .directory = r->directory, .on_step = stop_there, .user = r};
    int rc = train_run(&job, &result, &err);
    if (rc && rc != ERROR_INTERRUPTED)
        fail_msg("%s: %s", names[r->config], err.message);
    interrupt_clear();
    train_data_free(&data);
    close_place(&p);
    return rc;
}

static void expect_same_model(const char *a, const char *b, const char *name)
{
    struct buf x[2] = {BUF_INIT, BUF_INIT};
    const char *const in[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        char path[500];
        snprintf(path, sizeof path, "%s/model.safetensors", in[i]);
        assert_int_equal(file_read(&x[i], path, 1 << 24, NULL), 0);
    }
    if (x[0].len != x[1].len || memcmp(x[0].data, x[1].data, x[0].len))
        fail_msg("%s: trained another way it is another model", name);
    buf_free(&x[0]);
    buf_free(&x[1]);
}

static void training_is_the_same_bits_however_it_is_cut_and_resumed(void **state)
{
    (void)state;
    for (int k = 0; k < n_config; k += reduced() ? 5 : 1) {
        char whole[400], other[400];
        struct place p = open_place(k, NULL, 1);
        int trains = !model_desc(p.m)->bidirectional;
        close_place(&p);
        if (!trains)
            continue;
        snprintf(whole, sizeof whole, "%s", check_tmpdir("bits_whole"));
        snprintf(other, sizeof other, "%s", check_tmpdir("bits_other"));
        assert_int_equal(train(&(struct run){.config = k, .n_thread = 1, .accumulation = 1, .directory = whole}), 0);
        struct run cut = {.config = k, .n_thread = 2, .accumulation = 2, .recompute = 1, .directory = other};
        cut.isa = any_isa();
        cut.stop_at = 1 + below(STEPS - 1);
        assert_int_equal(train(&cut), ERROR_INTERRUPTED);
        cut.stop_at = 0;
        assert_int_equal(train(&cut), 0);
        expect_same_model(whole, other, names[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_texts_share_is_found),
        cmocka_unit_test(generation_and_scores_are_the_same_bits_however_they_are_run),
        cmocka_unit_test(training_is_the_same_bits_however_it_is_cut_and_resumed),
    };
    return cmocka_run_group_tests(tests, read_configs, free_configs);
}
