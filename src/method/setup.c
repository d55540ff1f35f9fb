/* SPDX-License-Identifier: Apache-2.0 */
/* Opening what an alignment needs and checking it before any long work: tokenizer, template, seeds, test set; and having one model in memory at a time. Tuned weights are
 * always read back from the file they were saved to, so that a run that was broken there and one that was not go on with the same bits. */
#include "method/parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "method/lint.h"

#include <string.h>

static void warn(void *user, const char *line)
{
    (void)user;
    log_line(LOG_WARNING, "%s", line);
}

/* A file, or the template itself (as config.resolved.json holds it). */
static int open_template(struct template **out, const char *file, struct error *err)
{
    if (!file)
        return template_builtin(out, err);
    return *file == '{' ? template_read(out, file, strlen(file), "--template", err) : template_load(out, file, err);
}

/* The template's words that a text must not hold, read off an empty prompt. */
int align_read_cues(struct align *a, struct error *err)
{
    struct buf ask = BUF_INIT, answer = BUF_INIT;
    template_ask(a->template, NULL, 0, &ask, NULL);
    template_tune_prompt(a->template, "\x01", &answer, NULL);
    int rc = ask.failed || answer.failed ? error_set_nomem(err, 64, "template") : 0;
    if (!rc) {
        while (ask.len && (unsigned char)ask.data[ask.len - 1] <= ' ')
            ask.data[--ask.len] = 0;
        const char *ask_text = ask.data ? ask.data : "", *behind = answer.data ? strchr(answer.data, 1) : NULL;
        const char *line = strrchr(ask_text, '\n');
        snprintf(a->ask_cue, sizeof a->ask_cue, "%s", line ? line + 1 : ask_text);
        behind = behind ? behind + 1 : "";
        while (*behind && (unsigned char)*behind <= ' ')
            behind++;
        snprintf(a->answer_cue, sizeof a->answer_cue, "%s", behind);
    }
    buf_free(&ask);
    buf_free(&answer);
    return rc;
}

/* Every seed must fit into the context beside a question of its own. */
static int check_lengths(struct align *a, const struct seeds *s, const char *path, struct error *err)
{
    struct tokens ids = TOKENS_INIT;
    int rc = 0;
    for (int i = 0; i < s->n && !rc; i++) {
        struct buf text = BUF_INIT;
        struct text_spans people = {0};
        struct example e = {s->items[i].question, s->items[i].answer ? s->items[i].answer : ""};
        template_answer(a->template, &e, 1, "", &text, &people);
        rc = text.failed ? error_set_nomem(err, text.len, "a prompt") : align_encode_prompt(a, &text, &people, &ids, err);
        if (!rc && (int)ids.n + 16 > a->desc.n_ctx)
            rc = error_set(err, ERROR_DATA, "%s:%ld: the pair has %zu tokens and does not fit into the model's context of %d; shorten or strike it", path,
                           s->items[i].line, ids.n, a->desc.n_ctx);
        buf_free(&text);
        text_spans_free(&people);
    }
    tokens_free(&ids);
    return rc;
}

/* Tokens of a pair as it stands among others: a prompt with it less one without. */
static int pair_tokens(const struct align *a, const struct seed *s, size_t empty, int *n, struct error *err)
{
    struct buf text = BUF_INIT;
    struct text_spans people = {0};
    struct tokens ids = TOKENS_INIT;
    const struct example e = {s->question, s->answer ? s->answer : ""};
    template_answer(a->template, &e, 1, "", &text, &people);
    int rc = text.failed ? error_set_nomem(err, text.len, "a prompt") : align_encode_prompt(a, &text, &people, &ids, err);
    *n = ids.n > empty ? (int)(ids.n - empty) : 1;
    buf_free(&text);
    text_spans_free(&people);
    tokens_free(&ids);
    return rc;
}

int align_warn_contexts(const struct align *a, int new_tokens, struct error *err)
{
    struct buf text = BUF_INIT;
    struct tokens ids = TOKENS_INIT;
    double sum = 0;
    template_answer(a->template, NULL, 0, "", &text, NULL);
    int rc = text.failed ? error_set_nomem(err, text.len, "a prompt") : align_encode_prompt(a, &text, NULL, &ids, err);
    for (int i = 0; i < a->n_given && !rc; i++) {
        int n = 0;
        rc = pair_tokens(a, &a->seeds.items[a->given[i]], ids.n, &n, err);
        sum += n;
    }
    double mean = a->n_given ? sum / a->n_given : 0, question = mean / 2, room = a->desc.n_ctx - new_tokens - (double)ids.n - question;
    if (!rc && mean > 0 && mean * a->o.k > room)
        log_line(LOG_WARNING, "--k %d: about %d pairs of the seeds' mean length (%.0f tokens) fit into a context of %d beside the question and %d new tokens; the farthest ones are dropped",
                 a->o.k, room < mean ? 0 : (int)(room / mean), mean, a->desc.n_ctx, new_tokens);
    if (!rc && a->o.k > a->n_given)
        log_line(LOG_WARNING, "--k %d: there are %d pairs, so no prompt can hold more", a->o.k, a->n_given);
    buf_free(&text);
    tokens_free(&ids);
    return rc;
}

