/* SPDX-License-Identifier: Apache-2.0 */
/* Files and models by their content: what a job reads is known by its SHA-256, wherever it lies. Files that are cut out
 * of those given (the first pairs of the seeds, the questions of a test set, what stands in the fields that were named)
 * are OUTPUT/work/inputs/SHA256.jsonl. */
#include "experiment/parts.h"

#include "base/hash.h"
#include "base/mem.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "io/jsonl.h"
#include "io/record_reader.h"

#include <stdlib.h>
#include <string.h>

struct known {
    struct input input;
    enum input_form form;
    int by_fields; /* it has those that the experiment names */
    struct known *next;
};
struct known_model {
    const char *path, *digest;
    struct known_model *next;
};
struct inputs {
    const struct experiment *of;
    struct arena arena;
    struct known *files;
    struct known_model *models;
};

int inputs_open(struct inputs **out, const struct experiment *of, struct error *err)
{
    struct inputs *x = *out = mem_calloc(1, sizeof *x);
    if (!x)
        return error_set_nomem(err, sizeof *x, "files");
    x->of = of;
    return 0;
}

void inputs_close(struct inputs *x)
{
    if (!x)
        return;
    arena_free(&x->arena);
    mem_free(x);
}

static struct record_source source_of(const struct inputs *x, const char *path, int again)
{
    return (struct record_source){path, x->of->spec.question_field, x->of->spec.answer_field, again};
}

/* Whether the file has the fields that the experiment names; warns when it has not. */
static int has_fields(const struct inputs *x, const char *path, int *has, struct error *err)
{
    struct record_source source = source_of(x, path, 0);
    struct record_reader *r = NULL;
    json_t *record = NULL;
    *has = 0;
    if (!source.question_field && !source.answer_field)
        return 0;
    for (const struct known *k = x->files; k; k = k->next)
        source.again |= k->form != INPUT_AS_IS && !strcmp(k->input.source, path);
    int rc = record_reader_open(&r, source, err);
    rc = rc ? rc : record_reader_next(r, &record, err);
    *has = rc == 1 && record_reader_by_fields(r);
    json_decref(record);
    record_reader_close(r);
    return rc < 0 ? rc : 0;
}

static json_t *record_of(const struct seed *p, enum input_form form)
{
    if (form == INPUT_PROMPTS)
        return json_pack("{s:s}", "prompt", p->question);
    if (form == INPUT_PAIRS)
        return json_pack("{s:s, s:s}", "question", p->question, "answer", p->answer);
    return json_pack("{s:s, s:s, s:s*}", "id", p->id, "question", p->question, "answer", p->answer);
}

/* The records' pairs or questions, as JSON Lines. */
static int cut(const struct inputs *x, const struct known *k, struct buf *out, struct error *err)
{
    struct seeds s = {0};
    const int limit = k->input.limit;
    const char *source = k->input.source;
    int rc = seeds_read_fields(&s, source_of(x, source, 1), k->form == INPUT_PAIRS, err);
    if (!rc && limit > s.n)
        rc = error_set(err, ERROR_DATA, "%s: wanted %d pairs, found %d; take smaller seed_counts or more seeds", source,
                       limit, s.n);
    for (int i = 0; i < (limit ? limit : s.n) && !rc; i++) {
        json_t *record = record_of(&s.items[i], k->form);
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
    const struct experiment_options *o = &x->of->o;
    buf_printf(&path, "%s/work/inputs", o->output ? o->output : "");
    int rc = o->dry_run ? 0 : dirs_make(buf_text(&path), err);
    buf_printf(&path, "/%s.jsonl", in->sha256);
    in->path = path.failed ? NULL : arena_strdup(arena, buf_text(&path));
    rc = rc || in->path ? rc : error_set_nomem(err, path.len, "a path");
    if (!rc && !o->dry_run && !file_exists(in->path))
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

/* A file that is taken as it was given. */
static int is_whole(const struct known *k)
{
    if (k->form == INPUT_AS_IS || k->by_fields)
        return !k->by_fields;
    if (k->form == INPUT_PROMPTS)
        return has_prompts(k->input.source);
    return !k->input.limit;
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
    rc = form == INPUT_AS_IS ? 0 : has_fields(x, kept, &k->by_fields, err);
    if (!rc && is_whole(k)) {
        rc = sha256_file(kept, k->input.sha256, err);
    } else if (!rc) {
        rc = cut(x, k, &text, err);
        sha256_bytes(buf_text(&text), text.len, k->input.sha256);
        rc = rc ? rc : write_cut(x, &k->input, &text, &x->arena, err);
    }
    buf_free(&text);
    x->files = rc ? x->files : k;
    *out = rc ? NULL : &k->input;
    return rc;
}

/* Each question once, from rows of prompts or from pairs. */
static int add_questions(const struct inputs *x, const char *source, struct buf *out, struct error *err)
{
    struct seeds s = {0};
    json_t *rows = NULL, *row, *seen = json_object();
    size_t at;
    int by_fields, rc = has_fields(x, source, &by_fields, err);
    if (!rc && !by_fields && has_prompts(source))
        rc = jsonl_load(&rows, source, err);
    else if (!rc)
        rc = seeds_read_fields(&s, source_of(x, source, 1), 0, err);
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
    int by_fields, rc = has_fields(x, tests->items[0].path, &by_fields, err);
    if (!rc && tests->n == 1 && (by_fields || !has_prompts(tests->items[0].path)))
        return inputs_get(x, tests->items[0].path, INPUT_QUESTIONS, 0, out, err);
    struct input *in = arena_alloc(&x->arena, sizeof *in);
    if (rc || !in)
        return rc ? rc : error_set_nomem(err, sizeof *in, "questions");
    *in = (struct input){.source = tests->items[0].path, .n = -1};
    for (int i = 0; i < tests->n && !rc; i++)
        rc = add_questions(x, tests->items[i].path, &text, err);
    sha256_bytes(buf_text(&text), text.len, in->sha256);
    rc = rc ? rc : write_cut(x, in, &text, &x->arena, err);
    buf_free(&text);
    *out = rc ? NULL : in;
    return rc;
}

int inputs_seeds(const struct inputs *x, const struct input *in, struct seeds *out, struct error *err)
{
    return seeds_read_fields(out, source_of(x, in->source, 1), 1, err);
}

int inputs_count(const struct input *in, int *n, struct error *err)
{
    json_t *rows = NULL;
    if (path_is_text(in->source)) {
        *n = 1;
        return 0;
    }
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
