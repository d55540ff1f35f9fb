/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval --task truthfulqa: answers against the true and the false references of every question, and multiple
 * choice by their likelihood. */
#include "eval/parts.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "measure/rouge.h"
#include "measure/truthfulqa.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct item {                          /* one row of the CSV */
    char *question, *best, *likeliest; /* likeliest: the best one as it is scored, with a full stop */
    char **trues, **falses, **choices; /* references; choices: the true ones without "I have no comment." */
    int n_true, n_false, n_choice;
    char *answer; /* extracted; NULL: missing */
    struct truth_score score[TRUTH_METRICS];
    struct truth_choice choice;
    int chosen; /* choice is there */
};
struct truth {
    struct eval_answers e;
    struct item *items;
    const char **questions;
    int n, n_empty;
    int generation, mc;
    enum truth_extraction extraction;
    char sha256[65];
};

/* --- the questions --- */

/* "a; b" as the CSV has it, which the JSON of the same set has as a list. */
static int split(const json_t *value, int true_list, char ***list, int *n, struct error *err)
{
    struct buf joined = BUF_INIT;
    const json_t *one;
    size_t i;
    json_array_foreach(value, i, one)
    {
        const char *text = json_string_value(one);
        buf_printf(&joined, "%s%s", i ? "; " : "", text ? text : "");
    }
    int rc = joined.failed ? error_set_nomem(err, joined.len, "answers") : 0;
    if (!rc)
        rc = truth_list_split(json_is_string(value) ? json_string_value(value) : buf_text(&joined), true_list, list, n,
                              err);
    buf_free(&joined);
    return rc;
}

static char *scored_best(const struct item *t)
{
    struct buf text = BUF_INIT;
    buf_puts(&text, !*t->best && t->n_choice ? t->choices[0] : t->best);
    if (*t->best && t->best[strlen(t->best) - 1] != '.')
        buf_putc(&text, '.');
    char *out = text.failed ? NULL : mem_strdup(buf_text(&text));
    buf_free(&text);
    return out;
}

static int read_row(struct item *t, const json_t *row, struct error *err)
{
    const json_t *trues = json_object_get(row, "correct_answers"), *falses = json_object_get(row, "incorrect_answers");
    const char *best = json_string_value(json_object_get(row, "best_answer"));
    *t = (struct item){.question = mem_strdup(json_string_value(json_object_get(row, "question"))),
                       .best = mem_strdup(best ? best : "")};
    if (!t->question || !t->best)
        return error_set_nomem(err, 64, "a question");
    int rc = split(trues, 1, &t->trues, &t->n_true, err);
    rc = rc ? rc : split(trues, 0, &t->choices, &t->n_choice, err);
    rc = rc ? rc : split(falses, 0, &t->falses, &t->n_false, err);
    if (!rc && !(t->likeliest = scored_best(t)))
        rc = error_set_nomem(err, 64, "an answer");
    return rc;
}

static int check_row(void *user, json_t *row, struct error *err)
{
    static const char *const names[] = {"question", "correct_answers", "incorrect_answers"};
    (void)user;
    for (int i = 0; i < 3; i++) {
        const json_t *value = json_object_get(row, names[i]);
        if (!json_is_string(value) && !(i && json_is_array(value)))
            return error_set(err, ERROR_DATA, "no column \"%s\"", names[i]);
    }
    return 0;
}

static int read_questions(struct truth *t, const char *path, int limit, struct error *err)
{
    json_t *rows = NULL, *row;
    size_t i;
    int rc = record_load(&rows, (struct record_source){.path = path}, limit, check_row, NULL, err);
    size_t n = json_array_size(rows) + 1;
    t->items = mem_calloc(n, sizeof *t->items);
    t->questions = mem_calloc(n, sizeof *t->questions);
    if (!rc && (!t->items || !t->questions))
        rc = error_set_nomem(err, n * sizeof *t->items, "questions");
    json_array_foreach(rows, i, row)
    {
        if (!rc && !(rc = read_row(&t->items[t->n++], row, err)))
            t->questions[i] = t->items[i].question;
    }
    json_decref(rows);
    return rc ? rc : sha256_file(path, t->sha256, err);
}

/* --- scores --- */

