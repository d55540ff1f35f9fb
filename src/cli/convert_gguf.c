/* SPDX-License-Identifier: Apache-2.0 */
/* isara convert --to gguf: a model, or an adapter's factors, as one file for llama.cpp; beside it, if asked, the
 * Modelfile that ollama makes a model of it with. */
#include "cli/parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/gguf_write.h"
#include "model/gguf_out.h"
#include "text/gguf_out.h"

#include <stdio.h>
#include <string.h>

/* Factors are small: an adapter's are written in f32 when nothing else is asked. */
static enum storage type_of(const struct cli_values *v, const struct checkpoint *ck, int adapter)
{
    const char *name = v->type ? v->type : v->dtype;
    if (!name)
        return adapter ? STORAGE_F32 : storage_of_dtype(checkpoint_dtype(ck));
    return storage_of_dtype(dtype_of_name(name, DTYPE_Q8));
}

/* Generation may end with more tokens than the tokenizer's EOS; GGUF has two more names for such. */
static void put_ends(struct gguf_writer *w, const struct cli_model *p)
{
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    const json_t *ends = json_object_get(checkpoint_generation_config(p->checkpoint), "eos_token_id"), *id;
    size_t i, used = 0;
    json_array_foreach((json_t *)ends, i,
                       id) if (json_is_integer(id) && json_integer_value(id) != tokenizer_info(p->tokenizer)->eos &&
                               used < 2) gguf_put_u32(w, keys[used++], (uint32_t)json_integer_value(id));
}

static int put_tokenizer(struct gguf_writer *w, const struct cli_model *p, const struct gguf_model *g,
                         struct error *err)
{
    const struct gguf *source = checkpoint_gguf(p->checkpoint);
    if (source && p->tokenizer && checkpoint_file(p->checkpoint, "chat_template.jinja")) { /* an adapter's own */
        gguf_put_copies(w, source, "tokenizer.ggml.");
        gguf_put_string(w, "tokenizer.chat_template", tokenizer_info(p->tokenizer)->chat_template);
        return 0;
    }
    if (source) { /* the same words again */
        gguf_put_copies(w, source, "tokenizer.");
        return 0;
    }
    if (!p->tokenizer) {
        log_line(LOG_WARNING, "%s has no tokenizer: llama.cpp will take token ids only",
                 checkpoint_path(p->checkpoint));
        gguf_put_string(w, "tokenizer.ggml.model", "none");
        return 0;
    }
    int rc = tokenizer_to_gguf(p->tokenizer, gguf_model_desc(g)->n_vocab, w, err);
    if (!rc)
        put_ends(w, p);
    return rc;
}

static int write_model(struct gguf_writer *w, const struct cli_model *p, enum storage type, const char *path,
                       struct error *err)
{
    struct gguf_model *g;
    int rc = gguf_model_put(&g, w, p->checkpoint, type, err);
    if (!rc)
        rc = put_tokenizer(w, p, g, err);
    if (!rc)
        rc = gguf_model_write(g, w, path, err);
    gguf_model_free(g);
    return rc;
}

/* --- ollama --- */

static void put_text(struct buf *b, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            buf_putc(b, '\\');
        if (*c == '\n')
            buf_puts(b, "\\n");
        else
            buf_putc(b, *c);
    }
}

static void put_stop(struct buf *b, const struct cli_model *p, int64_t id)
{
    size_t n;
    const char *text = p->tokenizer ? tokenizer_token(p->tokenizer, (int32_t)id, &n) : NULL;
    if (!text || !tokenizer_is_special(p->tokenizer, (int32_t)id))
        return;
    buf_puts(b, "PARAMETER stop \"");
    put_text(b, text);
    buf_puts(b, "\"\n");
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? mem_strndup(path, (size_t)(slash - path) + (slash == path)) : mem_strdup(".");
}

/* What generation_config.json says, in ollama's names. */
static void put_parameters(struct buf *b, const struct cli_model *p)
{
    static const char *const names[][2] = {{"temperature", "temperature"},
                                           {"top_k", "top_k"},
                                           {"top_p", "top_p"},
                                           {"repetition_penalty", "repeat_penalty"}};
    const json_t *generation = checkpoint_generation_config(p->checkpoint),
                 *ends = json_object_get(generation, "eos_token_id"), *id;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *x = json_object_get(generation, names[i][0]);
        if (json_is_number(x))
            buf_printf(b, "PARAMETER %s %.9g\n", names[i][1], json_number_value(x));
    }
    size_t i;
    if (json_is_integer(ends))
        put_stop(b, p, json_integer_value(ends));
    json_array_foreach((json_t *)ends, i, id) if (json_is_integer(id)) put_stop(b, p, json_integer_value(id));
}

