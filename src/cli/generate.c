/* SPDX-License-Identifier: Apache-2.0 */
/* isara generate: one request a record; every record may override the decoding options. */
#include "cli/parts.h"

#include "base/clock.h"
#include "base/energy.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "crew/crew.h"
#include "generate/fields.h"
#include "text/chat.h"

#include <stdio.h>
#include <string.h>

struct work {
    struct cli_model parts;
    struct records records;
    struct generate_options defaults;
    struct generate_request *requests; /* of the records that can run */
    struct tokens *prompts;
    char **texts; /* rendered conversations, else NULL */
    struct chat *chat;
    int *record_of; /* request -> record */
    int n_request;
    struct writer *writer;
    struct progress progress;
    struct error *err;
    int n_failed;
};

static json_t *token_array(const int32_t *ids, int n)
{
    json_t *array = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(array, json_integer(ids[i]));
    return array;
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *result_line(struct work *w, int record, const struct generate_request *request,
                           const struct generate_result *r)
{
    const struct generate_sequence *best = &r->sequences[0];
    json_t *line = json_object();
    json_object_set_new(line, "id", records_id(&w->records, record));
    if (w->texts[record])
        json_object_set_new(line, "prompt", json_string(w->texts[record]));
    json_object_set_new(line, "text", text_or_null(best->text));
    json_object_set_new(line, "token_ids", token_array(best->ids, best->n));
    json_object_set_new(line, "n_prompt_tokens", json_integer(request->n_prompt));
    json_object_set_new(line, "finish_reason", json_string(best->finish == FINISH_STOP ? "stop" : "length"));
    json_object_set_new(line, "sum_logprob", json_real(best->sum_logprob));
    json_object_set_new(line, "score", json_real(best->score));
    if (request->options.num_return_sequences > 1) {
        json_t *all = json_array();
        for (int i = 0; i < r->n; i++)
            json_array_append_new(all, json_pack("{s:o,s:o,s:f}", "text", text_or_null(r->sequences[i].text),
                                                 "token_ids", token_array(r->sequences[i].ids, r->sequences[i].n),
                                                 "score", (double)r->sequences[i].score));
        json_object_set_new(line, "sequences", all);
    }
    return line;
}

static int write_error(struct work *w, int record, const char *message)
{
    w->n_failed++;
    json_t *line = json_pack("{s:o,s:s}", "id", records_id(&w->records, record), "error", message);
    return writer_put(w->writer, record, line, w->err);
}

static int done(void *user, int index, const struct generate_result *r)
{
    struct work *w = user;
    int record = w->record_of[index];
    w->progress.done++;
    if (r->n)
        w->progress.tokens += r->sequences[0].n;
    progress_show(&w->progress);
    if (r->error.code)
        return write_error(w, record, r->error.message);
    return writer_put(w->writer, record, result_line(w, record, &w->requests[index], r), w->err);
}

static const char *const prompt_fields[] = {"id",    "prompt",    "prompt_token_ids",     "messages",
                                            "tools", "documents", "chat_template_kwargs", NULL};

static int is_prompt_field(const char *name)
{
    for (int i = 0; prompt_fields[i]; i++)
        if (!strcmp(prompt_fields[i], name))
            return 1;
    return 0;
}

/* Defaults, then the record's own options. -1 with the record failed. */
static int record_options(struct work *w, int i, struct generate_options *o)
{
    const char *name;
    json_t *value;
    struct error reason = {0};
    *o = w->defaults;
    json_object_foreach(w->records.items[i], name, value)
    {
        if (is_prompt_field(name))
            continue;
        int rc = options_set_json(name, value, GROUP_DECODE, o, &reason);
        if (rc == ERROR_USAGE && !reason.message[0]) {
            const char *near = options_near(name, GROUP_DECODE);
            rc = near ? error_set(&reason, ERROR_DATA, "\"%s\": no such field; did you mean %s?", name, near) : 0;
            if (!near)
                records_ignore(&w->records, name);
        }
        if (rc) {
            records_fail(&w->records, i, reason.message);
            return -1;
        }
    }
    if (generate_options_check(o, &reason)) {
        records_fail(&w->records, i, reason.message);
        return -1;
    }
    return 0;
}

static int has_messages(const json_t *record)
{
    return json_object_get(record, "messages") != NULL;
}

/* A conversation through the model's template; what was rendered is kept for the output. -1 with the record failed. */
static int chat_tokens(struct work *w, int i)
{
    const json_t *record = w->records.items[i];
    struct error reason = {0};
    struct buf text = BUF_INIT;
    int rc = json_object_get(record, "prompt") || json_object_get(record, "prompt_token_ids")
                 ? error_set(&reason, ERROR_DATA, "wanted \"messages\" or a prompt, found both")
                 : 0;
    if (!rc && !w->parts.tokenizer)
        rc = error_set(&reason, ERROR_DATA, "\"messages\": the model has no tokenizer");
    if (!rc && !w->chat)
        rc = chat_open(&w->chat, w->parts.tokenizer, &reason);
    if (!rc)
        rc = chat_render(w->chat, record, 1, &text, &reason);
    if (!rc)
        rc = chat_encode(w->chat, text.data ? text.data : "", text.len, &w->prompts[i], &reason);
    if (!rc && !w->prompts[i].n)
        rc = error_set(&reason, ERROR_DATA, "\"messages\": the chat template writes nothing");
    for (size_t k = 0; !rc && k < w->prompts[i].n; k++)
        if (w->prompts[i].ids[k] >= model_desc(w->parts.model)->n_vocab)
            rc = error_set(&reason, ERROR_DATA, "\"messages\": token id %d is outside of the model's vocabulary",
                           (int)w->prompts[i].ids[k]);
    w->texts[i] = rc ? NULL : buf_take(&text);
    buf_free(&text);
    if (rc)
        records_fail(&w->records, i, reason.message);
    return rc ? -1 : 0;
}

static uint64_t id_hash(const json_t *id)
{
    char *text = json_dumps(id, JSON_ENCODE_ANY | JSON_COMPACT);
    uint64_t hash = text ? hash64(text, strlen(text)) : 0;
    free(text);
    return hash;
}

static int has_template(const struct cli_model *p)
{
    return p->tokenizer && tokenizer_info(p->tokenizer)->chat_template;
}

static int prepare(struct work *w, const struct cli_values *v, struct error *err)
{
    int n = w->records.n;
    w->requests = mem_calloc((size_t)n + 1, sizeof *w->requests);
    w->prompts = mem_calloc((size_t)n + 1, sizeof *w->prompts);
    w->record_of = mem_calloc((size_t)n + 1, sizeof *w->record_of);
    w->texts = mem_calloc((size_t)n + 1, sizeof *w->texts);
    if (!w->requests || !w->prompts || !w->record_of || !w->texts)
        return error_set_nomem(err, (size_t)n * sizeof *w->requests, "requests");
    int rc = 0, cut = 0;
    for (int i = 0; i < n && !(rc = interrupt_check(err)); i++) {
        struct generate_request *r = &w->requests[w->n_request];
        cut += records_as_prompt(&w->records, i, has_template(&w->parts));
        if (w->records.errors[i] || record_options(w, i, &r->options) ||
            (has_messages(w->records.items[i]) ? chat_tokens(w, i)
                                               : records_tokens(&w->records, i, &record_prompt, w->parts.tokenizer,
                                                                model_desc(w->parts.model)->n_vocab, &w->prompts[i])))
            continue;
        json_t *id = records_id(&w->records, i);
        r->prompt = w->prompts[i].ids;
        r->n_prompt = (int)w->prompts[i].n;
        r->seed = v->seed;
        r->key_a = id_hash(id);
        json_decref(id);
        w->record_of[w->n_request++] = i;
    }
    if (cut)
        log_line(LOG_WARNING, "the model has no chat template: of %d conversations the first question is the prompt",
                 cut);
    records_say_ignored(&w->records);
    return rc ? rc : interrupt_check(err);
}

/* Takes out the requests whose lines an interrupted run has already written. */
static void drop_written(struct work *w)
{
    int kept = 0;
    for (int j = 0; j < w->n_request; j++)
        if (!writer_has(w->writer, w->record_of[j])) {
            w->requests[kept] = w->requests[j];
            w->record_of[kept++] = w->record_of[j];
        }
    if (kept < w->n_request)
        log_line(LOG_INFO, "%d of %d records are already done", w->n_request - kept, w->n_request);
    w->n_request = kept;
}

/* The merged settings (the defaults under generation_config.json under the command line), as one JSON object. */
static void show_options(const struct work *w)
{
    const char *unknown = generate_options_unknown(checkpoint_generation_config(w->parts.checkpoint));
    json_t *all = fields_json(&generate_fields, &w->defaults, 1);
    char *text = json_dumps(all, JSON_REAL_PRECISION(6));
    log_line(LOG_INFO, "decoding: %s", text ? text : "");
    free(text);
    json_decref(all);
    if (unknown)
        log_line(LOG_WARNING, "%s: generation_config.json sets %s, which is not offered here and is not applied",
                 checkpoint_path(w->parts.checkpoint), unknown);
}

static int open_output(struct work *w, const struct cli_values *v, struct error *err)
{
    json_t *settings = NULL;
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)v->seed);
    int rc = writer_settings(&settings, "generate", v->output, w->parts.checkpoint, err);
    enum dtype dtype = model_dtype(w->parts.model);
    json_t *own = NULL;
    if (!rc)
        own = json_pack("{s:s, s:s, s:s, s:s, s:o}", "dtype", dtype_name(dtype), "bits",
                        dtype == DTYPE_F32 ? "f32" : device_isa(w->parts.device), "kv-dtype",
                        dtype_name(generate_engine_as_asked(&v->engine, dtype).kv_dtype), "seed", seed, "options",
                        fields_json(&generate_fields, &w->defaults, 0));
    if (!rc && (!own || json_object_update(settings, own)))
        rc = error_set_nomem(err, 1024, "settings");
    json_decref(own);
    rc = rc ? rc : writer_open(&w->writer, v->output, &w->records, settings, err);
    json_decref(settings);
    return rc;
}

