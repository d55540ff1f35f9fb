/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tiny_experiment.h"

#include "tests/check.h"
#include "tests/tiny_align.h"

#include "experiment/experiment.h"
#include "io/file.h"
#include "io/jsonl.h"
#include "io/jsontext.h"

#include <glob.h>
#include <math.h>
#include <string.h>

char tiny_file[1200], tiny_whole[1200];

const char tiny_yaml[] =
    "model: model\nseeds: seeds.jsonl\ntest: test.jsonl\njudge: judge\nrandom_seeds: [3, 4]\ndtype: f32\n"
    "recipe: sampled\nask-no-repeat-ngram-size: 0\nrounds: 2\nattempts: 4\nk: 2\nstop-novelty: 0\nsift-threshold: 0.9\n"
    "question-max-words: 100\nanswer-max-words: 100\n"
    "question-min-words: 1\nanswer-min-words: 0\nsift-repetition: 1\nsift-copy: 1\n"
    "sift-need-end: false\nask-max-new-tokens: 40\nanswer-max-new-tokens: 30\n"
    "answer-num-beams: 1\nnum-train-epochs: 1\nlearning-rate: 1e-3\n"
    "eval-max-new-tokens: 30\n"
    "arms:\n  - pretrained\n  - sft-seeds\n  - {name: steps, kind: sft-seeds, budget: steps}\n"
    "  - isara\nabout: {authors: [A, B]}\n";

int tiny_experiment_try(const char *output, json_t **json, struct error *err)
{
    struct buf text = BUF_INIT;
    *err = (struct error){0};
    const struct experiment_options o = {.file = tiny_file, .output = output, .threads = 1};
    int rc = experiment_run(&o, &text, json, err);
    if (!rc)
        assert_non_null(strstr(buf_text(&text), "qa.nll"));
    buf_free(&text);
    return rc;
}

void tiny_experiment(const char *output, json_t **json)
{
    struct error err;
    if (tiny_experiment_try(output, json, &err))
        fail_msg("%s", err.message);
}

int tiny_experiment_setup(void **state)
{
    int rc = tiny_align_setup(state);
    snprintf(tiny_file, sizeof tiny_file, "%s/experiment.yaml", tiny.root);
    snprintf(tiny_whole, sizeof tiny_whole, "%s/whole", tiny.root);
    return rc ? rc : file_write(tiny_file, tiny_yaml, strlen(tiny_yaml), NULL);
}

const json_t *tiny_find(const json_t *list, const char *key, const char *value, const char *metric)
{
    const json_t *item;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i, item)
    {
        const char *m = json_string_value(json_object_get(item, "metric"));
        if (!strcmp(json_string_value(json_object_get(item, key)), value) && (!metric || !strcmp(m, metric)))
            return item;
    }
    fail_msg("no %s %s", key, value);
    return NULL;
}

void tiny_job_path(const json_t *results, const char *arm, int random_seed, int job, char path[1400])
{
    const json_t *a = tiny_find(json_object_get(results, "arms"), "name", arm, NULL);
    const json_t *r = json_array_get(json_object_get(a, "runs"), (size_t)random_seed);
    const char *hash = json_string_value(json_array_get(json_object_get(r, "jobs"), (size_t)job));
    snprintf(path, 1400, "%s/work/%.16s", tiny_whole, hash);
}

void tiny_results(json_t **results)
{
    char path[1300];
    snprintf(path, sizeof path, "%s/results.json", tiny_whole);
    assert_int_equal(jsontext_load(results, path, 1 << 24, NULL), 0);
}

void tiny_experiment_arms(const char *arms, json_t **json)
{
    char other[2000];
    snprintf(other, sizeof other, "%.*smetrics: [qa]\narms:\n%s", (int)(strstr(tiny_yaml, "arms:") - tiny_yaml),
             tiny_yaml, arms);
    assert_int_equal(file_write(tiny_file, other, strlen(other), NULL), 0);
    tiny_experiment(tiny_whole, json);
    assert_int_equal(file_write(tiny_file, tiny_yaml, strlen(tiny_yaml), NULL), 0);
}

int tiny_nll(const char *directory, double nll[64])
{
    char pattern[1500];
    glob_t g = {0};
    json_t *rows = NULL, *row;
    size_t i;
    snprintf(pattern, sizeof pattern, "%s/eval/*/samples_qa_*.jsonl", directory);
    assert_int_equal(glob(pattern, 0, NULL, &g), 0);
    assert_int_equal(jsonl_load(&rows, g.gl_pathv[0], NULL), 0);
    json_array_foreach(rows, i, row) nll[i] = json_real_value(json_object_get(row, "nll"));
    int n = (int)json_array_size(rows);
    json_decref(rows);
    globfree(&g);
    return n;
}

double tiny_number(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

void tiny_close_to(double found, double wanted, double most)
{
    if (!(fabs(found - wanted) <= most))
        fail_msg("wanted %.17g, found %.17g", wanted, found);
}

void tiny_page(struct buf *page)
{
    char path[1300];
    snprintf(path, sizeof path, "%s/report.html", tiny_whole);
    assert_int_equal(file_read(page, path, 1 << 24, NULL), 0);
}
