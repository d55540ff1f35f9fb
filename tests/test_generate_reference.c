/* SPDX-License-Identifier: Apache-2.0 */
/* Whole texts against transformers: SmolLM2's beams under four settings and its greedy text
 * (smollm2_reference/beams.json, whose meta.how says how they were made), and the greedy text of the 656K story model.
 * All in one run each, so the mix is part of the test. */
#include "generate/generate.h"

#include "io/checkpoint.h"
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CASE = 96, MAX_ID = 1024 };

struct loaded {
    struct device *device;
    struct checkpoint *checkpoint;
    struct model *model;
};

static int everything_remote; /* the second time through the story model's tests */

static struct loaded load(const char *path)
{
    struct loaded l;
    struct error err;
    const struct device_options all = {0};
    if ((everything_remote ? device_open(&l.device, DEVICE_REMOTE, &all, &err)
                           : device_open(&l.device, DEVICE_CPU, &all, &err)) ||
        checkpoint_open(&l.checkpoint, path, &err) ||
        model_open(&l.model, l.device, l.checkpoint, &(struct model_options){.dtype = DTYPE_F32}, &err))
        fail_msg("%s", err.message);
    return l;
}

static void unload(struct loaded *l)
{
    model_close(l->model);
    checkpoint_close(l->checkpoint);
    device_close(l->device);
}

static int read_ids(const json_t *list, int32_t *ids)
{
    size_t n = json_array_size(list);
    assert_true(n > 0 && n <= MAX_ID);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return (int)n;
}

struct sequences {
    struct generate_sequence s[8];
    int n;
    char text[4096];
    int32_t ids[8][MAX_ID];
};

static int keep(void *user, int index, const struct generate_result *result)
{
    struct sequences *to = (struct sequences *)user + index;
    if (result->error.code)
        fail_msg("%s", result->error.message);
    to->n = result->n;
    snprintf(to->text, sizeof to->text, "%s", result->sequences[0].text ? result->sequences[0].text : "");
    for (int i = 0; i < result->n; i++) {
        to->s[i] = result->sequences[i];
        memcpy(to->ids[i], result->sequences[i].ids, (size_t)result->sequences[i].n * 4);
    }
    return 0;
}

static void expect_ids(const json_t *want, const struct sequences *got, int i, int which, const char *what)
{
    static int32_t ids[MAX_ID];
    int n = read_ids(want, ids);
    for (int t = 0; t < n || t < got->s[i].n; t++)
        if (t >= n || t >= got->s[i].n || ids[t] != got->ids[i][t])
            fail_msg("case %d, %s %d: id %d differs (%d ids wanted, %d found)", which, what, i, t, n, got->s[i].n);
}

static void smollm2_beams_and_greedy_are_transformers_in_all_sixteen_cases(void **state)
{
    (void)state;
    static int32_t prompts[MAX_CASE][MAX_ID];
    static struct generate_request q[2 * MAX_CASE];
    static struct sequences got[2 * MAX_CASE];
    const char *path = check_data("smollm2_reference/beams.json");
    if (!path || !check_smollm2())
        SKIP_TEST("needs smollm2_reference and models/smollm2");
    json_t *root = json_load_file(path, 0, NULL), *cases = json_object_get(root, "cases");
    int n = (int)json_array_size(cases);
    const char *reduced = getenv("ISARA_REDUCED");
    assert_in_range(n, 1, MAX_CASE);
    if (reduced && *reduced)
        n = 1;
    struct loaded l = load(check_smollm2());
    for (int i = 0; i < n; i++) {
        json_t *c = json_array_get(cases, (size_t)i), *params = json_object_get(c, "params");
        struct generate_options *o = &q[i].options;
        struct error err;
        q[i] = (struct generate_request){.prompt = prompts[i],
                                         .n_prompt = read_ids(json_object_get(c, "prompt_ids"), prompts[i])};
        generate_options_default(o);
        if (generate_options_merge(o, params, NULL, path, &err))
            fail_msg("%s", err.message);
        o->max_new_tokens = (int)json_integer_value(json_object_get(c, "max_new_tokens"));
        const json_t *eos = json_object_get(c, "eos_token_ids");
        o->n_eos = (int)json_array_size(eos);
        for (int k = 0; k < o->n_eos; k++)
            o->eos_ids[k] = (int)json_integer_value(json_array_get(eos, (size_t)k));
        o->num_beams = (int)json_integer_value(json_object_get(c, "num_beams"));
        q[n + i] = q[i]; /* and greedily, with the same EOS set and no penalty */
        generate_options_default(&q[n + i].options);
        q[n + i].options.max_new_tokens = o->max_new_tokens;
        q[n + i].options.n_eos = o->n_eos;
        memcpy(q[n + i].options.eos_ids, o->eos_ids, sizeof o->eos_ids);
    }
    struct generate_engine *e;
    struct error err;
    if (generate_engine_new(&e, l.model, NULL, NULL, &err) || generate_run(e, q, 2 * n, keep, got, &err))
        fail_msg("%s", err.message);
    struct generate_stats s = generate_engine_stats(e);
    printf("%ld of %ld prompt tokens computed, %ld generated, %ld steps; %.2f s in the model, %.4f s on the host\n",
           s.computed_prompt_tokens, s.prompt_tokens, s.generated_tokens, s.steps, s.model_seconds, s.host_seconds);
    assert_int_equal(s.step_allocations, 0);
    double worst = 0;
    for (int i = 0; i < n; i++) {
        json_t *c = json_array_get(cases, (size_t)i), *ids = json_object_get(c, "output_ids"),
               *scores = json_object_get(c, "sequences_scores");
        assert_int_equal(got[i].n, json_array_size(ids));
        for (int k = 0; k < got[i].n; k++) {
            double off = fabs((double)got[i].s[k].score - json_real_value(json_array_get(scores, (size_t)k)));
            expect_ids(json_array_get(ids, (size_t)k), &got[i], k, i, json_string_value(json_object_get(c, "setting")));
            worst = off > worst ? off : worst;
        }
        expect_ids(json_object_get(c, "greedy_ids"), &got[n + i], 0, i, "greedy");
    }
    printf("greatest difference of a score: %.2e\n", worst);
    assert_true(worst < 1e-4);
    json_decref(root);
    generate_engine_free(e);
    unload(&l);
}

