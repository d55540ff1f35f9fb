/* SPDX-License-Identifier: Apache-2.0 */
/* include/isara.h on the bundled miniature: what streams is the text, a session gives what a call gives, errors are
 * named, numbers are those of the floors below. */
#include "isara.h"

#include "base/hash.h"
#include "method/method.h"
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const miniature = "models/miniature";

static struct isara_model *model_with(const char *options)
{
    struct isara_model *m;
    struct isara_error err;
    if (access("models/miniature/model.safetensors", R_OK))
        SKIP_TEST("no %s", miniature);
    if (isara_open(&m, miniature, options, &err))
        fail_msg("%s", err.message);
    return m;
}

struct heard {
    char text[3][4096], final[3][4096];
    int n_token[3], n_done, code;
    float score;
};

static int on_token(void *user, const struct isara_token *t)
{
    struct heard *h = user;
    strncat(h->text[t->sequence], t->text, t->n_text);
    h->n_token[t->sequence] += t->id >= 0;
    return 0;
}

static int on_done(void *user, const struct isara_result *r)
{
    struct heard *h = user;
    h->n_done++;
    h->code = r->error ? r->error->code : 0;
    for (int i = 0; i < r->n; i++) {
        assert_int_equal(r->sequences[i].n, h->n_token[i]);
        snprintf(h->final[i], sizeof h->final[i], "%s", r->sequences[i].text);
    }
    h->score = r->n ? r->sequences[0].score : 0;
    return 0;
}

static const char *const decoding[] = {
    "{\"max_new_tokens\": 40}",
    "{\"max_new_tokens\": 40, \"stop\": [\". It is\", \"zzz\"]}",
    "{\"max-new-tokens\": 30, \"num_beams\": 3, \"num_return_sequences\": 2}",
    ("{\"max_new_tokens\": 40, \"do_sample\": true, \"temperature\": 1.5, \"num_return_sequences\": 3,"
     " \"stop\": \"e \"}"),
};
enum { N = sizeof decoding / sizeof *decoding };

static void set_requests(struct isara_request *q, struct heard *h)
{
    memset(h, 0, N * sizeof *h);
    for (int i = 0; i < N; i++)
        q[i] = (struct isara_request){.prompt = "Question: How do I store apples?\nAnswer:",
                                      .options = decoding[i],
                                      .seed = 7,
                                      .key = 3,
                                      .on_token = on_token,
                                      .on_done = on_done,
                                      .user = &h[i]};
}

static void what_streams_is_the_text(void **state)
{
    (void)state;
    static struct heard h[N];
    struct isara_request q[N];
    struct isara_error err;
    struct isara_model *m = model_with("{\"threads\": 2}");
    set_requests(q, h);
    if (isara_generate(m, q, N, &err))
        fail_msg("%s", err.message);
    for (int i = 0; i < N; i++) {
        assert_int_equal(h[i].n_done, 1);
        assert_true(strlen(h[i].final[0]) > 0);
        for (int s = 0; s < 3; s++)
            assert_string_equal(h[i].text[s], h[i].final[s]);
    }
    assert_null(strstr(h[1].final[0], ". It is"));
    isara_close(m);
}

static void a_session_gives_what_a_call_gives(void **state)
{
    (void)state;
    static struct heard want[N], got[N], gone;
    struct isara_request q[N], other;
    struct isara_error err;
    struct isara_session *s;
    struct isara_model *m = model_with(NULL);
    set_requests(q, want);
    assert_int_equal(isara_generate(m, q, N, &err), 0);
    set_requests(q, got);
    other = q[0];
    other.user = &gone;
    if (isara_begin(&s, m, "{\"requests\": 5, \"length\": 128, \"width\": 3}", &err))
        fail_msg("%s", err.message);
    assert_int_equal(isara_submit(s, &other, &err), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(isara_submit(s, &q[i], &err), 0);
        assert_int_equal(isara_step(s, &err), 0);
    }
    assert_int_equal(isara_pending(s), N + 1);
    isara_cancel(s, &other);
    while (isara_pending(s))
        assert_int_equal(isara_step(s, &err), 0);
    isara_end(s);
    assert_memory_equal(want, got, sizeof want);
    assert_int_equal(gone.n_done, 0);
    assert_true(gone.n_token[0] > 0);
    isara_close(m);
}