/* What it will take, before it begins: so far (weights, records), and what the engine adds at most. */
static void show_memory(struct generate_engine *engine, const struct work *w, const struct cli_values *v)
{
    size_t kv, other, now = clock_rss_peak();
    long prompt = 0, more = 0;
    generate_memory_bound(engine, w->requests, w->n_request, &kv, &other);
    other += ((size_t)device_n_thread(w->parts.device) * 4 + 8)
             << 20; /* the threads' scratch; results until they are written */
    for (int i = 0; i < w->n_request; i++) {
        const struct generate_options *o = &w->requests[i].options;
        prompt += w->requests[i].n_prompt;
        more += (long)o->max_new_tokens * (o->num_beams > 1 ? o->num_beams : o->num_return_sequences);
    }
    log_line(LOG_INFO,
             "memory: at most %zu MiB (%zu by now, %zu of keys and values, %zu of activations, logits and scratch); "
             "tokens: %ld of prompts, at most %ld new in all beams",
             (now + kv + other) >> 20, now >> 20, kv >> 20, other >> 20, prompt, more);
    if (v->dry_run && v->json)
        printf("{\"records\": %d, \"memory_bytes\": %zu, \"kv_bytes\": %zu, \"prompt_tokens\": %ld, "
               "\"max_new_tokens\": %ld}\n",
               w->records.n, now + kv + other, kv, prompt, more);
}