/* Which seeds are kept out of the method: one in eight by the run's seed, or as many as asked. */
static int split_seeds(struct align *a, struct error *err)
{
    int n = a->seeds.n, holdout = a->o.holdout < 0 ? (a->o.test ? 0 : n / 8) : a->o.holdout;
    a->given = mem_calloc((size_t)n + 1, sizeof *a->given);
    a->held = mem_calloc((size_t)n + 1, sizeof *a->held);
    int *drawn = mem_calloc((size_t)n + 1, sizeof *drawn);
    if (!a->given || !a->held || !drawn) {
        mem_free(drawn);
        return error_set_nomem(err, (size_t)n * sizeof *drawn, "seeds");
    }
    int rc = 0;
    int left_out = a->o.keep_test_overlap ? 0 : a->overlap.seeds;
    if (left_out && n - holdout - left_out < a->o.k + 1)
        rc = error_set(err, ERROR_DATA, "%s: %d of %d pairs are questions of %s and left out; wanted at least %d others (k and one more); take others, or say --keep-test-overlap",
                       a->o.seeds, left_out, n, a->o.test, a->o.k + 1);
    else if (n - holdout < a->o.k + 1)
        rc = error_set(err, ERROR_DATA, "%s: %d pairs, %d of them held out; wanted at least %d for the method (k and one more); give more seeds or a smaller --k",
                       a->o.seeds, n, holdout, a->o.k + 1);
    int n_drawn = rc ? 0 : retrieve_random(&(struct rng_stream){a->o.seed, PHASE_CONTEXTS, UINT64_MAX}, n, holdout, drawn);
    for (int i = 0; i < n; i++) {
        int out = 0;
        for (int j = 0; j < n_drawn; j++)
            out |= drawn[j] == i;
        if (a->in_test[i] && !a->o.keep_test_overlap)
            continue;
        if (out)
            a->held[a->n_held++] = i;
        else
            a->given[a->n_given++] = i;
    }
    mem_free(drawn);
    return rc;
}

static int open_data(struct align *a, struct error *err)
{
    int rc = seeds_read(&a->seeds, a->o.seeds, 1, err), same, similar;
    long line;
    if (rc || (rc = seeds_lint(&a->seeds, a->o.seeds, a->o.k + 1, warn, NULL, err)) || (rc = check_lengths(a, &a->seeds, a->o.seeds, err)))
        return rc;
    log_line(LOG_INFO, "%s: %d pairs (%s)", a->o.seeds, a->seeds.n, a->seeds.format);
    if (a->o.test) {
        if ((rc = seeds_read(&a->test, a->o.test, 0, err)) || (rc = check_lengths(a, &a->test, a->o.test, err)) ||
            (rc = seeds_overlap(&a->seeds, &a->test, &same, &similar, &line, err)))
            return rc;
        if (same || similar)
            log_line(LOG_WARNING, "%s: %d test questions are seeds%s and %d are much like one (ROUGE-L above 0.7), first on line %ld", a->o.test, same,
                     same && !a->o.keep_test_overlap ? ", which are left out," : "", similar, line);
    }
    rc = align_open_overlap(a, err);
    return rc ? rc : split_seeds(a, err);
}

/* Of another model that the results depend on: its weights and its other files. */
static int hash_model(struct align *a, const char *path, const char *prefix, struct error *err)
{
    struct checkpoint *ck = NULL;
    char key[64], hex[65] = "";
    snprintf(key, sizeof key, "%sweights", prefix);
    int rc = checkpoint_open(&ck, path, err);
    rc = rc ? rc : checkpoint_sha256(ck, hex, err);
    rc = rc ? rc : checkpoint_side_sha256(ck, prefix, a->files, err);
    if (!rc && json_object_set_new(a->files, key, json_string(hex)))
        rc = error_set_nomem(err, 128, "hashes of the model's files");
    checkpoint_close(ck);
    return rc;
}

static int hash_files(struct align *a, struct error *err)
{
    a->files = json_object();
    int rc = a->files ? checkpoint_side_sha256(a->source, "model/", a->files, err) : error_set_nomem(err, 64, "hashes of the model's files");
    if (!rc && a->o.encoder && a->o.retriever == ALIGN_RETRIEVER_ENCODER)
        rc = hash_model(a, a->o.encoder, "encoder/", err);
    return rc || !a->o.judge ? rc : hash_model(a, a->o.judge, "judge/", err);
}

int align_open_parts(struct align *a, struct error *err)
{
    const struct align_options *o = &a->o;
    int rc = checkpoint_open(&a->source, o->model, err);
    if (rc || (rc = model_desc_parse(&a->desc, checkpoint_config(a->source), checkpoint_path(a->source), err)) ||
        (rc = tokenizer_open(&a->tokenizer, checkpoint_path(a->source), err)) ||
        (rc = open_template(&a->template, o->template_file, err)) || (rc = align_read_cues(a, err)))
        return rc;
    if ((rc = hash_files(a, err)))
        return rc;
    return a->desc.task == MODEL_LM ? 0 : error_set(err, ERROR_DATA, "%s: is a classifier; wanted a language model", o->model);
}