static void expect_error(int rc, const struct isara_error *err, int code, const char *part)
{
    assert_int_equal(rc, code);
    assert_int_equal(err->code, code);
    if (!strstr(err->message, part))
        fail_msg("wanted \"%s\", found \"%s\"", part, err->message);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    struct isara_error err;
    struct isara_model *m = NULL;
    struct isara_request q = {.prompt = "A"};
    expect_error(isara_open(&m, "nowhere/at-all", NULL, &err), &err, ISARA_NOINPUT, "nowhere");
    assert_null(m);
    m = model_with(NULL);
    isara_close(m);
    expect_error(isara_open(&m, miniature, "{\"dtype\": \"f64\"}", &err), &err, ISARA_DATA, "dtype");
    expect_error(isara_open(&m, miniature, "{\"colour\": 1}", &err), &err, ISARA_USAGE, "colour");
    m = model_with(NULL);
    q.options = "{\"num_beams\": 0}";
    expect_error(isara_generate(m, &q, 1, &err), &err, ISARA_USAGE, "num");
    q.options = "{\"max_new_tokens\": 1000000}";
    expect_error(isara_generate(m, &q, 1, &err), &err, ISARA_DATA, "context");
    q.options = "[";
    assert_true(isara_generate(m, &q, 1, &err) != 0);
    expect_error(isara_eval("no-such-task", NULL, &(struct isara_report){NULL, NULL}, &err), &err, ISARA_USAGE,
                 "no-such-task");
    expect_error(isara_align(miniature, NULL, NULL, NULL, NULL, &err), &err, ISARA_USAGE, "seeds");
    expect_error(isara_align(miniature, "a", "b", "{\"recipe\": \"none\"}", NULL, &err), &err, ISARA_USAGE,
                 "self-instruct");
    expect_error(isara_align(miniature, "a", "b", "{\"recipe\": \"self-instruct\", \"pool\": \"seeds\"}", NULL, &err),
                 &err, ISARA_USAGE, "generated_contexts");
    expect_error(isara_align(miniature, "a", "b", "{\"train_learning_rat\": 1}", NULL, &err), &err, ISARA_USAGE,
                 "train_learning_rat");
    isara_close(m);
}

static void texts_go_to_ids_and_numbers(void **state)
{
    (void)state;
    static const char text[] = "Keep the apples dry.";
    const struct isara_pair pairs[2] = {{"Question: How do I store apples?\nAnswer:", " Keep them dry."},
                                        {"A", " long way home"}};
    const char *const texts[2] = {text, "Other words"};
    struct isara_error err;
    struct isara_score *all, *one;
    struct isara_model *m = model_with("{\"dtype\": \"f32\"}");
    struct isara_ids ids;
    struct isara_vectors vectors;
    size_t n_back;
    char *back, *json;
    float length = 0;
    assert_int_equal(isara_tokenize(m, text, strlen(text), 0, &ids, &err), 0);
    assert_int_equal(isara_detokenize(m, &ids, 1, &back, &n_back, &err), 0);
    assert_string_equal(back, text);
    assert_int_equal(n_back, strlen(text));
    assert_int_equal(isara_score(m, pairs, 2, &all, &err), 0);
    assert_int_equal(isara_score(m, &pairs[1], 1, &one, &err), 0);
    assert_true(all[0].n > 0 && all[0].sum_logprob < 0);
    assert_int_equal(all[1].n, one[0].n);
    assert_memory_equal(all[1].logprobs, one[0].logprobs, one[0].n * sizeof(float));
    assert_memory_equal(all[1].ids, one[0].ids, one[0].n * sizeof(int32_t));
    assert_int_equal(isara_embed(m, texts, 2, 1, &vectors, &err), 0);
    for (size_t i = vectors.width; i < 2 * vectors.width; i++)
        length += vectors.values[i] * vectors.values[i];
    assert_true(fabsf(length - 1) < 1e-4f);
    assert_int_equal(isara_inspect(m, &json, &err), 0);
    assert_non_null(strstr(json, "\"family\": \"llama\""));
    isara_free(ids.ids);
    isara_free(back);
    isara_free(all);
    isara_free(one);
    isara_free(vectors.values);
    isara_free(json);
    isara_close(m);
}

