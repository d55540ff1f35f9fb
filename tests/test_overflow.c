/* SPDX-License-Identifier: Apache-2.0 */
/* A model whose weights are all finite, but whose products are not: every verb says so, naming the record, and gives no
 * number. Statistics refuse NaN. */
#include "tests/check.h"
#include "tests/tiny_model.h"

#include "generate/generate.h"
#include "io/file.h"
#include "judge/harm.h"
#include "method/method.h"
#include "retrieve/retrieve.h"
#include "stats/stats.h"
#include "train/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static char root[1024];
static struct device *device;

static const char *in_root(const char *name)
{
    static char path[4][1200];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", root, name);
    return p;
}

/* The attention's values and outputs times 1e25, in the f32 file: each is finite, their product is not. */
static void blow_up(const char *file)
{
    struct buf b = BUF_INIT;
    uint64_t head;
    const char *name;
    json_t *tensor;
    assert_int_equal(file_read(&b, file, 1 << 28, NULL), 0);
    memcpy(&head, b.data, sizeof head);
    json_t *header = json_loadb(b.data + 8, head, 0, NULL);
    json_object_foreach(header, name, tensor)
    {
        const json_t *place = json_object_get(tensor, "data_offsets");
        if (!strstr(name, "v_proj") && !strstr(name, "o_proj"))
            continue;
        size_t at = 8 + head + (size_t)json_integer_value(json_array_get(place, 0)),
               end = 8 + head + (size_t)json_integer_value(json_array_get(place, 1));
        for (; at < end; at += 4) {
            float x;
            memcpy(&x, b.data + at, 4);
            x *= 1e25f;
            assert_true(isfinite(x));
            memcpy(b.data + at, &x, 4);
        }
    }
    json_decref(header);
    assert_int_equal(file_write(file, b.data, b.len, NULL), 0);
    buf_free(&b);
}

static int make_models(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", check_tmpdir("overflow"));
    if (device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = 1}, NULL))
        return -1;
    tiny_model_make(device, root);
    tiny_judge_make(device, root);
    blow_up(in_root("model/model.safetensors"));
    blow_up(in_root("judge/model.safetensors"));
    return 0;
}

static int close_device(void **state)
{
    (void)state;
    device_close(device);
    return 0;
}

static struct model *open_model(const char *name)
{
    struct checkpoint *ck;
    struct model *m = NULL;
    struct error err = {0};
    struct model_options o = {.dtype = DTYPE_F32, .task = MODEL_LM, .check_finite = 1};
    if (checkpoint_open(&ck, in_root(name), &err) || model_open(&m, device, ck, &o, &err))
        fail_msg("%s", err.message);
    checkpoint_close(ck);
    return m;
}

static int n_seen;
static int see(void *user, int index, const struct generate_result *r)
{
    (void)user;
    (void)index;
    n_seen++;
    assert_int_equal(r->error.code, ERROR_DATA);
    assert_non_null(strstr(r->error.message, "not a number"));
    assert_int_equal(r->n, 0);
    return 0;
}

static void generation_gives_errors(void **state)
{
    (void)state;
    static const int32_t prompt[] = {70, 71, 72, 73};
    struct generate_request q[9];
    struct generate_engine *e;
    struct model *m = open_model("model");
    for (int i = 0; i < 9; i++) {
        q[i] = (struct generate_request){.prompt = prompt, .n_prompt = 1 + i % 4, .key_a = (uint64_t)i};
        generate_options_default(&q[i].options);
        q[i].options.max_new_tokens = 5;
        q[i].options.do_sample = i % 3 == 1;
        q[i].options.num_return_sequences = i == 4 ? 3 : 1;
        q[i].options.num_beams = i % 3 == 2 ? 3 : 1;
        q[i].options.beam_compat = (enum beam_compat)(i / 3);
    }
    assert_int_equal(generate_engine_new(&e, m, NULL, NULL, NULL), 0);
    n_seen = 0;
    assert_int_equal(generate_run(e, q, 9, see, NULL, NULL), 0);
    assert_int_equal(n_seen, 9);
    generate_engine_free(e);
    model_close(m);
}

static void embedding_and_judging_name_the_text(void **state)
{
    (void)state;
    static const char *const texts[] = {"How do I mend the roof?"};
    struct model *m = open_model("model");
    struct tokenizer *t;
    struct harm_judge *j;
    struct error err = {0};
    float out[260];
    assert_int_equal(tokenizer_open(&t, in_root("model"), &err), 0);
    assert_int_equal(retrieve_embed(&(struct embedder){m, t}, texts, 1, out, NULL, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "mend the roof"));
    assert_non_null(strstr(err.message, "not a number"));
    tokenizer_close(t);
    model_close(m);
    struct harm_judge_options o = {.model = in_root("judge"), .task = MODEL_CLASSIFY, .dtype = DTYPE_F32};
    assert_int_equal(harm_judge_open(&j, device, &o, &err), 0);
    assert_int_equal(harm_judge_score(j, &(struct judge_text){"Is it late?", "Yes."}, 1, out, NULL, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "Is it late?"));
    harm_judge_close(j);
}