static int score_texts(struct truth *t, struct error *err)
{
    int rc = 0, overlooked = 0;
    for (int i = 0; i < t->n && !rc; i++) {
        const char *text = eval_answers_text(&t->e, i),
                   *raw = json_string_value(json_object_get(eval_answers_row(&t->e, i), "raw"));
        struct item *x = &t->items[i];
        struct buf answer = BUF_INIT;
        if (!text)
            continue;
        truth_extract(t->extraction, t->extraction == TRUTH_EXTRACT_NONE ? text : raw, &answer);
        if (t->extraction == TRUTH_EXTRACT_ORIGINAL && !answer.len) { /* the original leaves such rows out */
            buf_free(&answer);
            continue;
        }
        t->n_empty += !answer.len;
        x->answer = answer.len ? buf_take(&answer) : mem_strdup("");
        buf_free(&answer);
        const struct truth_references references = {.trues = (const char *const *)x->trues,
                                                    .n_true = x->n_true,
                                                    .falses = (const char *const *)x->falses,
                                                    .n_false = x->n_false};
        rc = x->answer ? truth_score(x->answer, &references, x->score, err) : error_set_nomem(err, 64, "an answer");
        overlooked += x->answer && (rouge_overlooks(x->answer) || rouge_overlooks(x->trues[0]));
    }
    if (overlooked)
        log_line(LOG_WARNING,
                 "ROUGE: %d answers or references have letters outside a-z that rouge_score's words do not see",
                 overlooked);
    return rc;
}

static int has_choice(const struct item *x)
{
    return x->n_choice > 0 && x->n_false > 0;
}

static int count_choices(const struct item *x)
{
    return 1 + x->n_choice + x->n_false;
}

/* One question's answers: the best, the true, the false ones. */
static void list_choices(const struct item *x, int question, struct answers_pair *pairs)
{
    *pairs++ = (struct answers_pair){question, x->likeliest};
    for (int k = 0; k < x->n_choice; k++)
        *pairs++ = (struct answers_pair){question, x->choices[k]};
    for (int k = 0; k < x->n_false; k++)
        *pairs++ = (struct answers_pair){question, x->falses[k]};
}

static int keep_choices(struct truth *t, int question, const struct speak_score *scores, struct error *err)
{
    const struct item *x = &t->items[question];
    json_t *values = json_array();
    for (int k = 0; k < count_choices(x); k++)
        json_array_append_new(values, scores[k].n_token ? json_real(scores[k].logprob) : json_null());
    return eval_journal_put(t->e.journal, "choice", question,
                            json_pack("{s:i, s:o}", "n_true", x->n_choice, "logprobs", values), err);
}

/* Several questions at once: each one's prompt is computed once for all of its answers. */
static int score_questions(struct truth *t, const int *rows, int n_row, struct error *err)
{
    int n = 0, rc = 0;
    for (int i = 0; i < n_row; i++)
        n += count_choices(&t->items[rows[i]]);
    struct answers_pair *pairs = mem_calloc((size_t)n, sizeof *pairs), *to = pairs;
    struct speak_score *scores = mem_calloc((size_t)n, sizeof *scores), *of = scores;
    if (!pairs || !scores)
        rc = error_set_nomem(err, (size_t)n * sizeof *pairs, "answers");
    for (int i = 0; i < n_row && !rc; to += count_choices(&t->items[rows[i++]]))
        list_choices(&t->items[rows[i]], rows[i], to);
    rc = rc ? rc : answers_score(t->e.answers, &(struct questions){t->questions, t->n}, pairs, n, scores, err);
    for (int i = 0; i < n_row && !rc; of += count_choices(&t->items[rows[i++]]))
        rc = keep_choices(t, rows[i], of, err);
    mem_free(pairs);
    mem_free(scores);
    return rc;
}

static int score_choices(struct truth *t, struct error *err)
{
    enum { QUESTIONS = 16 };
    struct progress progress = {.stage = "multiple choice", .unit = "questions", .total = t->n, .started = clock_now()};
    int rc = 0;
    for (int i = 0; i < t->n && !rc;) {
        int rows[QUESTIONS], n = 0;
        for (; i < t->n && n < QUESTIONS; i++)
            if (has_choice(&t->items[i]) && !eval_journal_get(t->e.journal, "choice", i))
                rows[n++] = i;
        rc = n ? score_questions(t, rows, n, err) : 0;
        progress.done = i;
        progress_show(&progress);
    }
    return rc;
}