static void a_benchmark_gives_its_numbers(void **state)
{
    (void)state;
    struct isara_error err;
    const char *dir = check_tmpdir("api_eval");
    char path[512], options[1400];
    struct isara_report result;
    snprintf(path, sizeof path, "%s/out.jsonl", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(
        f,
        "{\"question\": \"How do I dry a red kite well?\", \"answer\": \"Hang it in the wind for a "
        "day.\"}\n{\"question\": \"Who bakes bread at night here?\", \"answer\": \"The baker on the hill does.\"}\n");
    fclose(f);
    snprintf(options, sizeof options, "{\"input\": \"%s\"}", path);
    if (isara_eval("diversity", options, &result, &err))
        fail_msg("%s", err.message);
    assert_non_null(strstr(result.json, "\"task\": \"diversity\""));
    assert_non_null(strstr(result.text, "diversity: n 2 of 2"));
    isara_free(result.json);
    isara_free(result.text);
    assert_int_equal(isara_eval("list", NULL, &result, &err), 0);
    assert_non_null(strstr(result.text, "truthfulqa   "));
    assert_null(result.json);
    isara_free(result.text);
}

/* A plan that writes nothing, and two short evaluations whose results are those in the directory. */
static void an_experiment_is_planned_and_done(void **state)
{
    (void)state;
    struct isara_error err;
    struct isara_report plan, result;
    const char *dir = check_tmpdir("api_experiment");
    char path[512], output[512], stored[600];
    if (access("models/miniature/model.safetensors", R_OK))
        SKIP_TEST("no %s", miniature);
    snprintf(path, sizeof path, "%s/two.yaml", dir);
    snprintf(output, sizeof output, "%s/out", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "model: %s\nseeds: models/seeds.jsonl\ntest: test.jsonl\ndtype: f32\narms: [pretrained, icl-random]\n"
            "metrics: [qa]\nk: 1\neval-max-new-tokens: 4\n",
            miniature);
    fclose(f);
    snprintf(stored, sizeof stored, "%s/test.jsonl", dir);
    f = fopen(stored, "w");
    assert_non_null(f);
    fprintf(f, "{\"question\": \"How do I dry a kite?\", \"answer\": \"Hang it up.\"}\n");
    fclose(f);
    snprintf(stored, sizeof stored, "%s/results.json", output);
    if (isara_experiment(path, NULL, "{\"dry_run\": true}", &plan, &err))
        fail_msg("%s", err.message);
    assert_true(strstr(plan.json, "\"jobs\": [") && strstr(plan.text, "at the peak"));
    assert_int_equal(access(output, F_OK), -1);
    if (isara_experiment(path, output, "{\"threads\": 1}", &result, &err))
        fail_msg("%s", err.message);
    assert_true(strstr(result.json, "\"metric\": \"qa.nll\"") && strstr(result.text, "qa.nll"));
    json_t *given = json_loads(result.json, 0, NULL), *there = json_load_file(stored, 0, NULL);
    assert_true(given && json_equal(given, there));
    json_decref(given);
    json_decref(there);
    isara_free(plan.json);
    isara_free(plan.text);
    isara_free(result.json);
    isara_free(result.text);
    expect_error(isara_experiment(path, NULL, NULL, NULL, &err), &err, ISARA_USAGE, "a directory");
    expect_error(isara_experiment(path, output, "{\"seed\": 1}", NULL, &err), &err, ISARA_USAGE, "\"seed\"");
    expect_error(isara_experiment("nowhere.yaml", output, NULL, NULL, &err), &err, ISARA_NOINPUT, "nowhere.yaml");
}

static void on_step(void *user, const struct isara_step_report *r)
{
    double *last = user;
    *last = r->loss;
}

static void a_model_is_trained_and_answers_as_tuned(void **state)
{
    (void)state;
    struct isara_model *m = model_with("{\"dtype\": \"f32\"}");
    const struct isara_pair pair = {"Question: Who sings?\nAnswer:", " The kettle sings."};
    const char *dir = check_tmpdir("api_train");
    char rows[512], out[512];
    struct isara_error err;
    struct isara_score *before, *after;
    double loss = 0;
    snprintf(rows, sizeof rows, "%s/rows.jsonl", dir);
    snprintf(out, sizeof out, "%s/model", dir);
    FILE *f = fopen(rows, "w");
    assert_non_null(f);
    fprintf(f, "{\"prompt\": \"Question: Who sings?\\nAnswer:\", \"completion\": \" The kettle sings.\"}\n");
    fclose(f);
    assert_int_equal(isara_score(m, &pair, 1, &before, &err), 0);
    const struct isara_training job = {
        rows, out,
        "{\"max_steps\": 4, \"learning_rate\": 1e-3, \"warmup_ratio\": 0, \"gradient_accumulation_steps\": 1}", on_step,
        &loss};
    struct isara_trained trained;
    if (isara_train(m, &job, &trained, &err))
        fail_msg("%s", err.message);
    assert_int_equal(trained.steps, 4);
    assert_true(trained.last_loss == loss && trained.first_loss > loss);
    assert_int_equal(isara_score(m, &pair, 1, &after, &err), 0);
    assert_true(loss > 0);
    assert_true(after->sum_logprob > before->sum_logprob);
    isara_free(before);
    isara_free(after);
    isara_close(m);
    assert_int_equal(isara_open(&m, out, NULL, &err), 0);
    isara_close(m);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int contains(const char *path, const char *wanted)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    fclose(f);
    return strstr(text, wanted) != NULL;
}

/* Opens, trains one step and says whether the loss is that of a head that knows nothing, of two answers: log 2. */
static void train_head(const char *task, const char *rows, const char *output)
{
    struct isara_error err;
    struct isara_model *m;
    struct isara_trained trained;
    struct isara_request ask = {.prompt = "x"};
    char options[1200];
    snprintf(options, sizeof options, "{\"dtype\": \"f32\", \"task\": \"%s\", \"labels\": \"%s\"}", task, rows);
    const struct isara_training job = {rows, output, "{\"max_steps\": 1}", NULL, NULL};
    if (isara_open(&m, miniature, options, &err) || isara_train(m, &job, &trained, &err))
        fail_msg("%s", err.message);
    assert_true(fabs(trained.first_loss - 0.6931) < 0.15);
    expect_error(isara_generate(m, &ask, 1, &err), &err, ISARA_USAGE, "language model");
    isara_close(m);
}

static void a_classifier_and_a_reward_model_are_trained(void **state)
{
    (void)state;
    isara_close(model_with(NULL));
    const char *dir = check_tmpdir("api_heads");
    char rows[512], pairs[512], config[600], out[512];
    snprintf(rows, sizeof rows, "%s/rows.jsonl", dir);
    snprintf(pairs, sizeof pairs, "%s/pairs.jsonl", dir);
    snprintf(out, sizeof out, "%s/model", dir);
    snprintf(config, sizeof config, "%s/config.json", out);
    write_text(rows, "{\"prompt\": \"a\", \"response\": \"rude words\", \"labels\": [\"rude\"]}\n"
                     "{\"prompt\": \"b\", \"response\": \"kind words\", \"labels\": []}\n");
    write_text(pairs, "{\"prompt\": \"a\", \"chosen\": \" kind\", \"rejected\": \" rude\"}\n");
    train_head("classify", rows, out);
    assert_true(contains(config, "LlamaForSequenceClassification") && contains(config, "\"rude\""));
    snprintf(out, sizeof out, "%s/reward", dir);
    snprintf(config, sizeof config, "%s/config.json", out);
    train_head("reward", pairs, out);
    assert_true(contains(config, "architectures"));
}

/* From a config.json alone: a loss near that of a guess among all tokens. */
static void a_new_model_is_trained(void **state)
{
    (void)state;
    isara_close(model_with(NULL));
    const char *dir = check_tmpdir("api_new");
    char out[512];
    struct isara_error err;
    struct isara_model *m;
    struct isara_trained trained;
    struct isara_request ask = {.prompt = "Question:", .options = "{\"max_new_tokens\": 2}"};
    snprintf(out, sizeof out, "%s/model", dir);
    const struct isara_training job = {"models/seeds.jsonl", out, "{\"max_steps\": 1, \"seed\": 5}", NULL, NULL};
    if (isara_open(&m, "models/miniature/config.json", "{\"init\": true, \"seed\": 5}", &err) ||
        isara_train(m, &job, &trained, &err) || isara_generate(m, &ask, 1, &err))
        fail_msg("%s", err.message);
    assert_true(fabs(trained.first_loss - log(2048)) < 0.3);
    isara_close(m);
}

/* The first n lines of the bundled seeds. */
static void write_seeds(const char *path, int n)
{
    char line[4096];
    FILE *from = fopen("models/seeds.jsonl", "r"), *to = fopen(path, "w");
    assert_true(from && to);
    while (n-- > 0 && fgets(line, sizeof line, from))
        fputs(line, to);
    fclose(from);
    fclose(to);
}

static char *align(const char *seeds, const char *output, const char *options)
{
    struct isara_error err;
    struct isara_report report, again;
    if (isara_align(miniature, seeds, output, options, &report, &err))
        fail_msg("%s", err.message);
    assert_non_null(report.json);
    assert_int_equal(isara_results(output, &again, &err), 0);
    assert_string_equal(report.json, again.json);
    assert_string_equal(report.text, again.text);
    isara_free(report.text);
    isara_free(again.text);
    isara_free(again.json);
    return report.json;
}

/* What the method makes of the same options, set by hand. */
static void align_below(const char *seeds, const char *test, const char *output)
{
    struct error err = {0};
    struct device *device;
    struct align_result r = {0};
    struct align_options o;
    align_options_default(&o);
    o.model = miniature;
    o.seeds = seeds;
    o.test = test;
    o.output = output;
    o.dtype = DTYPE_F32;
    o.seed = 5;
    o.rounds = 1;
    o.attempts = 6;
    o.stop_novelty = 0;
    o.sift.need_end = 0;
    o.ask.max_new_tokens = 20;
    o.answer.max_new_tokens = 24;
    o.ask.num_beams = o.answer.num_beams = 2;
    o.train.max_steps = 3;
    assert_int_equal(device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = 1}, &err), 0);
    if (method_align(device, &o, &r, &err))
        fail_msg("%s", err.message);
    align_result_free(&r);
    device_close(device);
}

