/* SPDX-License-Identifier: Apache-2.0 */
/* Opening what speaks, and having one model in memory at a time. Tuned weights are always read back from the file they
 * were saved to, so that work that was broken there and work that was not go on with the same bits. */
#include "answer/speaker.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <string.h>

/* A file, or the template itself (as config.resolved.json holds it). */
static int open_template(const struct speaker *s, struct template **out, struct error *err)
{
    const char *file = s->o.template_file, *system = s->o.system;
    int chat = file && !strcmp(file, "chat");
    if (system && !chat)
        return error_set(err, ERROR_USAGE, "--system goes with --template chat: other templates have no system turn");
    if (system && utf8_valid(system, strlen(system)) != strlen(system))
        return error_set(err, ERROR_USAGE, "--system: wanted a text in UTF-8, found other bytes");
    if (chat)
        return template_chat(out, s->tokenizer, system, err);
    if (!file)
        return template_builtin(out, err);
    return *file == '{' ? template_read(out, file, strlen(file), "--template", err) : template_load(out, file, err);
}

static int is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

/* What stands last in a prompt that asks. */
static char *last_line(struct buf *b)
{
    while (b->len && is_blank(b->data[b->len - 1]))
        b->data[--b->len] = 0;
    const char *text = b->data ? b->data : "", *line = strrchr(text, '\n');
    return mem_strdup(line ? line + 1 : text);
}

/* What stands after a question. */
static char *after_mark(const struct buf *b, char mark)
{
    const char *after = b->data ? strchr(b->data, mark) : NULL;
    after = after ? after + 1 : "";
    while (*after && is_blank(*after))
        after++;
    return mem_strdup(after);
}

/* The template's words that a text must not hold, read off an empty prompt. */
static int read_cues(struct speaker *s, struct error *err)
{
    enum { MARK = 1 };
    static const char mark[] = {MARK, 0};
    static const struct example between = {mark, mark};
    struct buf ask = BUF_INIT, answer = BUF_INIT;
    /* what begins a conversation is not yet what stands between turns */
    const struct template_prompt asks = {NULL, &between, (size_t)template_is_chat(s->template), NULL};
    int rc = template_write(s->template, &asks, &ask, NULL, err);
    rc = rc ? rc : template_write(s->template, &(struct template_prompt){.question = mark}, &answer, NULL, err);
    mem_free(s->ask_cue);
    mem_free(s->answer_cue);
    s->ask_cue = ask.failed ? NULL : last_line(&ask);
    s->answer_cue = answer.failed ? NULL : after_mark(&answer, MARK);
    buf_free(&ask);
    buf_free(&answer);
    return rc || (s->ask_cue && s->answer_cue) ? rc : error_set_nomem(err, 64, "template");
}

/* The one special token that a chat template's turn ends with, or -1. */
static int read_end(const struct speaker *s, const char *end, int *id, struct error *err)
{
    struct tokens ids = TOKENS_INIT;
    int rc = template_is_chat(s->template)
                 ? tokenizer_encode(s->tokenizer, end, strlen(end), TOKENIZER_PARSE_SPECIAL, &ids, err)
                 : 0;
    *id = !rc && ids.n == 1 && tokenizer_is_special(s->tokenizer, ids.ids[0]) ? ids.ids[0] : -1;
    tokens_free(&ids);
    return rc;
}

int speaker_set_template(struct speaker *s, struct template *t, struct error *err)
{
    template_free(s->template);
    s->template = t;
    int rc = read_cues(s, err);
    rc = rc ? rc : read_end(s, template_ask_stop(t), &s->question_end, err);
    return rc ? rc : read_end(s, template_answer_stop(t), &s->answer_end, err);
}

