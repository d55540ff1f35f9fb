/* SPDX-License-Identifier: Apache-2.0 */
/* isara inspect: a model, a file of records, the training rows of such a file with their masks, what a run has done so
 * far, or one of its attempts generated again. */
#include "cli/parts.h"

#include "base/log.h"
#include "base/printable.h"
#include "base/mem.h"
#include "io/file.h"
#include "method/method.h"
#include "run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int inspect_model(struct cli_model *p, const struct cli_values *v, struct error *err)
{
    struct model_desc d;
    char sha[65];
    int rc = checkpoint_open(&p->checkpoint, v->model, err);
    if (!rc)
        rc = model_desc_parse(&d, checkpoint_config(p->checkpoint), checkpoint_path(p->checkpoint), err);
    if (!rc)
        rc = checkpoint_sha256(p->checkpoint, sha, err);
    if (rc)
        return rc;
    printf("path      %s\nfamily    %s%s\nshape     %d layers, %d wide, %d heads over %d, head size %d, feed-forward "
           "%d, vocabulary %d%s, context %d\n",
           checkpoint_path(p->checkpoint), d.family, d.task == MODEL_CLASSIFY ? ", classifier" : "", d.n_layer,
           d.n_embd, d.n_head, d.n_kv_head, d.head_dim, d.n_ff, d.n_vocab, d.tied ? " (tied)" : "", d.n_ctx);
    printf("size      %.3fM parameters, stored as %s\nsha256    %s\n", d.n_param * 1e-6,
           dtype_name(checkpoint_dtype(p->checkpoint)), sha);
    struct error reason = {0};
    if (tokenizer_open_of(&p->tokenizer, p->checkpoint, &reason)) {
        printable(reason.message);
        printf("tokenizer none: %s\n", reason.message);
    } else {
        const struct tokenizer_info *t = tokenizer_info(p->tokenizer);
        printf("tokenizer %s, %d ids, bos %d%s, eos %d%s, pad %d%s\n", t->model, (int)tokenizer_size(p->tokenizer),
               (int)t->bos, t->add_bos ? " (added)" : "", (int)t->eos, t->add_eos ? " (added)" : "", (int)t->pad,
               t->chat_template ? ", with a chat template" : "");
    }
    for (size_t i = 0; i < checkpoint_n_tensor(p->checkpoint); i++) {
        const struct tensor_info *t = checkpoint_tensor(p->checkpoint, i);
        char name[256];
        printf("  %-56s %-5s [", printable_copy(name, sizeof name, t->name), storage_name(t->storage));
        for (int j = 0; j < t->n_dim; j++)
            printf("%s%lld", j ? ", " : "", (long long)t->shape[j]);
        puts("]");
    }
    return 0;
}

/* Targets in green, the rest grey, neighbours in two shades; without colour targets stand in brackets and other tokens
 * end with a bar. */
static void print_row(const struct train_row *row, const struct tokenizer *t, int color)
{
    static const char *const colors[2][2] = {{"\033[90m", "\033[2m"}, {"\033[92m", "\033[32m"}}; /* by target */
    int n_target = 0;
    for (int i = 0; i < row->n; i++)
        n_target += row->target[i];
    char id[256];
    printf("--- row %s: %d tokens, %d targets\n", printable_copy(id, sizeof id, row->id), row->n, n_target);
    for (int i = 0; i < row->n; i++) {
        struct buf piece = BUF_INIT;
        if (t)
            tokenizer_decode(t, &row->ids[i], 1, 0, &piece, NULL);
        else
            buf_printf(&piece, "%d ", row->ids[i]);
        const char *text = piece.data ? piece.data : "";
        if (piece.data)
            printable(piece.data);
        if (color)
            printf("%s%s\033[0m", colors[row->target[i] ? 1 : 0][i & 1], text);
        else
            printf(row->target[i] ? "[%s]" : "%s|", text);
        buf_free(&piece);
    }
    puts("");
}

/* NO_COLOR with any value, CLICOLOR=0 and TERM=dumb mean no; CLICOLOR_FORCE and FORCE_COLOR mean yes, terminal or
 * not. */
static int use_color(void)
{
    const char *no = getenv("NO_COLOR"), *click = getenv("CLICOLOR"), *term = getenv("TERM"),
               *force = getenv("CLICOLOR_FORCE");
    force = force && *force ? force : getenv("FORCE_COLOR");
    if ((no && *no) || (click && !strcmp(click, "0")))
        return 0;
    return force && *force && strcmp(force, "0") ? 1 : isatty(1) && !(term && !strcmp(term, "dumb"));
}

static int inspect_data(struct cli_model *p, struct options *options, const struct cli_values *v, struct error *err)
{
    struct train_data data = {0};
    struct train_options o;
    struct model_desc d;
    train_options_default(&o);
    int rc = options_apply(options, SCOPE_PLAIN, GROUP_TRAIN, &o, err);
    if (!rc)
        rc = cli_open_tokenizer(p, v, 0, err);
    if (!rc)
        rc = model_desc_parse(&d, checkpoint_config(p->checkpoint), checkpoint_path(p->checkpoint), err);
    if (!rc)
        rc = train_data_read(&data, cli_source(v, v->data),
                             &(struct row_maker){.tokenizer = p->tokenizer, .desc = &d, .max_length = o.max_length},
                             err);
    if (rc)
        return rc;
    for (int i = 0; i < data.n; i++)
        print_row(&data.rows[i], p->tokenizer, use_color());
    printf("%d rows, %ld tokens, %ld targets; %d tokenise differently together, %d cut, %d dropped\n", data.n,
           data.n_token, data.n_target, data.n_boundary, data.n_truncated, data.n_dropped);
    if (data.n_turn)
        printf("%d assistant turns, %d not trained\n", data.n_turn, data.n_turn_skipped);
    if (data.n_left_out)
        printf("%d rows with \"kept\": false left out\n", data.n_left_out);
    if (data.n_unsafe)
        printf("%d rows marked unsafe left out\n", data.n_unsafe);
    train_data_free(&data);
    return 0;
}