static void expect_same_file(const char *a, const char *b, const char *name)
{
    char path[512], x[65], y[65];
    struct error err = {0};
    snprintf(path, sizeof path, "%s/%s", a, name);
    assert_int_equal(sha256_file(path, x, &err), 0);
    snprintf(path, sizeof path, "%s/%s", b, name);
    assert_int_equal(sha256_file(path, y, &err), 0);
    assert_string_equal(x, y);
}

static void an_alignment_is_the_methods(void **state)
{
    (void)state;
    isara_close(model_with(NULL));
    const char *dir = check_tmpdir("api_align");
    char seeds[256], test[256], run[256], below[256], options[1024];
    struct isara_error err;
    snprintf(seeds, sizeof seeds, "%s/seeds.jsonl", dir);
    snprintf(test, sizeof test, "%s/test.jsonl", dir);
    snprintf(run, sizeof run, "%s/run", dir);
    snprintf(below, sizeof below, "%s/below", dir);
    snprintf(options, sizeof options,
             "{\"dtype\": \"f32\", \"seed\": 5, \"threads\": 2, \"test\": \"%s\", \"rounds\": 1, \"attempts\": 6, "
             "\"stop_novelty\": 0, \"sift_need_end\": false, "
             "\"ask_max-new-tokens\": 20, \"max_new_tokens\": 24, \"num-beams\": 2, \"train_max_steps\": 3}",
             test);
    write_seeds(seeds, 12);
    write_seeds(test, 2);
    char *metrics = align(seeds, run, options),
         *again = align(seeds, run, options);           /* the second finds all of it there */
    const char *clock = strstr(metrics, "\"seconds\""); /* behind it: times and memory, which differ */
    assert_non_null(clock);
    assert_memory_equal(metrics, again, clock - metrics);
    assert_non_null(strstr(metrics, "\"attempts\": 6"));
    align_below(seeds, test, below);
    expect_same_file(run, below, "round-1/generated.jsonl");
    expect_same_file(run, below, "round-1/model/model.safetensors");
    expect_same_file(run, below, "arms/round-1.jsonl");
    assert_int_equal(isara_align(miniature, seeds, run, "{\"seed\": 6, \"rounds\": 1, \"attempts\": 6}", NULL, &err),
                     ISARA_CONFIG);
    expect_error(isara_align(miniature, seeds, run, "{\"seeds\": \"other\"}", NULL, &err), &err, ISARA_USAGE,
                 "argument of the call");
    isara_free(metrics);
    isara_free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_streams_is_the_text),
        cmocka_unit_test(a_session_gives_what_a_call_gives),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(texts_go_to_ids_and_numbers),
        cmocka_unit_test(a_benchmark_gives_its_numbers),
        cmocka_unit_test(an_experiment_is_planned_and_done),
        cmocka_unit_test(a_model_is_trained_and_answers_as_tuned),
        cmocka_unit_test(a_classifier_and_a_reward_model_are_trained),
        cmocka_unit_test(a_new_model_is_trained),
        cmocka_unit_test(an_alignment_is_the_methods),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