/* What is used at the end only must be there at the beginning. */
static int check_model(const char *path, struct error *err)
{
    struct checkpoint *ck = NULL;
    int rc = path && *path ? checkpoint_open(&ck, path, err) : 0;
    checkpoint_close(ck);
    return rc;
}

int align_open_inputs(struct align *a, struct device *device, const struct align_options *o, struct error *err)
{
    *a = (struct align){.o = *o, .device = device};
    a->o.train.dtype = o->dtype == DTYPE_Q8 ? DTYPE_BF16 : o->dtype; /* there is no gradient of whole numbers */
    a->o.train.seed = o->seed;
    int rc = align_open_parts(a, err);
    if (rc)
        return rc;
    align_end_ids(a, &a->o.ask);
    align_end_ids(a, &a->o.answer);
    int ask = a->o.ask.max_new_tokens, answer = a->o.answer.max_new_tokens;
    rc = open_data(a, err);
    if (!rc)
        rc = align_warn_contexts(a, ask > answer ? ask : answer, err);
    if (!rc)
        rc = check_model(o->encoder, err);
    return rc ? rc : check_model(o->judge, err);
}

int align_open(struct align *a, struct device *device, const struct align_options *o, struct error *err)
{
    int rc = align_open_inputs(a, device, o, err);
    return rc ? rc : checkpoint_sha256(a->source, a->source_sha256, err);
}

void align_close(struct align *a)
{
    run_close(a->run);
    retriever_free(a->retriever);
    model_close(a->model);
    mem_free(a->model_path);
    mem_free(a->pool);
    mem_free(a->kept);
    mem_free(a->given);
    mem_free(a->held);
    mem_free(a->in_test);
    sift_free(a->test_questions);
    mem_free(a->attempts);
    seeds_free(&a->seeds);
    seeds_free(&a->test);
    template_free(a->template);
    tokenizer_close(a->tokenizer);
    checkpoint_close(a->source);
    json_decref(a->files);
    arena_free(&a->arena);
    arena_free(&a->round_arena);
    *a = (struct align){0};
}

int align_load(struct align *a, const char *path, enum dtype dtype, struct error *err)
{
    struct checkpoint *ck = NULL;
    struct model_options o = {.dtype = dtype, .task = MODEL_LM, .check_finite = 1};
    if (a->model && a->model_path && !strcmp(a->model_path, path) && model_dtype(a->model) == dtype)
        return 0;
    model_close(a->model);
    mem_free(a->model_path);
    a->model = NULL;
    a->model_path = mem_strdup(path);
    int rc = a->model_path ? checkpoint_open(&ck, path, err) : error_set_nomem(err, strlen(path), "path");
    if (!rc)
        rc = model_open(&a->model, a->device, ck, &o, err);
    checkpoint_close(ck);
    return rc;
}

int align_load_pretrained(struct align *a, struct error *err)
{
    return align_load(a, checkpoint_path(a->source), a->o.dtype, err);
}

char *align_round_file(const struct align *a, int round, const char *name)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s/round-%d%s%s", a->o.output, round, *name ? "/" : "", name);
    return buf_take(&b);
}

char *align_model_path(const struct align *a, int round)
{
    return round ? align_round_file(a, round, "model") : mem_strdup(checkpoint_path(a->source));
}

int align_prompt_flags(const struct align *a)
{
    if (!a->style)
        return TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL;
    return a->style->special ? TOKENIZER_PARSE_SPECIAL : TOKENIZER_ADD_SPECIAL;
}

int align_encode_prompt(const struct align *a, const struct buf *text, const struct text_spans *people, struct tokens *out, struct error *err)
{
    int flags = align_prompt_flags(a);
    out->n = 0;
    int rc = tokenizer_encode_mixed(a->tokenizer, text->data ? text->data : "", text->len, people, flags, out, err);
    if (!rc && flags & TOKENIZER_ADD_SPECIAL)
        out->n = pair_without_end(a->tokenizer, out->ids, out->n);
    return rc;
}

void align_end_ids(const struct align *a, struct generate_options *o)
{
    if (o->n_eos)
        return;
    int eos = (int)tokenizer_info(a->tokenizer)->eos, has = 0;
    for (int i = 0; i < a->desc.n_eos; i++) {
        o->eos_ids[o->n_eos++] = a->desc.eos_ids[i];
        has |= a->desc.eos_ids[i] == eos;
    }
    if (!has && eos >= 0 && o->n_eos < MODEL_MAX_EOS) /* what tuning appends ends an answer whatever generation_config.json lists */
        o->eos_ids[o->n_eos++] = eos;
}

struct example align_example(const struct align *a, int pool_index)
{
    return (struct example){a->pool[pool_index].question, a->pool[pool_index].answer};
}
