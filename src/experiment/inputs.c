/* SPDX-License-Identifier: Apache-2.0 */
/* Files and models by their content: what a job reads is known by its SHA-256, wherever it lies. Files that are cut out
 * of those given (the first pairs of the seeds, the questions of a test set) are OUTPUT/work/inputs/SHA256.jsonl. */
#include "experiment/parts.h"

#include "answer/seeds.h"
#include "base/hash.h"
#include "base/mem.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "io/jsonl.h"

#include <stdlib.h>
#include <string.h>

struct known {
    struct input input;
    enum input_form form;
    struct known *next;
};
struct known_model {
    const char *path, *digest;
    struct known_model *next;
};
struct inputs {
    const char *directory;
    int dry_run;
    struct arena arena;
    struct known *files;
    struct known_model *models;
};

int inputs_open(struct inputs **out, const char *directory, int dry_run, struct error *err)
{
    struct inputs *x = *out = mem_calloc(1, sizeof *x);
    if (!x)
        return error_set_nomem(err, sizeof *x, "files");
    x->directory = directory;
    x->dry_run = dry_run;
    return 0;
}

void inputs_close(struct inputs *x)
{
    if (!x)
        return;
    arena_free(&x->arena);
    mem_free(x);
}

/* The records' pairs or questions, as JSON Lines. */
static int cut(const char *source, enum input_form form, int limit, struct buf *out, struct error *err)
{
    struct seeds s = {0};
    int rc = seeds_read(&s, source, form == INPUT_PAIRS, err);
    if (!rc && limit > s.n)
        rc = error_set(err, ERROR_DATA, "%s: wanted %d pairs, found %d; take smaller seed_counts or more seeds", source,
                       limit, s.n);
    for (int i = 0; i < (limit ? limit : s.n) && !rc; i++) {
        const struct seed *p = &s.items[i];
        json_t *record = form == INPUT_PAIRS ? json_pack("{s:s, s:s}", "question", p->question, "answer", p->answer)
                                             : json_pack("{s:s}", "prompt", p->question);
        rc = jsontext_dump(out, record, 0, err);
        buf_putc(out, '\n');
        json_decref(record);
    }
    seeds_free(&s);
    return rc || !out->failed ? rc : error_set_nomem(err, out->len, "a file");
}

static int write_cut(const struct inputs *x, struct input *in, const struct buf *text, struct arena *arena,
                     struct error *err)
{
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s/work/inputs", x->directory ? x->directory : "");
    int rc = x->dry_run ? 0 : dirs_make(buf_text(&path), err);
    buf_printf(&path, "/%s.jsonl", in->sha256);
    in->path = path.failed ? NULL : arena_strdup(arena, buf_text(&path));
    rc = rc || in->path ? rc : error_set_nomem(err, path.len, "a path");
    if (!rc && !x->dry_run && !file_exists(in->path))
        rc = file_write(in->path, buf_text(text), text->len, err);
    buf_free(&path);
    return rc;
}

/* Rows that have "prompt" are BeaverTails' own. */
static int has_prompts(const char *path)
{
    struct jsonl *r = NULL;
    json_t *record = NULL;
    int found = !jsonl_open(&r, path, NULL) && jsonl_next(r, &record, NULL) == 1 && json_object_get(record, "prompt");
    json_decref(record);
    jsonl_close(r);
    return found;
}

int inputs_get(struct inputs *x, const char *source, enum input_form form, int limit, const struct input **out,
               struct error *err)
{
    for (struct known *k = x->files; k; k = k->next)
        if (k->form == form && k->input.limit == limit && !strcmp(k->input.source, source)) {
            *out = &k->input;
            return 0;
        }
    struct known *k = arena_alloc(&x->arena, sizeof *k);
    const char *kept = arena_strdup(&x->arena, source);
    struct buf text = BUF_INIT;
    int rc = k && kept ? 0 : error_set_nomem(err, strlen(source), "a file");
    if (rc)
        return rc;
    *k = (struct known){
        .input = {.path = kept, .source = kept, .limit = limit, .n = -1}, .form = form, .next = x->files};
    int whole =
        form == INPUT_AS_IS || (form == INPUT_PAIRS && !limit) || (form == INPUT_PROMPTS && has_prompts(source));
    if (whole) {
        rc = sha256_file(kept, k->input.sha256, err);
    } else {
        rc = cut(source, form, limit, &text, err);
        sha256_bytes(buf_text(&text), text.len, k->input.sha256);
        rc = rc ? rc : write_cut(x, &k->input, &text, &x->arena, err);
    }
    buf_free(&text);
    x->files = rc ? x->files : k;
    *out = rc ? NULL : &k->input;
    return rc;
}