int speaker_hash_model(struct speaker *s, const char *path, const char *prefix, struct error *err)
{
    struct checkpoint *ck = NULL;
    char key[64], hex[65] = "";
    snprintf(key, sizeof key, "%sweights", prefix);
    int rc = checkpoint_open(&ck, path, err);
    rc = rc ? rc : checkpoint_sha256(ck, hex, err);
    rc = rc ? rc : checkpoint_side_sha256(ck, prefix, s->files, err);
    if (!rc && json_object_set_new(s->files, key, json_string(hex)))
        rc = error_set_nomem(err, 128, "hashes of the model's files");
    checkpoint_close(ck);
    return rc;
}

static int hash_files(struct speaker *s, struct error *err)
{
    s->files = json_object();
    int rc = s->files ? checkpoint_side_sha256(s->source, "model/", s->files, err)
                      : error_set_nomem(err, 64, "hashes of the model's files");
    return rc || !s->o.encoder || s->o.retriever != RETRIEVER_ENCODER
               ? rc
               : speaker_hash_model(s, s->o.encoder, "encoder/", err);
}

int speaker_open(struct speaker *s, struct device *device, const struct speaker_options *o, struct error *err)
{
    struct template *t = NULL;
    *s = (struct speaker){.o = *o, .device = device};
    int rc = checkpoint_open(&s->source, o->model, err);
    rc = rc ? rc : model_desc_parse(&s->desc, checkpoint_config(s->source), checkpoint_path(s->source), err);
    rc = rc ? rc : tokenizer_open_of(&s->tokenizer, s->source, err);
    rc = rc ? rc : open_template(s, &t, err);
    rc = rc ? rc : speaker_set_template(s, t, err);
    rc = rc ? rc : hash_files(s, err);
    return rc || s->desc.task == MODEL_LM
               ? rc
               : error_set(err, ERROR_DATA, "%s: is a classifier; wanted a language model", o->model);
}

void speaker_close(struct speaker *s)
{
    model_close(s->model);
    mem_free(s->model_path);
    mem_free(s->base_path);
    mem_free(s->ask_cue);
    mem_free(s->answer_cue);
    template_free(s->template);
    tokenizer_close(s->tokenizer);
    checkpoint_close(s->source);
    json_decref(s->files);
    *s = (struct speaker){0};
}

int speaker_hash(struct speaker *s, struct error *err)
{
    return checkpoint_sha256(s->source, s->source_sha256, err);
}

/* The base is in memory, and what the checkpoint is beside it can stand there. */
static int only_adapter_differs(const struct speaker *s, const struct checkpoint *ck, enum dtype dtype)
{
    return s->model && s->base_path && model_dtype(s->model) == dtype && !strcmp(s->base_path, checkpoint_path(ck)) &&
           model_adapter_stands(s->model, ck);
}

static int load(struct speaker *s, const struct checkpoint *ck, enum dtype dtype, struct error *err)
{
    const struct model_options o = {
        .dtype = dtype, .task = MODEL_LM, .check_finite = 1, .keep_blocks = s->o.keep_blocks};
    if (only_adapter_differs(s, ck, dtype))
        return model_set_adapter(s->model, ck, err);
    model_close(s->model);
    mem_free(s->base_path);
    s->model = NULL;
    s->base_path = NULL;
    int rc = model_open(&s->model, s->device, ck, &o, err);
    if (!rc && s->o.keep_blocks && checkpoint_any_blocks(ck) && model_adapter_stands(s->model, ck))
        s->base_path = mem_strdup(checkpoint_path(ck)); /* without it the base is only read again */
    return rc;
}

int speaker_load(struct speaker *s, const char *path, enum dtype dtype, struct error *err)
{
    struct checkpoint *ck = NULL;
    if (s->model && s->model_path && !strcmp(s->model_path, path) && model_dtype(s->model) == dtype)
        return 0;
    speaker_forget(s);
    int rc = checkpoint_open(&ck, path, err);
    rc = rc ? rc : load(s, ck, dtype, err);
    if (!rc && !(s->model_path = mem_strdup(path)))
        rc = error_set_nomem(err, strlen(path), "path");
    checkpoint_close(ck);
    return rc;
}