static void report(const struct work *w, struct generate_stats s, const struct cli_values *v, struct energy *energy)
{
    double seconds = clock_now() - w->progress.started;
    struct buf joules = BUF_INIT, members = BUF_INIT;
    cli_energy(energy, &joules, &members);
    log_line(LOG_INFO, "%d records, %ld prompt tokens (%ld computed), %ld generated, %.2f s, peak %zu MiB resident, %s",
             w->n_request, s.prompt_tokens, s.computed_prompt_tokens, s.generated_tokens, seconds,
             clock_rss_peak() >> 20, buf_text(&joules));
    if (v->json && v->output && strcmp(v->output, "-"))
        printf("{\"records\": %d, \"failed\": %d, \"prompt_tokens\": %ld, \"computed_prompt_tokens\": %ld, "
               "\"generated_tokens\": %ld, \"seconds\": %.3f, %s}\n",
               w->records.n, w->n_failed, s.prompt_tokens, s.computed_prompt_tokens, s.generated_tokens, seconds,
               buf_text(&members));
    buf_free(&joules);
    buf_free(&members);
}

/* What the engine would not take fails, as it does in the run. */
static int foresee(struct work *w, const struct generate_engine *engine)
{
    struct error reason;
    for (int i = 0; i < w->n_request; i++)
        if (generate_check(engine, &w->requests[i], &reason))
            records_fail(&w->records, w->record_of[i], reason.message);
    return records_foresee(&w->records);
}

