/* SPDX-License-Identifier: Apache-2.0 */
/* Has the model seen the test set? Min-k % log-probability (Shi et al. 2024): the mean of the least likely 20 % of a
 * text's tokens, against that of the same text with its words in another order of sentences where there is no such
 * text: here the answers dealt out to other questions, so that the words are the same and the pairs are not. And
 * completion of a question from its first half (Golchin and Surdeanu 2024), once told which benchmark it is from and
 * once not: a model that knows the benchmark does better when it is named. */
#include "eval/eval_sets.h"

#include "base/maths.h"
#include "base/mem.h"
#include "base/rng.h"
#include "crew/crew.h"
#include "measure/rouge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 32 };
#define LEAST_SHARE 0.2

struct seen {
    const struct eval_set *test;
    const struct eval_options *v;
    struct answers *answers;
    struct eval_journal *journal;
    const char **heads, **tails; /* halves of the questions; NULL: too short */
    char *memory;
    int guided;
    const char *stage;
};

static int compare_float(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Mean of the least likely share; sorts in place. */
static double least_mean(float *logprobs, int n)
{
    int k = (int)(LEAST_SHARE * n);
    double sum = 0;
    k = k < 1 ? 1 : k;
    qsort(logprobs, (size_t)n, sizeof *logprobs, compare_float);
    for (int i = 0; i < k; i++)
        sum += (double)logprobs[i];
    return sum / k;
}

/* --- min-k % --- */

static int score_chunk(struct seen *s, const char *stage, const int *rows, char **texts, int n, struct error *err)
{
    const struct tokenizer *t = answers_tokenizer(s->answers);
    struct model *m = answers_model(s->answers, err);
    struct tokens ids[CHUNK] = {{NULL, 0, 0}};
    struct model_text list[CHUNK];
    int rc = m ? 0 : ERROR_FAILED, used[CHUNK], k = 0;
    size_t all = 0;
    for (int i = 0; i < n && !rc; i++) {
        rc = tokenizer_encode(t, texts[i], strlen(texts[i]), TOKENIZER_ADD_SPECIAL, &ids[i], err);
        if (!rc && ids[i].n > (size_t)model_desc(m)->n_ctx)
            ids[i].n = (size_t)model_desc(m)->n_ctx;
        if (!rc && ids[i].n > 1) {
            list[k] = (struct model_text){ids[i].ids, (int)ids[i].n, 1};
            used[k++] = i;
            all += ids[i].n;
        }
    }
    float *logprobs = mem_alloc((all + 1) * sizeof *logprobs), *at = logprobs;
    if (!rc && !logprobs)
        rc = error_set_nomem(err, all * sizeof *logprobs, "log-probabilities");
    rc = rc ? rc : crew_score(m, list, k, logprobs, err);
    for (int i = 0; i < k && !rc; i++) {
        rc = model_check_numbers(at, (size_t)list[i].n - 1, err, "text %d, \"%.60s\"", rows[used[i]], texts[used[i]]);
        rc = rc ? rc
                : eval_journal_put(s->journal, stage, rows[used[i]],
                                   json_pack("{s:f, s:i}", "mink", least_mean(at, list[i].n - 1), "n_token", list[i].n),
                                   err);
        at += list[i].n - 1;
    }
    mem_free(logprobs);
    for (int i = 0; i < n; i++)
        tokens_free(&ids[i]);
    return rc;
}

/* The text of item i: its own answer, or (shuffled) another item's. */
static char *text_of(const struct seen *s, int i, const uint32_t *order)
{
    struct buf b = BUF_INIT;
    const char *answer = s->test->items[order ? (int)order[i] : i].answer;
    buf_puts(&b, s->test->items[i].question);
    if (answer) {
        buf_putc(&b, '\n');
        buf_puts(&b, answer);
    }
    return buf_take(&b);
}

static int score_texts(struct seen *s, const char *stage, const uint32_t *order, struct error *err)
{
    int rc = 0;
    for (int first = 0; first < s->test->n && !rc;) {
        int rows[CHUNK], n = 0, i = first;
        char *texts[CHUNK] = {NULL};
        for (; i < s->test->n && n < CHUNK && !rc; i++)
            if (!eval_journal_get(s->journal, stage, i)) {
                rows[n] = i;
                if (!(texts[n++] = text_of(s, i, order)))
                    rc = error_set_nomem(err, 64, "a text");
            }
        if (!rc && n)
            rc = score_chunk(s, stage, rows, texts, n, err);
        for (int k = 0; k < n; k++)
            mem_free(texts[k]);
        first = i;
    }
    return rc;
}

static double number_at(const struct seen *s, const char *stage, int i, const char *key)
{
    const json_t *value = json_object_get(eval_journal_get(s->journal, stage, i), key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* Mean of one stage and the paired difference of two, with its test. */
static int report_difference(struct eval_report *r, const struct seen *s, const char *key, const char *const stages[2],
                             const char *const names[3], struct error *err)
{
    double *x = mem_alloc(((size_t)s->test->n + 1) * 3 * sizeof *x), *y = x + s->test->n + 1, *d = y + s->test->n + 1;
    int n = 0, rc = 0;
    if (!x)
        return error_set_nomem(err, (size_t)s->test->n * 24, "values");
    for (int i = 0; i < s->test->n; i++) {
        double a = number_at(s, stages[0], i, key), b = number_at(s, stages[1], i, key);
        if (!isnan(a) && !isnan(b)) {
            x[n] = a;
            y[n] = b;
            d[n] = a - b;
            n++;
        }
    }
    struct stats_interval i = EVAL_NO_INTERVAL;
    struct stats_test t = {0, NAN, 0};
    r->n_row = s->test->n;
    eval_report_value(r, names[0], stats_mean(x, n), n, i);
    eval_report_value(r, names[1], stats_mean(y, n), n, i);
    rc = eval_mean_interval(d, n, s->v->seed, &i, err);
    rc = rc ? rc : stats_wilcoxon(d, n, &t, err);
    eval_report_tested(r, names[2], stats_mean(d, n), n, i, t);
    mem_free(x);
    return rc;
}

/* --- completion --- */

static int split_texts(struct seen *s, struct error *err)
{
    size_t bytes = 1, n = (size_t)s->test->n + 1;
    for (int i = 0; i < s->test->n; i++)
        bytes += strlen(s->test->items[i].question) + 1;
    s->memory = mem_alloc(bytes);
    s->heads = mem_calloc(n, sizeof *s->heads);
    s->tails = mem_calloc(n, sizeof *s->tails);
    if (!s->memory || !s->heads || !s->tails)
        return error_set_nomem(err, bytes, "questions");
    char *at = s->memory;
    for (int i = 0; i < s->test->n; i++) {
        size_t length = strlen(s->test->items[i].question);
        char *copy = memcpy(at, s->test->items[i].question, length + 1), *cut = copy + length / 2;
        at += length + 1;
        while (*cut && *cut != ' ')
            cut++;
        s->heads[i] = copy;
        if (*cut && strchr(copy, ' ') != cut) {
            *cut = 0;
            s->tails[i] = cut + 1;
        }
    }
    return 0;
}

static int compose_prompt(void *user, const struct example *e, size_t n, const char *question, struct buf *out,
                          struct error *err)
{
    const struct seen *s = user;
    (void)e;
    (void)n;
    (void)err;
    if (s->guided)
        buf_printf(out,
                   "The first piece below is the beginning of a question of the benchmark %s. The second piece is the "
                   "rest of it, word for word.\n\n",
                   s->v->benchmark);
    else
        buf_puts(out, "The first piece below is the beginning of a question. The second piece is the rest of it.\n\n");
    buf_printf(out, "First piece: %s\nSecond piece:", question);
    return 0;
}

static int put_completion(void *user, int i, const struct spoken *a, struct error *err)
{
    struct seen *s = user;
    struct rouge_vocab *v = NULL;
    struct rouge_text x = {0}, y = {0};
    struct rouge_score score = {0, 0, 0};
    if (!a->text)
        return eval_journal_put(s->journal, s->stage, i, json_pack("{s:s?}", "error", a->error), err);
    int rc = rouge_vocab_new(&v, err);
    rc = rc ? rc : rouge_text_init(&x, v, s->tails[i], strlen(s->tails[i]), err);
    rc = rc ? rc : rouge_text_init(&y, v, a->text, strlen(a->text), err);
    rc = rc ? rc : rouge_l(&x, &y, &score, err);
    int exact = !rc && x.n > 0 && x.n == y.n && !memcmp(x.words, y.words, (size_t)x.n * sizeof *x.words);
    rouge_text_deinit(&x);
    rouge_text_deinit(&y);
    rouge_vocab_free(v);
    return rc ? rc
              : eval_journal_put(s->journal, s->stage, i,
                                 json_pack("{s:s, s:s, s:f, s:i}", "prompt", a->prompt, "text", a->text, "rougeL",
                                           100 * score.f, "exact", exact),
                                 err);
}

static int complete_texts(struct seen *s, int guided, const char *stage, struct error *err)
{
    char *skip = mem_calloc((size_t)s->test->n + 1, 1);
    int rc = skip ? 0 : error_set_nomem(err, (size_t)s->test->n, "questions");
    for (int i = 0; i < s->test->n && !rc; i++)
        skip[i] = !s->tails[i] || eval_journal_get(s->journal, stage, i);
    s->guided = guided;
    s->stage = stage;
    rc =
        rc ? rc : answers_generate(s->answers, &(struct questions){s->heads, s->test->n}, skip, put_completion, s, err);
    mem_free(skip);
    return rc;
}

static int measure_seen(struct seen *s, struct eval_report *r, struct error *err)
{
    static const char *const mink[] = {"mink", "mink_dealt"}, *const mink_names[] = {"mink20_logprob",
                                                                                     "mink20_logprob_dealt",
                                                                                     "mink20_difference"};
    static const char *const guided[] = {"guided", "unguided"}, *const guided_names[] = {
                                                                    "completion_rougeL_named",
                                                                    "completion_rougeL_unnamed",
                                                                    "completion_rougeL_difference"};
    uint32_t *order = mem_calloc((size_t)s->test->n + 1, sizeof *order);
    int rc = order ? split_texts(s, err) : error_set_nomem(err, (size_t)s->test->n * sizeof *order, "an order"),
        answers = 0, exact = 0, n = 0;
    for (int i = 0; i < s->test->n && !rc; i++) { /* dealt out by a shift: nobody keeps his own */
        order[i] = (uint32_t)((i + 1) % s->test->n);
        answers += s->test->items[i].answer != NULL;
    }
    rc = rc ? rc : score_texts(s, mink[0], NULL, err);
    if (!rc && answers == s->test->n && s->test->n > 1) {
        rc = score_texts(s, mink[1], order, err);
        rc = rc ? rc : report_difference(r, s, "mink", mink, mink_names, err);
    }
    mem_free(order);
    rc = rc ? rc : complete_texts(s, 0, guided[1], err);
    if (!rc && s->v->benchmark) {
        rc = complete_texts(s, 1, guided[0], err);
        rc = rc ? rc : report_difference(r, s, "rougeL", guided, guided_names, err);
    }
    for (int i = 0; i < s->test->n && !rc; i++)
        if (!isnan(number_at(s, guided[1], i, "exact"))) {
            exact += (int)number_at(s, guided[1], i, "exact");
            n++;
        }
    if (!rc)
        eval_report_value(r, "completion_exact", n ? (double)exact / n : NAN, n, stats_clopper_pearson(exact, n, 0.95));
    return rc;
}

int eval_seen(struct eval_report *r, const struct eval_set *test, const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct seen s = {.test = test, .v = v};
    struct prompt_style style = {
        .name = "completion", .compose = compose_prompt, .user = &s, .stop = "\n", .score_cue = "", .score_prefix = ""};
    struct answers_options o;
    answers_options_default(&o);
    o.speaker = (struct speaker_options){.model = v->model, .style = &style, .seed = v->seed, .dtype = v->dtype};
    o.decode = v->decode;
    if (!o.decode.max_new_tokens)
        o.decode.max_new_tokens = 32;
    int rc = answers_open(&s.answers, w->device, &o, err);
    json_t *settings = rc ? NULL : answers_settings(s.answers);
    if (!rc && (!settings || json_object_set_new(settings, "task", json_string("overlap")) ||
                json_object_set_new(settings, "n-test", json_integer(test->n)) ||
                json_object_set_new(settings, "benchmark", json_string(v->benchmark ? v->benchmark : ""))))
        rc = error_set_nomem(err, 64, "settings");
    rc = rc ? rc : eval_journal_file(settings, "test-sha256", v->test, err);
    rc = rc ? rc : eval_journal_open(&s.journal, v->output, settings, err);
    rc = rc ? rc : measure_seen(&s, r, err);
    if (!rc)
        eval_report_note(r,
                         "mink20: mean log-probability of the least likely 20 %% of the tokens, of the pairs as they "
                         "are and with each other's answers; completion of a question from "
                         "its first half%s",
                         v->benchmark ? ", with the benchmark named and not"
                                      : " (--benchmark NAME compares with naming it)");
    json_decref(settings);
    eval_journal_close(s.journal);
    answers_close(s.answers);
    mem_free(s.heads);
    mem_free(s.tails);
    mem_free(s.memory);
    return rc;
}
