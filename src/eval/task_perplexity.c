/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval --task perplexity: how likely a model finds text of no concern. Rows are windows: a text is cut after
 * every WINDOW tokens (or the model's context), and each window begins anew, after the beginning-of-sequence token
 * where the tokenizer puts one. A window's first token without it has nothing before it and is not scored. */
#include "eval/parts.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "crew/crew.h"
#include "io/file.h"
#include "io/record.h"

#include <math.h>
#include <string.h>

enum { WINDOW = 1024, CHUNK = 16 };
static const size_t MOST_BYTES = 1u << 30;
static const char stage[] = "text";

struct window {
    size_t first; /* in ids */
    int n;
};
struct perplexity {
    struct eval_model m;
    struct eval_journal *journal;
    struct tokens ids; /* of all windows, with what stands before each */
    struct window *windows;
    int n, cap, most; /* tokens of a window */
};

static int add_window(struct perplexity *p, const int32_t *ids, int n, struct error *err)
{
    const struct tokenizer_info *info = tokenizer_info(p->m.tokenizer);
    int rc = 0;
    if (p->n == p->cap) {
        int cap = p->cap ? 2 * p->cap : 64;
        struct window *all = mem_resize(p->windows, (size_t)cap * sizeof *all);
        if (!all)
            return error_set_nomem(err, (size_t)cap * sizeof *all, "windows");
        p->windows = all;
        p->cap = cap;
    }
    struct window *w = &p->windows[p->n++];
    *w = (struct window){p->ids.n, 0};
    if (info->add_bos && info->bos >= 0)
        rc = tokens_push(&p->ids, info->bos);
    for (int i = 0; i < n && !rc; i++)
        rc = tokens_push(&p->ids, ids[i]);
    w->n = (int)(p->ids.n - w->first);
    return rc ? error_set_nomem(err, p->ids.n * 4, "token ids") : 0;
}

static int add_text(struct perplexity *p, const char *text, size_t n, struct error *err)
{
    struct tokens ids = TOKENS_INIT;
    int with_bos = tokenizer_info(p->m.tokenizer)->add_bos, room = p->most - (with_bos ? 1 : 0);
    int rc = tokenizer_encode(p->m.tokenizer, text, n, 0, &ids, err);
    for (size_t at = 0; at < ids.n && !rc; at += (size_t)room) {
        int left = (int)(ids.n - at < (size_t)room ? ids.n - at : (size_t)room);
        if (left + with_bos > 1)
            rc = add_window(p, ids.ids + at, left, err);
    }
    tokens_free(&ids);
    return rc;
}

/* "text", else what a pair says. */
static int text_of(const json_t *record, struct buf *text, struct error *err)
{
    const json_t *whole = json_object_get(record, "text");
    const struct record_shape *shape = whole ? NULL : record_shape(record, 0);
    struct record_pair pair = {.n_more = 0};
    if (whole)
        return record_text(whole, text) ? error_set(err, ERROR_DATA, "text: wanted a text") : 0;
    int rc = shape ? record_pair(&pair, record, shape, err)
                   : error_set(err, ERROR_DATA, "wanted \"text\" (or a pair of question and answer)");
    if (!rc)
        buf_printf(text, "%s%s%s", buf_text(&pair.question), pair.question.len && pair.answer.len ? "\n" : "",
                   buf_text(&pair.answer));
    record_pair_free(&pair);
    return rc;
}

static int add_record(void *user, json_t *record, struct error *err)
{
    struct buf text = BUF_INIT;
    int rc = text_of(record, &text, err);
    rc = rc ? rc : add_text(user, buf_text(&text), text.len, err);
    buf_free(&text);
    return rc;
}

static int read_texts(struct perplexity *p, const struct eval_options *v, struct error *err)
{
    struct buf whole = BUF_INIT;
    int rc = eval_require(v->test, "test", "general text: a .txt file, or records with \"text\"", err);
    if (!rc && path_is_text(v->test)) {
        rc = file_read(&whole, v->test, MOST_BYTES, err);
        rc = rc ? rc : add_text(p, buf_text(&whole), whole.len, err);
        buf_free(&whole);
        return rc;
    }
    return rc ? rc : record_each(eval_source(v, v->test), v->limit, add_record, p, err);
}

static int open_journal(struct perplexity *p, const struct eval_options *v, struct error *err)
{
    char sha256[65];
    json_t *settings =
        json_pack("{s:s, s:s, s:i}", "task", "perplexity", "dtype", dtype_name(v->dtype), "window", p->most);
    int rc = settings ? checkpoint_sha256(p->m.checkpoint, sha256, err) : error_set_nomem(err, 64, "settings");
    if (!rc && json_object_set_new(settings, "model-sha256", json_string(sha256)))
        rc = error_set_nomem(err, 64, "settings");
    rc = rc ? rc : checkpoint_side_sha256(p->m.checkpoint, "model/", settings, err);
    rc = rc ? rc : eval_journal_file(settings, "test-sha256", v->test, err);
    rc = rc ? rc : eval_journal_open(&p->journal, v->output, settings, err);
    json_decref(settings);
    return rc;
}

static int score_chunk(struct perplexity *p, const int *rows, int n, struct error *err)
{
    struct model_text texts[CHUNK];
    size_t all = 0;
    for (int i = 0; i < n; i++) {
        const struct window *w = &p->windows[rows[i]];
        texts[i] = (struct model_text){p->ids.ids + w->first, w->n, 1};
        all += (size_t)w->n;
    }
    float *logprobs = mem_alloc((all + 1) * sizeof *logprobs), *at = logprobs;
    int rc = logprobs ? 0 : error_set_nomem(err, all * sizeof *logprobs, "log-probabilities");
    rc = rc ? rc : crew_score(p->m.model, texts, n, logprobs, err);
    for (int i = 0; i < n && !rc; i++) {
        int scored = texts[i].n - 1;
        double sum = 0;
        rc = model_check_numbers(at, (size_t)scored, err, "window %d", rows[i]);
        for (int k = 0; k < scored; k++)
            sum += (double)*at++;
        rc = rc ? rc
                : eval_journal_put(p->journal, stage, rows[i],
                                   json_pack("{s:f, s:i}", "logprob", sum, "n_token", scored), err);
    }
    mem_free(logprobs);
    return rc;
}

static int score_windows(struct perplexity *p, const struct eval_work *w, struct error *err)
{
    int rc = 0;
    if (eval_journal_count(p->journal, stage) < p->n)
        rc = eval_model_load(&p->m, w->device, w->options->dtype, MODEL_LM, err);
    for (int first = 0; first < p->n && !rc;) {
        int rows[CHUNK], n = 0, i = first;
        for (; i < p->n && n < CHUNK; i++)
            if (!eval_journal_get(p->journal, stage, i))
                rows[n++] = i;
        rc = interrupt_check(err);
        rc = rc || !n ? rc : score_chunk(p, rows, n, err);
        first = i;
    }
    return rc;
}

static int fill_report(const struct perplexity *p, const struct eval_work *w, struct error *err)
{
    struct report_basis f = {.task = "perplexity", .n_row = p->n, .threshold = NAN};
    struct stats_interval interval = EVAL_NO_INTERVAL;
    struct eval_report r;
    double *x = mem_alloc(((size_t)p->n + 1) * sizeof *x), sum = 0, tokens = 0;
    for (int i = 0; x && i < p->n; i++) {
        const json_t *row = eval_journal_get(p->journal, stage, i);
        double logprob = json_number_value(json_object_get(row, "logprob")),
               n = json_number_value(json_object_get(row, "n_token"));
        x[i] = -logprob / n;
        sum -= logprob;
        tokens += n;
    }
    eval_report_begin(&r, &f, err);
    r.rc = r.rc || x ? r.rc : error_set_nomem(err, (size_t)p->n * sizeof *x, "values");
    r.rc = r.rc ? r.rc : eval_mean_interval(x, p->n, w->options->seed, &interval, err);
    eval_report_value(&r, "perplexity", exp(sum / tokens), p->n, EVAL_NO_INTERVAL);
    if (!r.rc)
        eval_report_value(&r, "nll", stats_mean(x, p->n), p->n, interval);
    eval_report_fact(&r, "n_tokens", json_integer((json_int_t)tokens));
    eval_report_note(
        &r,
        "perplexity: e to the mean negative log-likelihood of all tokens\nnll: mean over windows of at most "
        "%d tokens of theirs a token, 95 %% interval " EVAL_INTERVALS,
        p->most);
    mem_free(x);
    return eval_report_finish(&r, w);
}

static int run_perplexity(const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct perplexity p = {.ids = TOKENS_INIT, .most = WINDOW};
    struct model_desc d;
    int rc = eval_model_read(&p.m, v->model, v->adapter, err);
    rc = rc ? rc : model_desc_parse(&d, checkpoint_config(p.m.checkpoint), checkpoint_path(p.m.checkpoint), err);
    if (!rc && d.n_ctx < p.most)
        p.most = d.n_ctx;
    rc = rc ? rc : read_texts(&p, v, err);
    rc = rc ? rc : open_journal(&p, v, err);
    rc = rc ? rc : score_windows(&p, w, err);
    rc = rc ? rc : fill_report(&p, w, err);
    eval_journal_close(p.journal);
    eval_model_close(&p.m);
    tokens_free(&p.ids);
    mem_free(p.windows);
    return rc;
}

const struct eval_task eval_perplexity = {"perplexity", "how likely a model finds general text, in windows",
                                          run_perplexity};