/* The plain prompt that the model was tuned with. */
static void put_prompt(struct buf *b, const json_t *words)
{
    const char *answer = json_string_value(json_object_get(words, "answer")),
               *question = answer ? strstr(answer, "{q}") : NULL,
               *end = json_string_value(json_object_get(words, "answer_end"));
    if (question)
        buf_printf(b, "TEMPLATE \"\"\"%.*s{{ .Prompt }}%s\"\"\"\n", (int)(question - answer), answer, question + 3);
    else
        buf_puts(b, "TEMPLATE \"\"\"{{ .Prompt }}\"\"\"\n");
    if (question && end) {
        buf_puts(b, "PARAMETER stop \"");
        put_text(b, end);
        buf_puts(b, "\"\n");
    }
}

static int write_modelfile(const struct cli_model *p, const char *path, const json_t *words, int adapter,
                           struct error *err)
{
    struct buf b = BUF_INIT;
    struct model_desc d;
    char *folder = folder_of(path), *to = folder ? path_join(folder, "Modelfile") : NULL;
    int rc = model_desc_parse(&d, checkpoint_config(p->checkpoint), checkpoint_path(p->checkpoint), err);
    buf_printf(&b, "# ollama create NAME -f Modelfile\nFROM %s%s\n", adapter ? checkpoint_path(p->checkpoint) : "./",
               adapter ? "" : path_base(path));
    if (adapter)
        buf_printf(&b, "ADAPTER ./%s\n", path_base(path));
    /* a plain template shipped as Jinja is none that ollama knows */
    if (!adapter && p->tokenizer && (json_object_get(words, "answer") || !tokenizer_info(p->tokenizer)->chat_template))
        put_prompt(&b, words);
    if (!rc)
        buf_printf(&b, "PARAMETER num_ctx %d\n", d.n_ctx < 4096 ? d.n_ctx : 4096);
    put_parameters(&b, p);
    if (!rc && (b.failed || !to))
        rc = error_set_nomem(err, b.len, "a Modelfile");
    if (!rc)
        rc = file_write(to, b.data, b.len, err);
    if (!rc)
        log_line(LOG_INFO, "%s written: ollama create NAME -f %s", to, to);
    mem_free(folder);
    mem_free(to);
    buf_free(&b);
    return rc;
}

int cli_convert_gguf(const struct cli_model *p, const struct cli_values *v, const json_t *words, struct error *err)
{
    int adapter = checkpoint_is_adapted(p->checkpoint) && !v->adapter;
    enum storage type = type_of(v, p->checkpoint, adapter);
    struct gguf_writer *w = NULL;
    if (v->shard_size)
        return error_set(err, ERROR_USAGE, "--shard-size: is of Hugging Face directories; a GGUF file is one file");
    int is_file = path_ends_in(v->output, ".gguf");
    char *folder = is_file ? folder_of(v->output) : mem_strdup(v->output);
    int rc = folder ? dirs_make(folder, err) : error_set_nomem(err, 256, "a path");
    const char *name = adapter ? "adapter.gguf" : "model.gguf";
    char *path = is_file ? mem_strdup(v->output) : path_join(v->output, name);
    if (!rc && !path)
        rc = error_set_nomem(err, 256, "a path");
    if (!rc && file_exists(path))
        rc = error_set(err, ERROR_CONFIG, "%s: is there already; choose another --output, or delete it", path);
    if (!rc)
        rc = gguf_writer_new(&w, err);
    if (!rc)
        rc = adapter ? gguf_adapter_write(w, p->checkpoint, type, path, err) : write_model(w, p, type, path, err);
    rc = gguf_writer_end(w, rc, err);
    if (!rc)
        log_line(LOG_INFO, "%s in %s; written to %s", adapter ? "the adapter" : "the model", storage_name(type), path);
    if (!rc && v->ollama)
        rc = write_modelfile(p, path, words, adapter, err);
    mem_free(folder);
    mem_free(path);
    return rc;
}