static void the_story_model_tells_its_story_greedily(void **state)
{
    (void)state;
    static struct sequences got[1];
    const char *dir = check_data("tinystories_656K_llama");
    if (!dir)
        SKIP_TEST("needs tinystories_656K_llama");
    struct loaded l = load(dir);
    json_t *want = json_load_file(check_data("tinystories_656K_llama/greedy_ids_from_bos.json"), 0, NULL);
    int32_t bos = 1;
    struct generate_request q = {.prompt = &bos, .n_prompt = 1};
    struct generate_engine *e;
    struct error err;
    generate_options_default(&q.options);
    q.options.max_new_tokens = (int)json_array_size(want);
    if (generate_engine_new(&e, l.model, NULL, NULL, &err) || generate_run(e, &q, 1, keep, got, &err))
        fail_msg("%s", err.message);
    expect_ids(want, got, 0, 0, "greedy");
    json_decref(want);
    generate_engine_free(e);
    unload(&l);
}

/* Before 4.49 transformers wrote the first EOS of the list whichever came. */
static void as_first_eos(const struct generate_options *o, struct sequences *got, int i)
{
    struct generate_sequence *s = &got->s[i];
    for (int k = 0; k < o->n_eos && s->n; k++)
        if (got->ids[i][s->n - 1] == o->eos_ids[k])
            got->ids[i][s->n - 1] = o->eos_ids[0];
}

/* Random settings of every beam option, EOS lists, penalties, minimum lengths and, from 4.49 on, stop strings, as the
 * named release of transformers gave them (tools/golden_beams.py). */
static void check_story(const char *path, enum beam_compat compat)
{
    static int32_t prompts[MAX_CASE][MAX_ID];
    static struct generate_request q[MAX_CASE];
    static struct sequences got[MAX_CASE];
    const char *dir = check_data("tinystories_656K_llama");
    if (!dir)
        SKIP_TEST("needs tinystories_656K_llama");
    struct loaded l = load(dir);
    json_t *root = json_load_file(path, 0, NULL), *cases = json_object_get(root, "cases");
    int n = (int)json_array_size(cases);
    struct error err;
    assert_in_range(n, 90, MAX_CASE);
    for (int i = 0; i < n; i++) {
        json_t *c = json_array_get(cases, (size_t)i);
        q[i] = (struct generate_request){.prompt = prompts[i],
                                         .n_prompt = read_ids(json_object_get(c, "prompt"), prompts[i])};
        generate_options_default(&q[i].options);
        if (generate_options_merge(&q[i].options, json_object_get(c, "params"), model_desc(l.model), path, &err))
            fail_msg("%s", err.message);
        q[i].options.beam_compat = compat;
        json_t *stops = json_object_get(json_object_get(c, "params"), "stop_strings");
        q[i].options.n_stop = (int)json_array_size(stops);
        for (int k = 0; k < q[i].options.n_stop; k++)
            snprintf(q[i].options.stop[k], sizeof q[i].options.stop[k], "%s",
                     json_string_value(json_array_get(stops, (size_t)k)));
    }
    struct generate_engine *e;
    struct tokenizer *tok;
    if (tokenizer_open(&tok, dir, &err) || generate_engine_new(&e, l.model, tok, NULL, &err) ||
        generate_run(e, q, n, keep, got, &err))
        fail_msg("%s", err.message);
    assert_int_equal(generate_engine_stats(e).step_allocations, 0);
    for (int i = 0; i < n; i++) {
        json_t *c = json_array_get(cases, (size_t)i), *ids = json_object_get(c, "ids"),
               *scores = json_object_get(c, "scores");
        assert_int_equal(got[i].n, json_array_size(ids));
        for (int k = 0; k < got[i].n; k++) {
            double want =
                json_is_array(scores) ? json_real_value(json_array_get(scores, (size_t)k)) : (double)got[i].s[k].score;
            if (compat != BEAM_COMPAT_4_49)
                as_first_eos(&q[i].options, &got[i], k);
            expect_ids(json_array_get(ids, (size_t)k), &got[i], k, i, "golden");
            assert_true(fabs((double)got[i].s[k].score - want) <= 1e-4 * fmax(1, fabs(want)));
        }
    }
    json_decref(root);
    generate_engine_free(e);
    tokenizer_close(tok);
    unload(&l);
}

