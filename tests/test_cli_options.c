/* SPDX-License-Identifier: Apache-2.0 */
/* cli/options: the table, scopes, negation, configuration files, records' overrides, and what errors say. */
#include "tests/check.h"

#include "cli/parts.h"
#include "generate/generate.h"
#include "method/method.h"
#include "train/train.h"

#include <string.h>

#define ALIGN_GROUPS (GROUP_COMMON | GROUP_SEED | GROUP_MODEL | GROUP_ALIGN | GROUP_DECODE | GROUP_TRAIN)

static int parse(struct options *o, unsigned groups, struct error *err, int argc, ...)
{
    char *argv[16];
    va_list args;
    va_start(args, argc);
    for (int i = 0; i < argc; i++)
        argv[i] = va_arg(args, char *);
    va_end(args);
    *o = (struct options){.arena = ARENA_INIT};
    return options_parse(o, argc, argv, groups, err);
}

static void scopes_and_spelling(void **state)
{
    (void)state;
    struct options o;
    struct error err = {0};
    struct generate_options plain, ask;
    struct train_options train;
    struct cli_values v;
    assert_int_equal(parse(&o, ALIGN_GROUPS, &err, 9, "--num_beams", "3", "--ask-num_beams=7", "--train-learning_rate",
                           "1e-3", "--no-shuffle", "rest", "--stop", "\n\n"),
                     0);
    generate_options_default(&plain);
    ask = plain;
    train_options_default(&train);
    cli_values_default(&v);
    assert_int_equal(options_apply(&o, SCOPE_PLAIN, GROUP_DECODE, &plain, &err), 0);
    assert_int_equal(options_apply(&o, SCOPE_ASK, GROUP_DECODE, &ask, &err), 0);
    assert_int_equal(options_apply(&o, SCOPE_PLAIN, GROUP_TRAIN, &train, &err), 0);
    assert_int_equal(options_apply(&o, SCOPE_TRAIN, GROUP_TRAIN, &train, &err), 0);
    assert_int_equal(plain.num_beams, 3);
    assert_int_equal(ask.num_beams, 7);
    assert_string_equal(plain.stop[0], "\n\n");
    assert_true(train.learning_rate == 1e-3);
    assert_int_equal(train.shuffle, 0);
    assert_int_equal(o.n_rest, 1);
    options_free(&o);
}

static void method_switches(void **state)
{
    (void)state;
    struct options o;
    struct error err = {0};
    struct align_options a;
    align_options_default(&a);
    assert_int_equal(parse(&o, ALIGN_GROUPS | GROUP_METHOD, &err, 10, "--ask-contexts", "anchor", "--count=kept",
                           "--sift-copy", "0.5", "--no-sift-need-end", "--pool", "grown", "--holdout", "3"),
                     0);
    assert_int_equal(options_apply(&o, SCOPE_PLAIN, GROUP_METHOD, &a, &err), 0);
    assert_int_equal(a.ask_contexts, ALIGN_CONTEXTS_ANCHOR);
    assert_int_equal(a.count, ALIGN_COUNT_KEPT);
    assert_int_equal(a.pool, ALIGN_POOL_GROWN);
    assert_int_equal(a.start, ALIGN_START_PRETRAINED);
    assert_true(a.sift.copy == 0.5 && a.sift.threshold == 0.7);
    assert_int_equal(a.sift.need_end, 0);
    assert_int_equal(a.holdout, 3);
    assert_int_equal(a.attempts, 512);
    options_free(&o);
}

static void expect(const char *message, unsigned groups, const char *a, const char *b)
{
    struct options o;
    struct error err = {0};
    assert_int_equal(parse(&o, groups, &err, b ? 2 : 1, a, b), ERROR_USAGE);
    if (!strstr(err.message, message))
        fail_msg("\"%s\" does not say \"%s\"", err.message, message);
    options_free(&o);
}

static void errors_say_what_is_wanted(void **state)
{
    (void)state;
    expect("did you mean --num-beams", ALIGN_GROUPS, "--num-baems", "3");
    expect("wanted a whole number", ALIGN_GROUPS, "--num-beams", "3.5");
    expect("wanted 1 to 64, found 0", ALIGN_GROUPS, "--num-beams", "0");
    expect("wanted false|true|never", ALIGN_GROUPS, "--early-stopping", "maybe");
    expect("wanted N after it", ALIGN_GROUPS, "--num-beams", NULL);
    expect("no such option here", GROUP_COMMON, "--num-beams", "2");
    expect("no such option here", GROUP_COMMON | GROUP_DECODE, "--ask-num-beams", "2"); /* prefixes are align's */
    expect("wanted f32|bf16|q8", ALIGN_GROUPS, "--dtype", "int4");
    expect("two hyphens", ALIGN_GROUPS, "-x", NULL);
}

/* Names of transformers, trl, vLLM, llama.cpp and lm-eval, slips of the pen, parts of names, and other verbs' options.
 */
