/* SPDX-License-Identifier: Apache-2.0 */
/* The arms outside of a run, over the bundled miniature: prompts, contexts, and answers that do not depend on what else
 * is asked or on where an earlier start stopped. */
#include "tests/check.h"

#include "answer/answers.h"
#include "answer/seeds.h"
#include "base/mem.h"
#include "retrieve/retrieve.h"

#include <math.h>
#include <string.h>

enum { N = 12 };
static struct device *device;
static struct seeds test;
static const char *questions[N];

struct got {
    char *prompt[N], *text[N];
    int contexts[N][8], n_context[N], n;
};

static int put(void *user, int i, const struct spoken *a, struct error *err)
{
    struct got *g = user;
    (void)err;
    assert_null(a->error);
    assert_null(g->text[i]);
    g->prompt[i] = mem_strdup(a->prompt);
    g->text[i] = mem_strdup(a->text);
    g->n_context[i] = a->n_context;
    memcpy(g->contexts[i], a->contexts, (size_t)a->n_context * sizeof(int));
    g->n++;
    return 0;
}

static void got_free(struct got *g)
{
    for (int i = 0; i < N; i++) {
        mem_free(g->prompt[i]);
        mem_free(g->text[i]);
    }
}

static struct answers_options options(enum context_kind arm)
{
    struct answers_options o;
    answers_options_default(&o);
    o.speaker = (struct speaker_options){.model = "models/miniature", .seed = 7, .dtype = DTYPE_F32};
    o.seeds.path = arm == CONTEXTS_NONE ? NULL : "models/seeds.jsonl";
    o.arm = arm;
    o.k = 3;
    o.decode.max_new_tokens = 24;
    return o;
}

static struct got answer(const struct answers_options *o, const char *skip)
{
    struct got g = {0};
    struct answers *a = NULL;
    struct error err = {0};
    if (answers_open(&a, device, o, &err) ||
        answers_generate(a, &(struct questions){questions, N}, skip, put, &g, &err))
        fail_msg("%s", err.message);
    answers_close(a);
    return g;
}

static void zero_shot_is_the_template_alone(void **state)
{
    (void)state;
    struct answers_options o = options(CONTEXTS_NONE);
    struct got g = answer(&o, NULL);
    for (int i = 0; i < N; i++) {
        struct buf b = BUF_INIT;
        buf_printf(&b, "Question: %s\nAnswer:", questions[i]);
        assert_string_equal(g.prompt[i], b.data);
        buf_free(&b);
    }
    got_free(&g);
}

/* A half that was done before changes nothing in the other. */
static void an_interrupted_set_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    static const enum context_kind arms[] = {CONTEXTS_NEAREST, CONTEXTS_RANDOM};
    for (int k = 0; k < 2; k++) {
        struct answers_options o = options(arms[k]);
        o.decode.do_sample = 1;
        char skip[N];
        for (int i = 0; i < N; i++)
            skip[i] = (char)(i % 2);
        struct got whole = answer(&o, NULL), half = answer(&o, skip);
        assert_int_equal(whole.n, N);
        assert_int_equal(half.n, N / 2);
        for (int i = 0; i < N; i += 2) {
            assert_string_equal(whole.prompt[i], half.prompt[i]);
            assert_string_equal(whole.text[i], half.text[i]);
            assert_int_equal(whole.n_context[i], 3);
        }
        got_free(&whole);
        got_free(&half);
    }
}