/* A round's texts and verdicts, counted from the journal. */
static int inspect_round(struct run *run, int t, const struct run_round *round, struct error *err)
{
    struct arena arena = ARENA_INIT;
    int counts[SIFT_REASON_COUNT] = {0}, asked = 0, answered = 0;
    struct run_attempt *attempts = mem_calloc((size_t)round->attempts + 1, sizeof *attempts);
    int rc = attempts ? run_get_attempts(run, t, round->attempts, attempts, &arena, err)
                      : error_set_nomem(err, (size_t)round->attempts * sizeof *attempts, "attempts");
    for (int i = 0; i < round->attempts && !rc; i++) {
        int reason = attempts[i].verdict.reason ? sift_reason_find(attempts[i].verdict.reason) : -1;
        asked += attempts[i].question.text != NULL;
        answered += attempts[i].answer.text != NULL;
        if (reason >= 0)
            counts[reason]++;
    }
    if (!rc)
        printf("round %-3d %s: %d attempts, %d asked, %d answered, %d kept, %ld optimizer steps%s%s\n", t,
               run_state_name(round->state), round->attempts, asked, answered, round->kept, round->steps,
               round->model_sha256[0] ? ", model " : "", round->model_sha256);
    for (int i = 1; i < SIFT_REASON_COUNT && !rc; i++)
        if (counts[i])
            printf("  %5d  %s\n", counts[i], sift_reason_text((enum sift_reason)i));
    mem_free(attempts);
    arena_free(&arena);
    return rc;
}

static int holds(const char *path, const char *name)
{
    char *file = path_join(path, name);
    int there = file && file_exists(file);
    mem_free(file);
    return there;
}

/* What came out of it so far: what align ends with. */
static int show_results(const char *path, int as_json, struct error *err)
{
    struct isara_error problem = {0};
    struct isara_report report = {NULL, NULL};
    isara_results(path, &report, &problem);
    if (!as_json && report.text)
        puts("");
    cli_show_report(&report, as_json);
    return cli_error(&problem, err);
}

static int inspect_run(const char *path, struct error *err)
{
    struct run *run = NULL;
    struct run_round round;
    json_t *settings = NULL;
    int done = 0, rc = run_open_readonly(&run, path, err);
    if (!rc)
        rc = run_settings(run, &settings, err);
    if (!rc && !settings)
        rc = error_set(err, ERROR_DATA, "%s: the run was never begun", path);
    if (!rc)
        rc = run_check(run, &(struct run_bounds){.reason = sift_reason_find}, err);
    if (!rc)
        printf("path      %s\nbegun with --rounds %d --attempts %d --k %d --dtype %s --seed %s; every option is in "
               "config.resolved.json\n",
               path, (int)json_integer_value(json_object_get(settings, "rounds")),
               (int)json_integer_value(json_object_get(settings, "attempts")),
               (int)json_integer_value(json_object_get(settings, "k")),
               json_string_value(json_object_get(settings, "dtype")),
               json_string_value(json_object_get(settings, "seed")));
    for (int t = 1; !rc && !(rc = run_get_round(run, t, &round, err)) && round.state != RUN_STATE_NONE; t++)
        if (!(rc = inspect_round(run, t, &round, err)))
            done += round.state == RUN_STATE_DONE;
    json_decref(settings);
    run_close(run);
    return rc || !done || !holds(path, "manifest.json") ? rc : show_results(path, 0, err);
}

static int replay(struct cli_model *p, const struct cli_values *v, const char *run, struct error *err)
{
    struct buf text = BUF_INIT;
    int same = 0, rc = cli_open_device(p, v, err);
    if (!rc)
        rc = method_replay(p->device, run, v->replay, &same, &text, err);
    if (!rc) {
        fputs(text.data ? text.data : "", stdout);
        if (!same)
            rc = error_set(err, ERROR_FAILED, "%s: attempt %s came out different", run, v->replay);
    }
    buf_free(&text);
    return rc;
}

/* Standard input, and any file that is no model. */
static int is_records(const char *path)
{
    return !strcmp(path, "-") || (file_exists(path) && !file_is_directory(path) && !path_ends_in(path, ".gguf") &&
                                  !path_ends_in(path, ".safetensors") && !path_ends_in(path, ".bin"));
}

int verb_inspect(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    struct cli_model p = {0};
    struct cli_values with = *v;
    const char *path = options->n_rest ? options->rest[0] : v->model;
    int rc;
    if (v->replay)
        rc = path ? replay(&p, v, path, err)
                  : error_set(err, ERROR_USAGE,
                              "--replay needs the run directory before it: isara inspect RUN --replay ID");
    else if (v->data)
        rc = inspect_data(&p, options, v, err);
    else if (!path)
        rc =
            error_set(err, ERROR_USAGE, "wanted a model, a run directory, a file of records, or --data FILE --model M");
    else if (is_records(path))
        rc = cli_inspect_records(v, path, err);
    else if (holds(path, "run.db"))
        rc = v->json ? show_results(path, 1, err) : inspect_run(path, err);
    else {
        with.model = path;
        rc = inspect_model(&p, &with, err);
    }
    cli_close(&p);
    return rc;
}
