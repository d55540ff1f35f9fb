/* SPDX-License-Identifier: Apache-2.0 */
/* --output is nothing that is read: neither an input file nor the model, by whatever name or link. Looked at before
 * anything is opened. */
#include "cli/parts.h"

#include "base/mem.h"
#include "io/file.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct input {
    const char *option, *path;
};

static int same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int refuse_same(const char *output, const struct input *in, const char *inside, struct error *err)
{
    return error_set(
        err, ERROR_CONFIG,
        "--output %s and --%s %s%s%s are the same; what is read would be written over: choose another --output", output,
        in->option, in->path, inside ? "/" : "", inside ? inside : "");
}

/* Is what is written one of the files of an input's directory? */
static int check_inside(const char *output, const struct stat *out, const struct input *in, struct error *err)
{
    DIR *d = opendir(in->path);
    struct dirent *e;
    struct stat st;
    int rc = 0;
    while (!rc && d && (e = readdir(d))) {
        char *path = path_join(in->path, e->d_name);
        if (path && strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && !stat(path, &st) && S_ISREG(st.st_mode) &&
            same_file(out, &st))
            rc = refuse_same(output, in, e->d_name, err);
        mem_free(path);
    }
    if (d)
        closedir(d);
    return rc;
}

/* An input that lies in the output directory under a name that the verb writes; but a run goes on by its own
 * settings, which are read before any are written. */
static int check_written(const char *output, const struct stat *st, const struct input *in, struct error *err)
{
    static const char *const names[] = {"model.safetensors",
                                        "config.json",
                                        "generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "log.jsonl",
                                        "trainer_state.json",
                                        "checkpoint.safetensors",
                                        "run.db",
                                        "metrics.json",
                                        "summary.txt",
                                        "manifest.json",
                                        "config.resolved.json",
                                        "journal.jsonl"};
    struct stat there;
    int rc = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names && !rc; i++) {
        char *path = path_join(output, names[i]);
        int own = !strcmp(in->option, "config") && !strcmp(names[i], "config.resolved.json");
        if (path && !own && !stat(path, &there) && same_file(st, &there))
            rc = refuse_same(output, in, NULL, err);
        mem_free(path);
    }
    return rc;
}

static int check_input(const char *output, const struct input *in, struct error *err)
{
    static const char *const tails[] = {"", ".partial", ".tmp"};
    struct stat st, out;
    int rc = 0;
    if (!in->path || !strcmp(in->path, "-") || stat(in->path, &st))
        return 0;
    for (size_t i = 0; i < sizeof tails / sizeof *tails && !rc; i++) {
        struct buf path = BUF_INIT;
        buf_printf(&path, "%s%s", output, tails[i]);
        if (path.failed || stat(path.data, &out) || S_ISCHR(out.st_mode) || S_ISFIFO(out.st_mode))
            rc = 0;
        else if (same_file(&st, &out))
            rc = refuse_same(output, in, NULL, err);
        else if (S_ISDIR(st.st_mode) && S_ISREG(out.st_mode))
            rc = check_inside(output, &out, in, err);
        else if (S_ISREG(st.st_mode) && S_ISDIR(out.st_mode))
            rc = check_written(output, &st, in, err);
        buf_free(&path);
    }
    return rc;
}

/* Is it a file or directory that is read? */
static int is_input(const struct field *f)
{
    static const char *const arguments[] = {"FILE", "DIR", "M", "CONFIG"};
    for (size_t i = 0; f->type == FIELD_STRING && i < sizeof arguments / sizeof *arguments; i++)
        if (!strcmp(f->argument, arguments[i]))
            return 1;
    return 0;
}

static int given_later(const struct assignment *a)
{
    for (const struct assignment *b = a->next; b; b = b->next)
        if (b->spec == a->spec)
            return 1;
    return 0;
}

int cli_check_output(const struct options *o, const struct cli_values *v, struct error *err)
{
    int rc = 0;
    for (const struct assignment *a = o->first; a && !rc && v->output && strcmp(v->output, "-"); a = a->next)
        if (is_input(a->spec->field) && !given_later(a))
            rc = check_input(v->output, &(struct input){a->spec->field->name, a->text}, err);
    return rc;
}