static int answer_records(struct work *w, const struct cli_values *v, struct error *err)
{
    const struct generate_engine_options eo = generate_engine_as_asked(&v->engine, model_dtype(w->parts.model));
    struct generate_engine *engine = NULL;
    int rc = generate_engine_new(&engine, w->parts.model, w->parts.tokenizer, &eo, err);
    if (rc)
        return rc;
    show_memory(engine, w, v);
    if (v->dry_run) {
        rc = foresee(w, engine);
        generate_engine_free(engine);
        return rc;
    }
    w->progress =
        (struct progress){.stage = "generate", .unit = "records", .total = w->n_request, .started = clock_now()};
    struct energy *energy = energy_open(NULL);
    if (w->n_request)
        rc = crew_generate(engine, w->requests, w->n_request, done, w, err);
    if (!rc)
        report(w, generate_engine_stats(engine), v, energy);
    energy_close(energy);
    generate_engine_free(engine);
    return rc;
}

static void free_work(struct work *w)
{
    for (int i = 0; w->prompts && i < w->records.n; i++)
        tokens_free(&w->prompts[i]);
    for (int i = 0; w->texts && i < w->records.n; i++)
        mem_free(w->texts[i]);
    mem_free(w->texts);
    chat_close(w->chat);
    mem_free(w->prompts);
    mem_free(w->requests);
    mem_free(w->record_of);
    records_free(&w->records);
    cli_close(&w->parts);
}

int verb_generate(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    struct work w = {.err = err};
    generate_options_default(&w.defaults);
    int rc = cli_open_tokenizer(&w.parts, v, 0, err);
    if (!rc)
        rc = records_read(&w.records, v, err);
    if (!rc)
        rc = cli_open_model(&w.parts, v, DTYPE_BF16, MODEL_LM, err);
    if (!rc)
        rc = generate_options_merge(&w.defaults, checkpoint_generation_config(w.parts.checkpoint),
                                    model_desc(w.parts.model), checkpoint_path(w.parts.checkpoint), err);
    if (!rc)
        rc = options_apply(options, SCOPE_PLAIN, GROUP_DECODE, &w.defaults, err);
    if (!rc)
        rc = generate_options_check(&w.defaults, err);
    if (!rc)
        show_options(&w);
    if (!rc)
        rc = prepare(&w, v, err);
    if (!rc && v->dry_run) {
        rc = answer_records(&w, v, err);
        free_work(&w);
        return rc;
    }
    if (!rc)
        rc = open_output(&w, v, err);
    if (!rc)
        drop_written(&w);
    for (int i = 0; i < w.records.n && !rc; i++)
        if (w.records.errors[i])
            rc = write_error(&w, i, w.records.errors[i]);
    if (!rc)
        rc = answer_records(&w, v, err);
    if (w.writer) {
        int closed = writer_close(w.writer, rc == 0, rc ? NULL : err);
        rc = rc ? rc : closed;
    }
    if (!rc && w.n_failed) {
        log_line(LOG_WARNING, "%d of %d records failed; their lines carry the error", w.n_failed, w.records.n);
        rc = CLI_SOME_FAILED;
    }
    free_work(&w);
    return rc;
}
