/* SPDX-License-Identifier: Apache-2.0 */
/* What bench/judges.py runs beside its peers. Loads once, then answers each line on standard input with a line of JSON:
 *     classify K  logits of every row of part K of ROWS.json (lists of token ids, made there) by the classifier at
 *     MODEL, in bf16; K -1: a few rows, to warm up
 *     text      ROUGE-1/2/Lsum and BLEU of every answer of ANSWERS.json against all its references
 *     sift      the new questions of QUESTIONS.json against the kept ones
 * Usage: bench_judge MODEL ROWS.json ANSWERS.json QUESTIONS.json */
#include "base/clock.h"
#include "base/mem.h"
#include "measure/truthfulqa.h"
#include "method/sift.h"
#include "model/model.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const struct error *err)
{
    fprintf(stderr, "bench_judge: %s\n", err->message);
    exit(1);
}

static json_t *load(const char *path)
{
    json_error_t e;
    json_t *v = json_load_file(path, 0, &e);
    struct error err;
    if (!v) {
        error_set(&err, ERROR_DATA, "%s: %s", path, e.text);
        fail(&err);
    }
    return v;
}

static void say(json_t *line)
{
    char *text = json_dumps(line, JSON_REAL_PRECISION(17));
    puts(text ? text : "{}");
    fflush(stdout);
    free(text);
    json_decref(line);
}

static void classify(const struct model *m, const json_t *rows)
{
    struct error err = {0};
    size_t n = json_array_size(rows), all = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        all += json_array_size(json_array_get(rows, i));
    int32_t *ids = mem_alloc((all + 1) * sizeof *ids);
    struct model_text *texts = mem_alloc((n + 1) * sizeof *texts);
    int width = model_desc(m)->n_label;
    float *logits = mem_alloc((n * (size_t)width + 1) * sizeof *logits);
    if (!ids || !texts || !logits)
        exit(1);
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i);
        texts[i] = (struct model_text){ids + at, (int)json_array_size(row), 0};
        for (size_t k = 0; k < json_array_size(row); k++)
            ids[at++] = (int32_t)json_integer_value(json_array_get(row, k));
    }
    double start = clock_now();
    if (model_classify(m, texts, (int)n, logits, &err))
        fail(&err);
    double seconds = clock_now() - start;
    json_t *values = json_array();
    for (size_t i = 0; i < n * (size_t)width; i++)
        json_array_append_new(values, json_real((double)logits[i]));
    say(json_pack("{s:f, s:o}", "seconds", seconds, "values", values));
    mem_free(ids);
    mem_free(texts);
    mem_free(logits);
}

static const char **strings(const json_t *list, int *n)
{
    *n = (int)json_array_size(list);
    const char **s = mem_alloc(((size_t)*n + 1) * sizeof *s);
    for (int i = 0; s && i < *n; i++)
        s[i] = json_string_value(json_array_get(list, (size_t)i));
    return s;
}

static void text(const json_t *answers)
{
    struct error err = {0};
    size_t n = json_array_size(answers);
    struct truth_score *scores = mem_alloc((n + 1) * TRUTH_METRICS * sizeof *scores);
    double start = clock_now();
    for (size_t i = 0; i < n; i++) {
        const json_t *a = json_array_get(answers, i);
        int n_true, n_false;
        const char **trues = strings(json_object_get(a, "trues"), &n_true),
                   **falses = strings(json_object_get(a, "falses"), &n_false);
        if (!scores || !trues || !falses)
            exit(1);
        const struct truth_references r = {trues, falses, n_true, n_false};
        if (truth_score(json_string_value(json_object_get(a, "answer")), &r, scores + i * TRUTH_METRICS, &err))
            fail(&err);
        mem_free(trues);
        mem_free(falses);
    }
    double seconds = clock_now() - start;
    json_t *values = json_array();
    for (size_t i = 0; i < n * TRUTH_METRICS; i++) {
        json_array_append_new(values, json_real(scores[i].max));
        json_array_append_new(values, json_real(scores[i].diff));
    }
    say(json_pack("{s:f, s:o}", "seconds", seconds, "values", values));
    mem_free(scores);
}

/* The first kept question that each new one repeats, or -1; seconds are a new question's. Adding the kept ones is timed
 * too. */
static void sift(const json_t *questions)
{
    struct error err = {0};
    struct sift_options o;
    struct sift *s = NULL;
    int n_kept, n_new;
    const char **kept = strings(json_object_get(questions, "kept"), &n_kept),
               **more = strings(json_object_get(questions, "new"), &n_new);
    json_t *values = json_array();
    sift_options_default(&o);
    double start = clock_now();
    if (sift_new(&s, &o, &err))
        fail(&err);
    for (int i = 0; i < n_kept; i++)
        if (sift_add(s, kept[i], i, &err))
            fail(&err);
    double adding = clock_now() - start;
    start = clock_now();
    for (int i = 0; i < n_new; i++) {
        struct sift_match match;
        if (sift_repeat(s, more[i], &match, &err))
            fail(&err);
        json_array_append_new(values, json_integer(match.name));
    }
    double seconds = (clock_now() - start) / n_new;
    int wrong = 0, checked = n_new < 200 ? n_new : 200;
    for (int i = 0; i < checked; i++) { /* the bounds against looking at every pair */
        struct sift_match match;
        if (sift_nearest(s, more[i], &match, &err))
            fail(&err);
        wrong += (match.f1 > o.threshold) != (json_integer_value(json_array_get(values, (size_t)i)) >= 0);
    }
    say(json_pack("{s:f, s:f, s:i, s:i, s:o}", "seconds", seconds, "adding", adding, "checked", checked, "wrong", wrong,
                  "values", values));
    sift_free(s);
    mem_free(kept);
    mem_free(more);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    struct device *device = NULL;
    struct checkpoint *ck = NULL;
    struct model *m = NULL;
    struct device_options o = {0};
    struct model_options mo = {.dtype = DTYPE_BF16, .task = MODEL_CLASSIFY};
    char line[64];
    if (argc != 5) {
        fprintf(stderr, "usage: bench_judge MODEL ROWS.json ANSWERS.json QUESTIONS.json\n");
        return 2;
    }
    json_t *rows = load(argv[2]), *answers = load(argv[3]), *questions = load(argv[4]);
    if (device_open(&device, DEVICE_CPU, &o, &err) || checkpoint_open(&ck, argv[1], &err) ||
        model_open(&m, device, ck, &mo, &err))
        fail(&err);
    checkpoint_close(ck);
    say(json_pack("{s:s}", "isa", device_isa(device)));
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        int part = 0;
        if (sscanf(line, "classify %d", &part) == 1)
            classify(m, json_array_get(rows, part < 0 ? json_array_size(rows) - 1 : (size_t)part));
        else if (!strcmp(line, "text"))
            text(answers);
        else if (!strcmp(line, "sift"))
            sift(questions);
    }
    model_close(m);
    device_close(device);
    json_decref(rows);
    json_decref(answers);
    json_decref(questions);
    return 0;
}
