/* SPDX-License-Identifier: Apache-2.0 */
/* isara tokenize: text to ids, and with --decode back. */
#include "cli/parts.h"

#include "base/log.h"
#include "io/file.h"

#include <limits.h>
#include <string.h>

static json_t *encoded(const struct tokenizer *t, const struct tokens *ids, json_t *id)
{
    json_t *numbers = json_array(), *pieces = json_array();
    for (size_t i = 0; i < ids->n; i++) {
        const char *piece = tokenizer_token(t, ids->ids[i], NULL);
        json_array_append_new(numbers, json_integer(ids->ids[i]));
        json_array_append_new(pieces, piece ? json_string(piece) : json_null());
    }
    return json_pack("{s:o,s:o,s:o}", "id", id, "token_ids", numbers, "tokens", pieces);
}

static int one_record(struct records *r, int i, const struct tokenizer *t, const struct cli_values *v, struct writer *w,
                      struct error *err)
{
    struct tokens ids = TOKENS_INIT;
    struct buf text = BUF_INIT;
    struct error reason = {0};
    json_t *line = NULL;
    const struct record_field field = {v->decode ? "" : "text", "token_ids", v->special};
    static const char *const fields[] = {"text", "token_ids", "id", NULL};
    if (!v->decode)
        records_as_text(r, i);
    records_ignore_others(r, i, fields);
    if (!r->errors[i]) {
        if (v->decode && !records_tokens(r, i, &field, t, INT_MAX, &ids)) {
            if (tokenizer_decode(t, ids.ids, ids.n, !v->special, &text, &reason))
                records_fail(r, i, reason.message);
            else
                line = json_pack("{s:o,s:s%}", "id", records_id(r, i), "text", text.data ? text.data : "", text.len);
        } else if (!v->decode && !records_tokens(r, i, &field, t, INT_MAX, &ids)) {
            line = encoded(t, &ids, records_id(r, i));
        }
    }
    int bad = line == NULL;
    if (!line)
        line = json_pack("{s:o,s:s}", "id", records_id(r, i), "error", r->errors[i] ? r->errors[i] : "out of memory");
    tokens_free(&ids);
    buf_free(&text);
    int rc = writer_put(w, i, line, err);
    return rc ? rc : bad;
}

/* A directory of a tokenizer alone will do; an adapter and a name of the hub lead to a model's. */
static int open_tokenizer(struct cli_model *p, const struct cli_values *v, struct error *err)
{
    struct error alone = {0}, model = {0};
    int rc = tokenizer_open(&p->tokenizer, v->model, &alone);
    if (rc == ERROR_NOINPUT) {
        rc = cli_open_tokenizer(p, v, 1, &model);
        alone = p->checkpoint || !file_exists(v->model) ? model : alone;
    }
    return rc ? error_set(err, rc, "%s", alone.message) : 0;
}

int verb_tokenize(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    (void)options;
    struct cli_model parts = {0};
    struct records r = {0};
    struct writer *w = NULL;
    int n_failed = 0, rc = cli_require(v->model, "model", "whose tokenizer is used", err);
    if (!rc)
        rc = open_tokenizer(&parts, v, err);
    if (!rc && v->text) {
        static json_t *item;
        static char *none;
        item = json_pack("{s:s}", "text", v->text);
        r = (struct records){.items = &item, .errors = &none, .n = 1};
        if (!item)
            rc = error_set(err, ERROR_DATA, "--text: not UTF-8");
    } else if (!rc) {
        rc = records_read(&r, v, err);
    }
    json_t *settings = NULL;
    rc = rc ? rc : writer_settings(&settings, "tokenize", NULL, NULL, err);
    if (!rc && (json_object_set_new(settings, "model", json_string(v->model)) ||
                json_object_set_new(settings, "decode", json_boolean(v->decode))))
        rc = error_set_nomem(err, 64, "settings");
    rc = rc ? rc : writer_open(&w, v->output, &r, settings, err);
    json_decref(settings);
    for (int i = 0; i < r.n && rc >= 0; i++)
        if ((rc = one_record(&r, i, parts.tokenizer, v, w, err)) > 0)
            n_failed++;
    rc = rc > 0 ? 0 : rc;
    if (w) {
        int closed = writer_close(w, rc == 0, rc ? NULL : err);
        rc = rc ? rc : closed;
    }
    records_say_ignored(&r);
    if (v->text && r.n)
        json_decref(r.items[0]);
    else
        records_free(&r);
    cli_close(&parts);
    if (!rc && n_failed)
        log_line(LOG_WARNING, "%d records failed; their lines carry the error", n_failed);
    return !rc && n_failed ? CLI_SOME_FAILED : rc;
}