static void align_stops_with_the_text(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    struct error err = {0};
    align_options_default(&o);
    char model[1200], seeds[1200], output[1200];
    snprintf(model, sizeof model, "%s", in_root("model"));
    snprintf(seeds, sizeof seeds, "%s", in_root("seeds.jsonl"));
    snprintf(output, sizeof output, "%s", in_root("run"));
    o.model = model;
    o.seeds = seeds;
    o.output = output;
    o.rounds = 1;
    o.attempts = 3;
    o.k = 2;
    o.dtype = DTYPE_F32;
    o.ask.max_new_tokens = o.answer.max_new_tokens = 4;
    assert_int_equal(method_align(device, &o, &r, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "not a number"));
    align_result_free(&r);
}

/* The verb's exit code, its lines in `out`. */
static int verb(const char *line, const char *input, struct buf *out)
{
    char command[4000];
    const char *isara = getenv("ISARA");
    assert_int_equal(file_write(in_root("in.jsonl"), input, strlen(input), NULL), 0);
    snprintf(command, sizeof command,
             "%s %s --model '%s/%s' --dtype f32 --threads 1 --log-level quiet --input '%s/in.jsonl' >'%s/out.jsonl'",
             isara, line, root, "model", root, root);
    int rc = system(command);
    buf_reset(out);
    assert_int_equal(file_read(out, in_root("out.jsonl"), 1 << 20, NULL), 0);
    return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static void verbs_give_records_with_the_error(void **state)
{
    (void)state;
    static const struct {
        const char *line, *input;
    } cases[] = {
        {"generate --max-new-tokens 3", "{\"id\":\"one\",\"prompt\":\"ab\"}\n"},
        {"generate --max-new-tokens 3 --num-beams 3", "{\"id\":\"one\",\"prompt\":\"ab\"}\n"},
        {"score", "{\"id\":\"one\",\"prompt\":\"ab\",\"completion\":\"cd\"}\n"},
        {"embed", "{\"id\":\"one\",\"text\":\"ab\"}\n"},
    };
    struct buf out = BUF_INIT;
    if (!getenv("ISARA"))
        SKIP_TEST("ISARA does not name the program");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(verb(cases[i].line, cases[i].input, &out), 1);
        assert_non_null(strstr(out.data, "\"one\""));
        assert_non_null(strstr(out.data, "\"error\":\"not a number"));
        assert_null(strstr(out.data, "logprob"));
        assert_null(strstr(out.data, "token_ids"));
        assert_null(strstr(out.data, "embedding"));
    }
    buf_free(&out);
}

static void training_names_the_rows(void **state)
{
    (void)state;
    struct train_options o;
    struct train_data data = {0};
    struct train_result r;
    struct error err = {0};
    struct tokenizer *t;
    struct checkpoint *ck;
    struct model *m = open_model("model");
    assert_int_equal(tokenizer_open(&t, in_root("model"), &err), 0);
    train_options_default(&o);
    o.dtype = DTYPE_F32;
    o.max_steps = 2;
    assert_int_equal(train_data_add_plain(&(struct row_maker){&data, t, model_desc(m), 64}, "abcd", "row seven", &err),
                     0);
    assert_int_equal(checkpoint_open(&ck, in_root("model"), &err), 0);
    struct train_job job = {.model = m, .source = ck, .data = &data, .options = &o, .tokenizer = t};
    assert_int_equal(train_run(&job, &r, &err), ERROR_FAILED);
    assert_non_null(strstr(err.message, "row seven"));
    train_data_free(&data);
    checkpoint_close(ck);
    tokenizer_close(t);
    model_close(m);
}

static void statistics_refuse_what_is_no_number(void **state)
{
    (void)state;
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    unsigned char y[4] = {0, 1, 0, 1};
    for (int i = 0; i < 3; i++) {
        double x[4] = {0.1, 0.2, bad[i], 0.4}, out[4], value;
        struct stats_test t;
        struct stats_interval in;
        struct error err = {0};
        assert_int_equal(stats_wilcoxon(x, 4, &t, &err), ERROR_DATA);
        assert_non_null(strstr(err.message, "value 2 is"));
        assert_true(isnan(t.p));
        assert_int_equal(stats_bootstrap_mean(x, 4, &(struct stats_bootstrap){100, 0.95, 1}, &in, &err), ERROR_DATA);
        assert_true(isnan(in.low));
        assert_int_equal(stats_holm(x, 4, out, &err), ERROR_DATA);
        assert_int_equal(
            stats_auroc(&(struct stats_classified){x, y, 4}, &(struct stats_bootstrap){50, 0.95, 1}, &value, &in, &err),
            ERROR_DATA);
        assert_true(isnan(value));
        assert_int_equal(stats_calibration_error(&(struct stats_classified){x, y, 4}, 5,
                                                 &(struct stats_bootstrap){50, 0.95, 1}, &value, &in, &err),
                         ERROR_DATA);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generation_gives_errors),   cmocka_unit_test(embedding_and_judging_name_the_text),
        cmocka_unit_test(align_stops_with_the_text), cmocka_unit_test(verbs_give_records_with_the_error),
        cmocka_unit_test(training_names_the_rows),   cmocka_unit_test(statistics_refuse_what_is_no_number),
    };
    return cmocka_run_group_tests(tests, make_models, close_device);
}
