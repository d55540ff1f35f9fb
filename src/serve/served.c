/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/served.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"

#include <stdio.h>
#include <string.h>

static int open_tokenizer(struct served *s, struct error *err)
{
    const char *path = checkpoint_path(s->checkpoint);
    struct error reason = {0};
    int rc = tokenizer_open_of(&s->tokenizer, s->checkpoint, &reason);
    if (rc == ERROR_NOINPUT) {
        log_line(LOG_WARNING, "%s has no tokenizer: prompts are taken as token ids only, and there are no texts", path);
        error_set(&s->no_chat, ERROR_UNAVAILABLE, "the model has no tokenizer, so it cannot chat");
        return 0;
    }
    if (rc)
        return error_set(err, rc, "%s", reason.message);
    chat_open(&s->chat, s->tokenizer, &s->no_chat);
    return 0;
}

static int open_engine(struct served *s, const struct served_options *o, struct error *err)
{
    const struct model_desc *d = model_desc(s->model);
    const struct generate_engine_options eo = generate_engine_as_asked(&o->engine, model_dtype(s->model));
    int rc = generate_engine_new(&s->engine, s->model, s->tokenizer, &eo, err);
    if (rc)
        return rc;
    generate_options_default(&s->defaults);
    s->defaults.max_new_tokens = 0; /* nobody has said */
    rc = generate_options_merge(&s->defaults, checkpoint_generation_config(s->checkpoint), d,
                                checkpoint_path(s->checkpoint), err);
    if (!rc && o->decoding)
        rc = o->decoding(o->user, &s->defaults, err);
    struct generate_options checked = s->defaults;
    checked.max_new_tokens += !checked.max_new_tokens;
    if (!rc)
        rc = generate_options_check(&checked, err);
    generate_limits_default(&s->limits, s->engine);
    s->limits.requests = o->max_queue;
    s->limits.sequences = o->max_sequences > o->max_width ? o->max_sequences : o->max_width;
    s->limits.length = s->max_length;
    s->limits.width = o->max_width;
    s->limits.eos = s->defaults.n_eos > 4 ? s->defaults.n_eos : 4;
    return rc;
}

static int open_model(struct served *s, const struct served_options *o, struct device *device, struct error *err)
{
    struct model_desc d;
    struct model_options mo = {.check_finite = 1, .dtype = o->dtype};
    int rc = model_desc_parse(&d, checkpoint_config(s->checkpoint), checkpoint_path(s->checkpoint), err);
    if (!rc && (d.task == MODEL_CLASSIFY || d.task == MODEL_REWARD))
        rc = error_set(err, ERROR_USAGE, "%s: a classifier or reward model; wanted a language model or an encoder",
                       checkpoint_path(s->checkpoint));
    if (!rc && !weight_supported(device, o->dtype))
        rc = error_set(err, ERROR_UNAVAILABLE, "--dtype %s: not available with instruction set %s; use f32 or bf16",
                       dtype_name(o->dtype), device_isa(device));
    mo.task = d.task;
    rc = rc ? rc : open_tokenizer(s, err);
    rc = rc ? rc : model_open(&s->model, device, s->checkpoint, &mo, err);
    if (rc)
        return rc;
    s->max_length = o->max_length && o->max_length < d.n_ctx ? o->max_length : d.n_ctx;
    return d.task == MODEL_LM ? open_engine(s, o, err) : 0;
}

/* The last part of a path, without what says that it is a file; a name of the hub stays whole. */
static void set_name(char *to, size_t size, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    snprintf(to, size, "%.*s", (int)n, path);
    if (!file_exists(path))
        return;
    const char *last = strrchr(to, '/');
    if (last)
        memmove(to, last + 1, strlen(last + 1) + 1);
    n = strlen(to);
    if (n > 5 && !strcmp(to + n - 5, ".gguf"))
        to[n - 5] = 0;
}

static int open_base(struct served *s, const struct served_options *o, struct device *device, struct error *err)
{
    if (!o->model)
        return error_set(err, ERROR_USAGE, "--model is needed: a Hugging Face directory, a .gguf file or org/name");
    if (o->name)
        snprintf(s->name, sizeof s->name, "%s", o->name);
    else
        set_name(s->name, sizeof s->name, o->model);
    int rc = checkpoint_open(&s->checkpoint, o->model, err);
    return rc ? rc : open_model(s, o, device, err);
}

static int open_adapter(struct served *s, const struct served_options *o, const char *given, struct device *device,
                        struct error *err)
{
    const char *equals = strchr(given, '='), *path = equals ? equals + 1 : given;
    if (equals)
        snprintf(s->name, sizeof s->name, "%.*s", (int)(equals - given), given);
    else
        set_name(s->name, sizeof s->name, path);
    int rc = checkpoint_open_adapter(&s->checkpoint, o->model, path, err);
    return rc ? rc : open_model(s, o, device, err);
}

int served_open(struct served **out, int *n, const struct served_options *o, struct device *device, struct error *err)
{
    int rc = 0;
    *n = 0;
    struct served *all = *out = mem_calloc((size_t)o->n_adapter + 1, sizeof *all);
    if (!all)
        return error_set_nomem(err, sizeof *all, "models");
    for (int i = 0; i <= o->n_adapter && !rc; i++) {
        (*n)++;
        rc = i ? open_adapter(&all[i], o, o->adapter[i - 1], device, err) : open_base(&all[i], o, device, err);
        for (int k = 0; k < i && !rc; k++)
            if (!strcmp(all[k].name, all[i].name))
                rc = error_set(err, ERROR_USAGE, "two models would have the name \"%s\"; give --adapter NAME=DIR",
                               all[i].name);
    }
    if (rc) {
        served_close(all, *n);
        *out = NULL;
        *n = 0;
    }
    return rc;
}

void served_close(struct served *all, int n)
{
    for (int i = 0; all && i < n; i++) {
        chat_close(all[i].chat);
        generate_engine_free(all[i].engine);
        model_close(all[i].model);
        tokenizer_close(all[i].tokenizer);
        checkpoint_close(all[i].checkpoint);
    }
    mem_free(all);
}

struct served *served_find(struct served *all, int n, const char *name)
{
    if (!name || !*name)
        return all;
    for (int i = 0; i < n; i++)
        if (!strcmp(all[i].name, name))
            return &all[i];
    return NULL;
}