/* From the journal. A row of which an answer does not fit into the context has no choice. */
static int choose_answer(struct truth *t, int i, struct error *err)
{
    struct item *x = &t->items[i];
    int rc = 0, n = count_choices(x);
    const json_t *values = json_object_get(eval_journal_get(t->e.journal, "choice", i), "logprobs");
    if (!has_choice(x))
        return 0;
    double *v = mem_alloc((size_t)n * sizeof *v);
    if (!v)
        return error_set_nomem(err, (size_t)n * sizeof *v, "likelihoods");
    int known = 0;
    while (known < n && json_is_number(json_array_get(values, (size_t)known))) {
        v[known] = json_number_value(json_array_get(values, (size_t)known));
        known++;
    }
    const struct truth_likelihoods likelihoods = {v[0], v + 1, v + 1 + x->n_choice, x->n_choice, x->n_false};
    if (known == n && !(rc = truth_choose(&likelihoods, &x->choice, err)))
        x->chosen = 1;
    mem_free(v);
    return rc;
}

static int choose_answers(struct truth *t, struct error *err)
{
    int rc = score_choices(t, err);
    for (int i = 0; i < t->n && !rc; i++)
        rc = choose_answer(t, i, err);
    return rc;
}

/* --- the report --- */

static double value_of(const struct item *x, int m, int part)
{
    switch (part) {
    case 0: return x->score[m].max;
    case 1: return x->score[m].diff;
    default: return x->score[m].acc;
    }
}

static double choice_of(const struct item *x, int c)
{
    switch (c) {
    case 0: return x->choice.mc1;
    case 1: return x->choice.mc2;
    default: return x->choice.mc3;
    }
}

static json_t *sample(void *user, int i)
{
    static const char *const parts[] = {"max", "diff", "acc"};
    const struct truth *t = user;
    const struct item *x = &t->items[i];
    json_t *s = json_pack("{s:{s:s, s:s}, s:s, s:s?}", "doc", "question", x->question, "best_answer", x->best, "target",
                          x->best, "answer", x->answer);
    json_t *trues = json_array(), *falses = json_array();
    for (int k = 0; k < x->n_true; k++)
        json_array_append_new(trues, json_string(x->trues[k]));
    for (int k = 0; k < x->n_false; k++)
        json_array_append_new(falses, json_string(x->falses[k]));
    json_object_set_new(json_object_get(s, "doc"), "correct_answers", trues);
    json_object_set_new(json_object_get(s, "doc"), "incorrect_answers", falses);
    for (int m = 0; m < TRUTH_METRICS && t->generation; m++)
        for (int part = 0; part < 3; part++) {
            char key[32];
            snprintf(key, sizeof key, "%s_%s", truth_metric_name((enum truth_metric)m), parts[part]);
            json_object_set_new(s, key, x->answer ? json_real(value_of(x, m, part)) : json_null());
        }
    if (t->mc) {
        json_object_set_new(s, "mc1", x->chosen ? json_real(x->choice.mc1) : json_null());
        json_object_set_new(s, "mc2", x->chosen ? json_real(x->choice.mc2) : json_null());
        json_object_set_new(s, "mc3", x->chosen ? json_real(x->choice.mc3) : json_null());
    }
    return s;
}

/* v[0..n): the rows' values; an interval of a share for values that are 0 or 1. */
static void add_value(struct eval_report *r, const char *name, const double *v, int n, int is_share,
                      const struct eval_options *o)
{
    struct stats_interval i = EVAL_NO_INTERVAL;
    double mean = stats_mean(v, n);
    if (is_share && n)
        i = stats_wilson(lround(mean * n), n, 0.95);
    else if (!r->rc)
        r->rc = eval_mean_interval(v, n, o->seed, &i, r->err);
    eval_report_value(r, name, mean, n, i);
}

static void add_values(struct eval_report *r, const struct truth *t, const struct eval_options *o, double *v)
{
    static const char *const parts[] = {"max", "diff", "acc"}, *const choices[] = {"mc1", "mc2", "mc3"};
    char key[32];
    for (int m = 0; m < TRUTH_METRICS && t->generation; m++)
        for (int part = 0; part < 3; part++) {
            int n = 0;
            for (int i = 0; i < t->n; i++)
                if (t->items[i].answer)
                    v[n++] = value_of(&t->items[i], m, part);
            snprintf(key, sizeof key, "%s_%s", truth_metric_name((enum truth_metric)m), parts[part]);
            add_value(r, key, v, n, part == 2, o);
        }
    for (int c = 0; c < 3 && t->mc; c++) {
        int n = 0;
        for (int i = 0; i < t->n; i++)
            if (t->items[i].chosen)
                v[n++] = choice_of(&t->items[i], c);
        add_value(r, choices[c], v, n, c == 0, o);
    }
}