const char *speaker_pretrained(const struct speaker *s)
{
    return s->o.model;
}

int speaker_load_pretrained(struct speaker *s, struct error *err)
{
    return speaker_load(s, speaker_pretrained(s), s->o.dtype, err);
}

void speaker_forget(struct speaker *s)
{
    mem_free(s->model_path);
    s->model_path = NULL;
}

void speaker_unload(struct speaker *s)
{
    speaker_forget(s);
    model_close(s->model);
    s->model = NULL;
}

int speaker_flags(const struct speaker *s)
{
    if (!s->o.style)
        return template_flags(s->template);
    return s->o.style->special ? TOKENIZER_PARSE_SPECIAL : TOKENIZER_ADD_SPECIAL;
}

int speaker_encode(const struct speaker *s, const struct buf *text, const struct text_spans *people, struct tokens *out,
                   struct error *err)
{
    int flags = speaker_flags(s);
    out->n = 0;
    const struct pair_text mixed = {buf_text(text), text->len, people};
    int rc = tokenizer_encode_mixed(s->tokenizer, &mixed, flags, out, err);
    if (!rc && flags & TOKENIZER_ADD_SPECIAL)
        out->n = pair_without_end(s->tokenizer, out->ids, out->n);
    return rc;
}

void speaker_end_ids(const struct speaker *s, int asks, struct generate_options *o)
{
    int turn = asks ? s->question_end : s->answer_end;
    if (o->n_eos)
        return;
    int eos = (int)tokenizer_info(s->tokenizer)->eos, has = 0;
    for (int i = 0; i < s->desc.n_eos; i++) {
        o->eos_ids[o->n_eos++] = s->desc.eos_ids[i];
        has |= s->desc.eos_ids[i] == eos;
        if (turn == s->desc.eos_ids[i])
            turn = -1;
    }
    if (turn >= 0 && turn != eos && o->n_eos < MODEL_MAX_EOS)
        o->eos_ids[o->n_eos++] = turn;
    if (!has && eos >= 0 &&
        o->n_eos < MODEL_MAX_EOS) /* what tuning appends ends an answer whatever generation_config.json lists */
        o->eos_ids[o->n_eos++] = eos;
}

int speaker_is_end(const struct speaker *s, int32_t id)
{
    int end = id == tokenizer_info(s->tokenizer)->eos || (id == s->answer_end && id >= 0);
    for (int i = 0; i < s->desc.n_eos && !end; i++)
        end = id == s->desc.eos_ids[i];
    return end;
}

/* The stop text and whose it is. */
static const char *stop_of(const struct speaker *s, int asks, const char **whose)
{
    *whose = asks ? "the template's question_end" : "the template's answer_end";
    if (asks)
        return template_ask_stop(s->template);
    if (!s->o.style)
        return template_answer_stop(s->template);
    *whose = "the prompt style's stop";
    return s->o.style->stop;
}

/* Half a stop text would end texts where the whole one does not stand. */
int speaker_decoding(const struct speaker *s, int asks, const struct generate_options *o, struct generate_options *out,
                     struct error *err)
{
    const char *whose, *stop = stop_of(s, asks, &whose);
    size_t n = strlen(stop);
    *out = *o;
    speaker_end_ids(s, asks, out);
    if (!n)
        return 0;
    if (n >= GENERATE_STOP_BYTES)
        return error_set(err, ERROR_CONFIG, "stop: %s has %zu bytes; wanted at most %d", whose, n,
                         GENERATE_STOP_BYTES - 1);
    if (out->n_stop >= GENERATE_MAX_STOP)
        return error_set(err, ERROR_CONFIG, "stop: %d strings beside %s; wanted at most %d", out->n_stop, whose,
                         GENERATE_MAX_STOP - 1);
    memcpy(out->stop[out->n_stop++], stop, n + 1);
    return 0;
}