/* Each question once, from rows of prompts or from pairs. */
static int add_questions(const char *source, struct buf *out, struct error *err)
{
    struct seeds s = {0};
    json_t *rows = NULL, *row, *seen = json_object();
    size_t at;
    int prompts = has_prompts(source);
    int rc = prompts ? jsonl_load(&rows, source, err) : seeds_read(&s, source, 0, err);
    for (int i = 0; i < s.n && !rc; i++) {
        json_t *record = json_pack("{s:s, s:s*}", "question", s.items[i].question, "answer", s.items[i].answer);
        rc = jsontext_dump(out, record, 0, err);
        buf_putc(out, '\n');
        json_decref(record);
    }
    json_array_foreach(rows, at, row)
    {
        const char *prompt = json_string_value(json_object_get(row, "prompt"));
        if (rc || !prompt || json_object_get(seen, prompt))
            continue;
        json_object_set_new(seen, prompt, json_true());
        json_t *record = json_pack("{s:s}", "question", prompt);
        rc = jsontext_dump(out, record, 0, err);
        buf_putc(out, '\n');
        json_decref(record);
    }
    json_decref(seen);
    json_decref(rows);
    seeds_free(&s);
    return rc || !out->failed ? rc : error_set_nomem(err, out->len, "questions");
}

int inputs_questions(struct inputs *x, const struct spec_files *tests, const struct input **out, struct error *err)
{
    struct buf text = BUF_INIT;
    int rc = 0;
    if (tests->n == 1 && !has_prompts(tests->items[0].path))
        return inputs_get(x, tests->items[0].path, INPUT_AS_IS, 0, out, err);
    struct input *in = arena_alloc(&x->arena, sizeof *in);
    if (!in)
        return error_set_nomem(err, sizeof *in, "questions");
    *in = (struct input){.source = tests->items[0].path, .n = -1};
    for (int i = 0; i < tests->n && !rc; i++)
        rc = add_questions(tests->items[i].path, &text, err);
    sha256_bytes(buf_text(&text), text.len, in->sha256);
    rc = rc ? rc : write_cut(x, in, &text, &x->arena, err);
    buf_free(&text);
    *out = rc ? NULL : in;
    return rc;
}

int inputs_count(const struct input *in, int *n, struct error *err)
{
    json_t *rows = NULL;
    int rc = in->n < 0 ? jsonl_load(&rows, in->source, err) : 0;
    *n = in->n < 0 ? (int)json_array_size(rows) : in->n;
    *n = in->limit && in->limit < *n ? in->limit : *n;
    json_decref(rows);
    return rc;
}

static int digest_model(const char *path, char digest[65], struct error *err)
{
    struct checkpoint *ck = NULL;
    char sha256[65] = "";
    json_t *files = json_object();
    int rc = files ? checkpoint_open(&ck, path, err) : error_set_nomem(err, 64, "hashes of a model's files");
    rc = rc ? rc : checkpoint_sha256(ck, sha256, err);
    rc = rc ? rc : checkpoint_side_sha256(ck, "", files, err);
    json_object_set_new(files, "weights", json_string(sha256));
    char *text = rc ? NULL : json_dumps(files, JSON_SORT_KEYS | JSON_COMPACT);
    if (!rc && !text)
        rc = error_set_nomem(err, 256, "hashes of a model's files");
    if (!rc)
        sha256_bytes(text, strlen(text), digest);
    free(text);
    json_decref(files);
    checkpoint_close(ck);
    return rc;
}

int inputs_model(struct inputs *x, const char *path, const char **digest, struct error *err)
{
    char hex[65];
    for (struct known_model *m = x->models; m; m = m->next)
        if (!strcmp(m->path, path)) {
            *digest = m->digest;
            return 0;
        }
    struct known_model *m = arena_alloc(&x->arena, sizeof *m);
    int rc = m ? digest_model(path, hex, err) : error_set_nomem(err, 64, "a model");
    if (rc)
        return rc;
    *m = (struct known_model){arena_strdup(&x->arena, path), arena_strdup(&x->arena, hex), x->models};
    if (!m->path || !m->digest)
        return error_set_nomem(err, 64, "a model");
    x->models = m;
    *digest = m->digest;
    return 0;
}