static void the_story_model_decodes_as_transformers_5_24(void **state)
{
    (void)state;
    check_story("tests/golden/beams_story.json", BEAM_COMPAT_4_49);
}

static void the_story_model_decodes_as_transformers_4_48_3(void **state)
{
    (void)state;
    check_story("tests/golden/beams_story_4.48.json", BEAM_COMPAT_4_48);
}

static void the_story_model_decodes_as_transformers_4_35_2(void **state)
{
    (void)state;
    check_story("tests/golden/beams_story_4.35.json", BEAM_COMPAT_4_35);
}

/* The text with a stop string is the text without it, cut; nothing beyond the token that completes it is generated. */
static void a_stop_string_cuts_the_text_wherever_tokens_end(void **state)
{
    (void)state;
    static const char *const stops[] = {"Tim", "ark.", "a", " ", "y was very hap", "never in this story"};
    enum { N = 1 + sizeof stops / sizeof *stops };
    static struct generate_request q[N];
    static struct sequences got[N];
    const char *dir = check_data("tinystories_656K_llama");
    if (!dir)
        SKIP_TEST("needs tinystories_656K_llama");
    struct loaded l = load(dir);
    int32_t bos = 1;
    struct generate_engine *e;
    struct tokenizer *tok;
    struct error err;
    for (int i = 0; i < N; i++) {
        q[i] = (struct generate_request){.prompt = &bos, .n_prompt = 1};
        generate_options_default(&q[i].options);
        q[i].options.max_new_tokens = 120;
        q[i].options.n_stop = i > 0;
        if (i)
            snprintf(q[i].options.stop[0], sizeof q[i].options.stop[0], "%s", stops[i - 1]);
    }
    if (tokenizer_open(&tok, dir, &err) || generate_engine_new(&e, l.model, tok, NULL, &err) ||
        generate_run(e, q, N, keep, got, &err))
        fail_msg("%s", err.message);
    assert_int_equal(generate_engine_stats(e).step_allocations, 0);
    for (int i = 1; i < N; i++) {
        const char *at = strstr(got[0].text, stops[i - 1]);
        size_t n = at ? (size_t)(at - got[0].text) : strlen(got[0].text);
        struct buf b = BUF_INIT;
        assert_int_equal(strlen(got[i].text), n);
        assert_memory_equal(got[i].text, got[0].text, n);
        assert_int_equal(got[i].s[0].finish, at ? FINISH_STOP : FINISH_LENGTH);
        assert_memory_equal(got[i].ids[0], got[0].ids[0], (size_t)got[i].s[0].n * 4);
        assert_int_equal(tokenizer_decode(tok, got[i].ids[0], (size_t)got[i].s[0].n - 1, 1, &b, &err), 0);
        assert_true(!at || !b.data || !strstr(b.data, stops[i - 1])); /* one token earlier it was not there */
        buf_free(&b);
    }
    generate_engine_free(e);
    tokenizer_close(tok);
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest smollm2[] = {
        cmocka_unit_test(smollm2_beams_and_greedy_are_transformers_in_all_sixteen_cases)};
    const struct CMUnitTest story[] = {
        cmocka_unit_test(the_story_model_tells_its_story_greedily),
        cmocka_unit_test(the_story_model_decodes_as_transformers_5_24),
        cmocka_unit_test(the_story_model_decodes_as_transformers_4_48_3),
        cmocka_unit_test(the_story_model_decodes_as_transformers_4_35_2),
        cmocka_unit_test(a_stop_string_cuts_the_text_wherever_tokens_end),
    };
    int failed = cmocka_run_group_tests_name("SmolLM2", smollm2, NULL, NULL) +
                 cmocka_run_group_tests_name("the story model", story, NULL, NULL);
    everything_remote = 1;
    return failed + cmocka_run_group_tests_name("the story model on the remote test backend", story, NULL, NULL);
}
