/* SPDX-License-Identifier: Apache-2.0 */
/* The option table: the rows of all floors (base/fields.h), from which parsing, --config files, per-record overrides,
 * --help and the man page all follow.
 *
 * Parsing yields assignments (option, scope, text), configuration file first, command line after it; they are checked
 * when parsed and applied to the structs of the floors below when those are filled in, so that defaults <
 * generation_config.json < file < command line. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "base/arena.h"
#include "base/error.h"
#include "base/fields.h"
#include "generate/fields.h"
#include "serve/serve.h"
#include "talk/talk.h"

#include <jansson.h>
#include <stddef.h>

enum option_group {
    GROUP_COMMON = 1,
    GROUP_MODEL = 2,
    GROUP_DECODE = 4,
    GROUP_TRAIN = 8,
    GROUP_ALIGN = 16,
    GROUP_FILES = 32,
    GROUP_TOKENIZE = 64,
    GROUP_EMBED = 128,
    GROUP_CONVERT = 256,
    GROUP_INSPECT = 512,
    GROUP_TRAINVERB = 1024,
    GROUP_ENGINE = 2048,
    GROUP_EVAL = 4096,
    GROUP_METHOD = 8192,
    GROUP_TASK = 16384,
    GROUP_ADAPTER = 32768,
    GROUP_DRY = 65536,
    GROUP_PULL = 131072,
    GROUP_REPORT = 262144,
    GROUP_EXPERIMENT = 524288,
    GROUP_SEED = 1048576, /* every verb reads it; experiment says where its random seeds stand */
    GROUP_EXPORT = 2097152,
    GROUP_SERVE = 4194304,
    GROUP_HTTP = 8388608,
    GROUP_TALK = 16777216,
    GROUP_PLAN = 33554432,
    GROUP_RECORDS = GROUP_FILES | GROUP_ALIGN | GROUP_TRAINVERB | GROUP_EVAL | GROUP_INSPECT, /* that people bring */
    GROUP_OWNERS = GROUP_DECODE | GROUP_TRAIN | GROUP_METHOD |
                   GROUP_TASK /* in structs of the floors below; all others are in cli_values */
};
enum option_scope { SCOPE_PLAIN, SCOPE_ASK, SCOPE_ANSWER, SCOPE_TRAIN };

enum { OPTION_N_PREFIX = 3 };
/* Before an option of the group, with GROUP_ALIGN: for that phase only. */
extern const struct option_prefix {
    const char *text;
    enum option_scope scope;
    unsigned group;
} option_prefixes[OPTION_N_PREFIX];

/* A row of its owner's table (base/fields.h), and what the command adds to it. */
struct option_spec {
    const struct field *field;
    unsigned group;
    size_t
        /* where the row's owner lies in the group's struct: generate_options, train_options, align_options
         * (GROUP_METHOD), eval_options (GROUP_TASK) or cli_values */
        base;
};

enum { PULL_MAX_INCLUDE = 32, PULL_MAX_GLOB = 256 };

struct cli_values { /* what no floor below has a struct for */
    const char *model, *input, *output, *data, *config, *log_level, *text, *eval_data, *init, *dtype, *task, *replay,
        *isa, *adapter, *question_field, *answer_field, *to, *type, *shard_size, *about, *labels_out, *labels_in,
        *format;
    int threads, json, dry_run, preview, decode, special, normalize, stop_after, limit, help, profile, ollama, verify,
        with_seeds, ranks_per_arm, ranks;
    double network, latency;
    unsigned long long seed;
    struct generate_engine_asked engine;
    struct served_options serve;
    struct talk_options talk;
    struct http_options http;
    char include[PULL_MAX_INCLUDE][PULL_MAX_GLOB];
    int n_include;
};
void cli_values_default(struct cli_values *v);

struct assignment {
    const struct option_spec *spec;
    enum option_scope scope;
    const char *text;
    struct assignment *next;
};
struct options {
    struct arena arena;
    struct assignment *first, *last;
    const char **rest; /* arguments that are not options */
    int n_rest;
};
/* groups: those that the verb takes. Prefixes ask-, answer-, train- are options only when groups has GROUP_ALIGN. Names
 * the nearest option for a misspelt one. */
int options_read_command(struct options *o, int argc, char **argv, unsigned groups, struct error *err);
/* Over what o has; its rest is more's. */
int options_append(struct options *o, const struct options *more, struct error *err);
/* config.c: the files that --config names, then the command line over them. */
int options_parse(struct options *o, int argc, char **argv, unsigned groups, struct error *err);
int options_read_config(struct options *o, const char *path, unsigned groups, struct error *err);
/* As one line of a configuration file: name (with a prefix or not) and value. */
int options_set_text(struct options *o, const char *name, const char *value, unsigned groups, struct error *err);
const struct option_spec *options_named(const char *name, unsigned groups); /* with a prefix or not; or NULL */
/* option_near.c. The option that a name is a slip of the pen away from, or NULL. */
const char *options_near(const char *name, unsigned groups);
/* What to do about a name that is no option here: the one that was meant, by its name elsewhere too, or the verbs that
 * have it, or --help. */
void options_suggest(const char *name, size_t length, unsigned groups, struct buf *out);
/* Names, with commas between, the verbs that have an option of this very name, and returns how many; main sets it, as
 * verbs stand above options. */
extern int (*options_elsewhere)(const char *name, size_t length, struct buf *out);
void options_free(struct options *o);
/* Writes every assignment of the scope and groups into target. */
int options_apply(const struct options *o, enum option_scope scope, unsigned groups, void *target, struct error *err);
/* One option from a JSON value (a record's override): 0, or an error naming option, wanted and found. ERROR_USAGE with
 * an empty message when there is no such option in groups. */
int options_set_json(const char *name, const json_t *value, unsigned groups, void *target, struct error *err);
const struct option_spec *option_table(int *n);
const struct option_spec *option_find(const char *name, unsigned groups);
const struct option_spec *option_find_part(const char *name, size_t length, unsigned groups); /* of length bytes */

#endif