static void seeds_of_an_arm_are_as_asked(void **state)
{
    (void)state;
    struct answers_options o = options(CONTEXTS_NEAREST);
    o.speaker.retriever = RETRIEVER_BM25;
    struct got nearest = answer(&o, NULL);
    struct seeds seeds;
    assert_int_equal(seeds_read(&seeds, "models/seeds.jsonl", 1, NULL), 0);
    const char *texts[100];
    for (int i = 0; i < seeds.n; i++)
        texts[i] = seeds.items[i].question;
    struct retriever *r;
    assert_int_equal(retriever_new_bm25(&r, texts, seeds.n, NULL), 0);
    for (int i = 0; i < N; i++) {
        struct retriever_hit hits[3];
        int found;
        assert_int_equal(retriever_find(r, &(struct retriever_query){questions[i], NULL}, 3, hits, &found, NULL), 0);
        for (int c = 0; c < found; c++) /* the nearest stands last */
            assert_int_equal(nearest.contexts[i][c], hits[found - 1 - c].index);
        assert_non_null(strstr(nearest.prompt[i], seeds.items[hits[0].index].answer));
    }
    retriever_free(r);
    seeds_free(&seeds);
    o = options(CONTEXTS_RANDOM);
    struct got first = answer(&o, NULL);
    o.speaker.seed = 8;
    struct got other = answer(&o, NULL);
    int differ = 0;
    for (int i = 0; i < N; i++)
        differ += memcmp(first.contexts[i], other.contexts[i], 3 * sizeof(int)) != 0;
    assert_true(differ > N / 2);
    got_free(&nearest);
    got_free(&first);
    got_free(&other);
    struct answers *a = NULL;
    struct error err = {0};
    o.seeds.path = NULL;
    assert_int_equal(answers_open(&a, device, &o, &err), ERROR_USAGE);
}

static int compose(void *user, const struct example *e, size_t n, const char *question, struct buf *out,
                   struct error *err)
{
    (void)user;
    (void)e;
    (void)n;
    (void)err;
    buf_printf(out, "Q: %s", question);
    return 0;
}

/* The same as scoring the ids by hand. */
static void scores_are_the_models(void **state)
{
    (void)state;
    static const struct prompt_style style = {
        .name = "plain", .compose = compose, .stop = "\n\n", .score_cue = "\nA:", .score_prefix = " "};
    struct answers_options o = options(CONTEXTS_NONE);
    o.speaker.style = &style;
    struct answers *a = NULL;
    struct error err = {0};
    struct answers_pair pairs[2] = {{0, "Sleep eight hours."}, {3, "No."}};
    struct speak_score scores[2];
    assert_int_equal(answers_open(&a, device, &o, &err), 0);
    assert_int_equal(answers_score(a, &(struct questions){questions, N}, pairs, 2, scores, &err), 0);
    for (int i = 0; i < 2; i++) {
        struct tokens ids = TOKENS_INIT;
        struct buf prompt = BUF_INIT, completion = BUF_INIT;
        float logprobs[64];
        double sum = 0;
        buf_printf(&prompt, "Q: %s\nA:", questions[pairs[i].question]);
        buf_printf(&completion, " %s", pairs[i].answer);
        assert_int_equal(
            tokenizer_encode(answers_tokenizer(a), prompt.data, prompt.len, TOKENIZER_ADD_SPECIAL, &ids, NULL), 0);
        int n_prompt = (int)ids.n;
        assert_int_equal(tokenizer_encode(answers_tokenizer(a), completion.data, completion.len, 0, &ids, NULL), 0);
        assert_int_equal(
            model_score(answers_model(a, NULL), &(struct model_text){ids.ids, (int)ids.n, n_prompt}, 1, logprobs, NULL),
            0);
        for (int k = 0; k < (int)ids.n - n_prompt; k++)
            sum += (double)logprobs[k];
        assert_int_equal(scores[i].n_token, (int)ids.n - n_prompt);
        assert_true(scores[i].logprob == sum && sum < 0);
        tokens_free(&ids);
        buf_free(&prompt);
        buf_free(&completion);
    }
    answers_close(a);
}

static int setup(void **state)
{
    (void)state;
    struct device_options o = {.n_thread = 2};
    int rc = device_open(&device, DEVICE_CPU, &o, NULL);
    rc = rc ? rc : seeds_read(&test, "models/test.jsonl", 0, NULL);
    for (int i = 0; i < N && !rc; i++)
        questions[i] = test.items[i].question;
    return rc;
}

static int teardown(void **state)
{
    (void)state;
    seeds_free(&test);
    device_close(device);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_shot_is_the_template_alone),
        cmocka_unit_test(an_interrupted_set_goes_on_with_the_same_bits),
        cmocka_unit_test(seeds_of_an_arm_are_as_asked),
        cmocka_unit_test(scores_are_the_models),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