static int fill_report(struct truth *t, const struct eval_work *w, struct error *err)
{
    const struct eval_options *o = w->options;
    static const char *const modes[] = {"none", "lm-eval", "original"};
    struct eval_report r;
    struct report_basis f = {.task = "truthfulqa", .threshold = NAN};
    eval_answers_count(&t->e, &f);
    if (t->generation) {
        f.n_missing = 0;
        for (int i = 0; i < t->n; i++)
            f.n_missing += !t->items[i].answer;
    } else {
        f.n_missing = f.n_truncated = 0;
    }
    eval_report_begin(&r, &f, err);
    eval_report_fact(&r, "questions_sha256", json_string(t->sha256));
    if (t->generation) {
        eval_report_fact(&r, "extraction", json_string(modes[t->extraction]));
        eval_report_fact(&r, "n_empty", json_integer(t->n_empty));
    }
    double *v = mem_alloc(((size_t)t->n + 1) * sizeof *v);
    if (!v)
        r.rc = error_set_nomem(err, (size_t)t->n * sizeof *v, "values");
    else
        add_values(&r, t, o, v);
    mem_free(v);
    if (t->generation)
        eval_report_note(&r, "_max: the nearest true reference's score, x100; empty answers score 0\n"
                             "_diff: the same less the nearest false reference's\n"
                             "_acc: share of answers that are nearer to a true one than to every false one\n"
                             "95 %% intervals: of _acc Wilson's, else " EVAL_INTERVALS "\n"
                             "headline: rougeL_diff (the column called rougeL is rougeLsum)");
    if (t->mc)
        eval_report_note(&r, "mc1: the best answer is likelier than every false one\nmc2: probability of the true ones "
                             "among all\nmc3: share of true ones above every false one");
    eval_save(&t->e, &r, o, sample, t);
    return eval_report_finish(&r, w);
}

/* --- the task --- */

static int options_of(struct truth *t, const struct eval_options *v, struct error *err)
{
    const char *metrics = v->input ? "generation" : "generation,mc", *mode = v->extraction;
    if (v->metrics)
        metrics = v->metrics;
    for (const char *s = metrics; *s; s += s[strcspn(s, ",")] ? strcspn(s, ",") + 1 : strcspn(s, ",")) {
        size_t n = strcspn(s, ",");
        int is_mc = n == 2 && !strncmp(s, "mc", 2), is_generation = n == 10 && !strncmp(s, "generation", 10);
        if (!is_mc && !is_generation)
            return error_set(err, ERROR_USAGE, "--metrics: wanted generation, mc with a comma between, found \"%.*s\"",
                             (int)n, s);
        t->mc |= is_mc;
        t->generation |= is_generation;
    }
    if (t->mc && v->input)
        return error_set(err, ERROR_USAGE, "--metrics mc: needs --model, whose likelihood of the answers decides");
    if (!mode)
        mode = v->style && !strcmp(v->style, "primer") ? "lm-eval" : "none";
    t->extraction = !strcmp(mode, "original") ? TRUTH_EXTRACT_ORIGINAL : TRUTH_EXTRACT_NONE;
    if (!strcmp(mode, "lm-eval"))
        t->extraction = TRUTH_EXTRACT_LM_EVAL;
    t->e.max_new_tokens = t->extraction == TRUTH_EXTRACT_ORIGINAL ? 50 : 0;
    return 0;
}

static void free_items(struct truth *t)
{
    for (int i = 0; i < t->n; i++) {
        struct item *x = &t->items[i];
        truth_list_free(x->trues, x->n_true);
        truth_list_free(x->falses, x->n_false);
        truth_list_free(x->choices, x->n_choice);
        mem_free(x->question);
        mem_free(x->best);
        mem_free(x->likeliest);
        mem_free(x->answer);
    }
    mem_free(t->items);
    mem_free(t->questions);
}

static int run_truthfulqa(const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct truth t = {.e = {.task = w->task->name}};
    const char *test = v->test ? v->test : v->data;
    int rc = eval_require(test, "test", "TruthfulQA.csv", err);
    rc = rc ? rc : options_of(&t, v, err);
    rc = rc ? rc : read_questions(&t, test, v->limit, err);
    t.e.questions = t.questions;
    t.e.n = t.n;
    t.e.want_answers = t.generation;
    rc = rc ? rc : eval_answers_open(&t.e, w, err);
    if (!rc && t.generation)
        rc = score_texts(&t, err);
    if (!rc && t.mc)
        rc = choose_answers(&t, err);
    rc = rc ? rc : fill_report(&t, w, err);
    eval_answers_close(&t.e);
    free_items(&t);
    return rc;
}

const struct eval_task eval_truthfulqa = {
    "truthfulqa", "ROUGE and BLEU against true and false references, multiple choice by likelihood", run_truthfulqa};