static void names_that_are_none_are_answered(void **state)
{
    enum { TRAIN = GROUP_COMMON | GROUP_TRAIN | GROUP_TRAINVERB, GENERATE = GROUP_COMMON | GROUP_DECODE | GROUP_FILES };
    static const struct {
        const char *name, *said;
        unsigned groups;
    } cases[] = {{"--lr", "did you mean --learning-rate?", TRAIN},
                 {"--epochs", "did you mean --num-train-epochs?", TRAIN},
                 {"--batch_size", "did you mean --per-device-train-batch-size?", TRAIN},
                 {"--max_seq_length=9", "did you mean --max-length?", TRAIN},
                 {"--lora-rank", "did you mean --lora-r?", TRAIN},
                 {"--dataset", "did you mean --data?", TRAIN},
                 {"--dataset", "did you mean --seeds?", ALIGN_GROUPS | GROUP_METHOD},
                 {"--max-tokens", "did you mean --max-new-tokens?", GENERATE},
                 {"--max-length", "did you mean --max-new-tokens?", GENERATE},
                 {"--temp", "did you mean --temperature?", GENERATE},
                 {"--n", "did you mean --num-return-sequences?", GENERATE},
                 {"-n", "wanted an option with two hyphens; did you mean --num-return-sequences?", GENERATE},
                 {"-lr", "wanted an option with two hyphens; did you mean --learning-rate?", TRAIN},
                 {"--n", "did you mean --num-return-sequences?", ALIGN_GROUPS},
                 {"--train-lr", "did you mean --train-learning-rate?", ALIGN_GROUPS},
                 {"--ask-tmeperature", "did you mean --ask-temperature?", ALIGN_GROUPS},
                 {"--learningrate", "did you mean --learning-rate?", TRAIN},
                 {"--Weight_Decya", "did you mean --weight-decay?", TRAIN},
                 {"--grad-norm", "did you mean --max-grad-norm?", TRAIN},
                 {"--seeds", "--seeds: no such option here; align, plan", TRAIN},
                 {"--lr", "have it as --learning-rate", GENERATE},
                 {"--zzzz", "--zzzz: no such option here; --help lists them", TRAIN}};
    (void)state;
    options_elsewhere = verbs_with;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(cases[i].said, cases[i].groups, cases[i].name, NULL);
}

static void command_line_goes_over_the_file(void **state)
{
    (void)state;
    char path[1100];
    snprintf(path, sizeof path, "%s/c.yaml", check_tmpdir("options"));
    FILE *f = fopen(path, "w");
    fputs("num_beams: 4\nask-top-k: 9\nstop: [\"a\", \"b\"]\nlearning_rate: 3e-4\n", f);
    fclose(f);
    struct options o;
    struct error err = {0};
    struct generate_options plain;
    assert_int_equal(parse(&o, ALIGN_GROUPS, &err, 4, "--num-beams", "2", "--config", path), 0);
    generate_options_default(&plain);
    assert_int_equal(options_apply(&o, SCOPE_PLAIN, GROUP_DECODE, &plain, &err), 0);
    assert_int_equal(plain.num_beams, 2);
    assert_int_equal(plain.n_stop, 2);
    options_free(&o);
    f = fopen(path, "w");
    fputs("seed: 1\nnum_baems: 4\n", f);
    fclose(f);
    assert_int_equal(parse(&o, ALIGN_GROUPS, &err, 2, "--config", path), ERROR_USAGE);
    assert_non_null(strstr(err.message, "c.yaml:2"));
    options_free(&o);
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"rounds: 1\nk: 2\nrounds: 3\n", "c.yaml:3: rounds stands on line 1 already"},
        {"rounds: 1\n---\nrounds: 2\n", "c.yaml:3: wanted one document a file, found a second document"},
        {"rounds: [1\n", "c.yaml:2: not YAML"},
        {"k: 2\n\"rounds\\0x\": 3\n", "c.yaml:2: a NUL byte"},
        {"output: \"a\\0b\"\n", "c.yaml:1: a NUL byte"},
        {"stop: [\"a\\0b\"]\n", "c.yaml:1: a NUL byte"},
        {"stop: &s [*s]\n", "wanted scalars in the list"},
        {"- rounds\n", "wanted \"option: value\" lines"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct options other = {0};
        f = fopen(path, "w");
        fputs(bad[i].text, f);
        fclose(f);
        int rc = options_read_config(&other, path, ~0u, &err);
        if (rc != ERROR_CONFIG || !strstr(err.message, bad[i].says))
            fail_msg("%s: %d: %s", bad[i].text, rc, err.message);
        options_free(&other);
    }
}

static void records_override(void **state)
{
    (void)state;
    struct generate_options o;
    struct error err = {0};
    generate_options_default(&o);
    json_t *r = json_pack("{s:i,s:b,s:f,s:[s,s],s:[i,i]}", "num_beams", 2, "do_sample", 1, "temperature", 0.5, "stop",
                          "x", "y", "eos_token_id", 1, 2);
    const char *name;
    json_t *value;
    json_object_foreach(r, name, value) assert_int_equal(options_set_json(name, value, GROUP_DECODE, &o, &err), 0);
    json_decref(r);
    assert_true(o.num_beams == 2 && o.do_sample == 1 && o.temperature == 0.5f && o.n_stop == 2 && o.n_eos == 2 &&
                o.eos_ids[1] == 2);
    value = json_string("two");
    assert_int_equal(options_set_json("num_beams", value, GROUP_DECODE, &o, &err), ERROR_DATA);
    assert_int_equal(options_set_json("prompt", value, GROUP_DECODE, &o, &err), ERROR_USAGE);
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scopes_and_spelling),
                                       cmocka_unit_test(method_switches),
                                       cmocka_unit_test(errors_say_what_is_wanted),
                                       cmocka_unit_test(names_that_are_none_are_answered),
                                       cmocka_unit_test(command_line_goes_over_the_file),
                                       cmocka_unit_test(records_override)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
