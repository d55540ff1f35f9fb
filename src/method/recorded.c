/* SPDX-License-Identifier: Apache-2.0 */
/* A run as its directory has it: the journal, config's settings, manifest.json and the questions of arms/ are enough
 * to say what came out of it, finished or not. */
#include "method/parts.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsonl.h"
#include "io/jsontext.h"

#include <stdlib.h>
#include <string.h>

const char *run_files_path(const struct run_files *f, const char *part)
{
    return json_string_value(json_object_get(json_object_get(f->manifest, part), "path"));
}

int run_files_read(struct run_files *f, struct run *run, struct error *err)
{
    const char *directory = run_directory(run);
    char *path = path_join(directory, "manifest.json");
    int rc = path ? run_settings(run, &f->settings, err) : error_set_nomem(err, 64, "path");
    if (!rc && !f->settings)
        rc = error_set(err, ERROR_DATA, "%s: the run was never begun", directory);
    if (!rc)
        rc = jsontext_load(&f->manifest, path, 1 << 20, err);
    if (!rc && (!run_files_path(f, "model") || !run_files_path(f, "seeds")))
        rc = error_set(err, ERROR_DATA, "%s: does not name model and seeds", path);
    mem_free(path);
    return rc;
}

void run_files_free(struct run_files *f)
{
    json_decref(f->settings);
    json_decref(f->manifest);
    *f = (struct run_files){NULL, NULL};
}

/* A whole number of manifest.json; absent: 0. */
static int number_of(const struct recorded *d, const char *part, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(json_object_get(d->files.manifest, part), name));
    return value > 0 && value <= 1 << 24 ? (int)value : 0;
}

static const char *setting(const struct recorded *d, const char *name)
{
    const char *text = json_string_value(json_object_get(d->files.settings, name));
    return text && *text ? text : NULL;
}

static int read_options(struct recorded *d, struct error *err)
{
    int rc = align_options_from(&d->o, d->files.settings, d->directory, err);
    d->o.output = d->directory;
    d->o.model = run_files_path(&d->files, "model");
    d->o.seeds = run_files_path(&d->files, "seeds");
    d->o.test = setting(d, "test-sha256") ? run_files_path(&d->files, "test") : NULL;
    d->o.judge = setting(d, "judge");
    return rc ? rc : fields_check(&align_fields, &d->o, err);
}

static void read_overlap(struct recorded *d)
{
    const json_t *counts = json_object_get(d->files.manifest, "test_overlap"), /* absent in older runs */
        *threshold = json_object_get(counts, "threshold");
    d->overlap = (struct report_overlap){.threshold = counts ? json_real_value(threshold) : d->o.sift.threshold,
                                         .seeds = number_of(d, "test_overlap", "seeds"),
                                         .seeds_left_out = number_of(d, "test_overlap", "seeds_left_out"),
                                         .generated = number_of(d, "test_overlap", "generated"),
                                         .left_out = number_of(d, "test_overlap", "generated_left_out"),
                                         .kept = number_of(d, "test_overlap", "generated_kept")};
    d->n_seed = number_of(d, "seeds", "pairs");
    d->n_held = number_of(d, "seeds", "held_out");
    d->n_given = d->n_seed - d->n_held - d->overlap.seeds_left_out;
}

/* The question on a line of arms/pretrained.jsonl. */
static int read_item(struct recorded *d, const char *path, const json_t *row, int i, struct error *err)
{
    const char *question = json_string_value(json_object_get(row, "question")),
               *reference = json_string_value(json_object_get(row, "reference"));
    struct seed *item = &d->arms.items[i];
    if (!question)
        return error_set(err, ERROR_DATA, "%s:%d: wanted \"question\", a text", path, i + 1);
    item->question = arena_strdup(&d->arena, question);
    item->answer = reference ? arena_strdup(&d->arena, reference) : NULL;
    return item->question && (item->answer || !reference) ? 0 : error_set_nomem(err, strlen(question), "questions");
}

/* What the arms were asked; nothing before they were. */
static int read_items(struct recorded *d, struct error *err)
{
    char *path = path_join(d->directory, "arms/pretrained.jsonl");
    struct jsonl *reader = NULL;
    json_t *row = NULL;
    int rc = path ? 0 : error_set_nomem(err, 64, "path"), more = 1;
    if (!rc && file_exists(path))
        rc = jsonl_open(&reader, path, err);
    for (int i = 0; reader && i < d->arms.n_item && !rc && more; i++) {
        more = jsonl_next(reader, &row, err);
        rc = more < 0 ? more : 0;
        if (more != 1)
            break;
        rc = read_item(d, path, row, i, err);
        json_decref(row);
    }
    jsonl_close(reader);
    mem_free(path);
    return rc;
}

static int fact(struct recorded *d, const char *name, const char **value, struct error *err)
{
    return run_get_fact(d->run, name, value, &d->arena, err);
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* Whose verdicts the journal has. */
static int read_judge(struct recorded *d, struct error *err)
{
    const char *name = NULL, *sha256 = NULL, *labels = NULL, *threshold = NULL;
    struct arms *arms = &d->arms;
    json_t *list = NULL;
    int rc = fact(d, "judge-name", &name, err);
    rc = rc ? rc : fact(d, "judge-sha256", &sha256, err);
    rc = rc ? rc : fact(d, "judge-labels", &labels, err);
    rc = rc ? rc : fact(d, "threshold", &threshold, err);
    if (!rc && labels)
        rc = jsontext_parse(&list, jsontext_whole(labels, strlen(labels), "judge-labels"), NULL, err);
    arms->threshold = threshold ? strtod(threshold, NULL) : d->o.threshold;
    snprintf(arms->judge_name, sizeof arms->judge_name, "%s", or_empty(name));
    snprintf(arms->judge_sha256, sizeof arms->judge_sha256, "%s", or_empty(sha256));
    for (size_t i = 0; i < json_array_size(list) && arms->n_label < MODEL_MAX_LABEL; i++)
        snprintf(arms->labels[arms->n_label++], sizeof *arms->labels, "%s",
                 or_empty(json_string_value(json_array_get(list, i))));
    json_decref(list);
    return rc;
}

static int read_arms(struct recorded *d, struct error *err)
{
    struct arms *arms = &d->arms;
    const char *sha256 =
        json_string_value(json_object_get(json_object_get(d->files.manifest, "model"), "sha256")); /* of the weights */
    int n = d->o.test ? number_of(d, "test", "questions") : d->n_held, rc = arms_questions(arms, &d->o, n, err);
    rc = rc ? rc : read_items(d, err);
    rc = rc ? rc : read_judge(d, err);
    rc = rc ? rc : arms_list(arms, d->run, &d->o, or_empty(sha256), err);
    for (int i = 0; i < arms->n && !rc && n; i++)
        rc = arms_get_results(arms, &arms->list[i], d->run, &d->arena, err);
    return rc;
}

int recorded_read(struct recorded *d, struct run *run, struct error *err)
{
    *d = (struct recorded){.run = run, .directory = run_directory(run)};
    int rc = run_files_read(&d->files, run, err);
    rc = rc ? rc : read_options(d, err);
    if (rc)
        return rc;
    read_overlap(d);
    if (d->n_given < 1)
        return error_set(err, ERROR_DATA, "%s/manifest.json: says that none of %d seeds was given to the method",
                         d->directory, d->n_seed);
    return read_arms(d, err);
}

void recorded_free(struct recorded *d)
{
    arms_free(&d->arms);
    mem_free(d->attempts);
    arena_free(&d->arena);
    arena_free(&d->round_arena);
    run_files_free(&d->files);
    *d = (struct recorded){0};
}

int recorded_round(struct recorded *d, int round, int n, struct error *err)
{
    struct run_attempt *attempts = mem_resize(d->attempts, ((size_t)n + 1) * sizeof *attempts);
    if (!attempts)
        return error_set_nomem(err, (size_t)n * sizeof *attempts, "attempts");
    arena_free(&d->round_arena);
    d->attempts = attempts;
    d->n_attempt = n;
    return run_get_attempts(d->run, round, n, attempts, &d->round_arena, err);
}
