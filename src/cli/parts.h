/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs share: parsed options, opened parts, records in and out. Only this floor prints and chooses exit
 * codes. */
#ifndef CLI_PARTS_H
#define CLI_PARTS_H

#include "cli/options.h"
#include "generate/generate.h"
#include "io/checkpoint.h"
#include "isara.h"
#include "text/tokenizer.h"
#include "train/train.h"

struct verb {
    const char *name, *summary, *arguments, *example;
    unsigned groups;
    int (*run)(const struct verb *verb, struct options *options, const struct cli_values *values, struct error *err);
};
extern const struct verb cli_verbs[];
extern const int cli_n_verb;
const struct verb *verb_find(const char *name);                   /* or NULL */
const char *verb_meant(const char *name);                         /* the verb that a name is meant for, or NULL */
int verbs_with(const char *name, size_t length, struct buf *out); /* for options_elsewhere */

/* complete.c: what the last of the words behind isara may become; 0, or 2 for a shell that has no script. */
void complete_words(int n, char **words);
int complete_script(const char *shell);

int verb_align(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_generate(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_score(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_embed(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_tokenize(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_train(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_chat(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_convert(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_inspect(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_serve(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_view(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_eval(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_experiment(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_plan(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_report(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_export(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_pull(const struct verb *, struct options *, const struct cli_values *, struct error *);
int verb_doctor(const struct verb *, struct options *, const struct cli_values *, struct error *);

/* A verb that did its work but for some records returns this: exit code 1, the records carry their errors. */
enum { CLI_SOME_FAILED = 1, CLI_DIFFERENT = 3 /* report --verify found a difference: exit code 3 */ };

/* --- open.c: a model with everything around it --- */
struct cli_model {
    struct device *device;
    struct checkpoint *checkpoint;
    struct tokenizer *tokenizer; /* NULL when the model has none (and then only ids are taken) */
    struct model *model;
};
int cli_dtype(const struct cli_values *v, enum dtype fallback, enum dtype *dtype, struct error *err);
int cli_open_device(struct cli_model *p, const struct cli_values *v, struct error *err);
int cli_open_tokenizer(struct cli_model *p, const struct cli_values *v, int required,
                       struct error *err); /* opens the checkpoint too */
int cli_open_model(struct cli_model *p, const struct cli_values *v, enum dtype fallback, enum model_task task,
                   struct error *err);
void cli_close(struct cli_model *p);
struct record_source cli_source(const struct cli_values *v, const char *path); /* a file of people's records */
int cli_require(const char *value, const char *option, const char *what, struct error *err);

/* find_model.c: --model, or what stands behind the verb: a run directory, whose last model then is v->model, or a model
 * all the same, perhaps of a run (RUN/NAME/model). */
struct cli_found {
    char *made, *pretrained; /* a run's: its last model, unless one was named; the one that was tuned; NULL: no run */
    json_t *words;           /* the template that the model was made with, as config.resolved.json has it, or NULL */
};
int cli_find_model(const struct options *options, struct cli_values *v, struct cli_found *out, struct error *err);
void cli_found_free(struct cli_found *f); /* after an error too */

/* serve.c: what serve and others that listen share. The key may come from the environment. */
struct http_options cli_http_options(const struct cli_values *v);
void cli_show_address(const struct http_options *h, int port, const char *path);

/* check_output.c: ERROR_CONFIG when --output is an input, by whatever name or link. */
int cli_check_output(const struct options *o, const struct cli_values *v, struct error *err);

/* about.c: a YAML file of statements, name: text, into r's about. ERROR_CONFIG names the line of one that is not asked
 * for, or is no text. */
struct report_run;
int cli_read_about(struct report_run *r, const char *path, struct error *err);

/* --- records.c: people's records through a verb --- */
struct records {
    json_t **items;
    char **errors;
    long *numbers; /* what stands for an id; NULL: their places */
    int n;
    struct buf ignored; /* names of fields that are not read, for one line when all is read */
};
/* Reads every record of --input into memory (seeds and prompts are small) as io/record_reader.h does; each is an
 * object. */
int records_read(struct records *r, const struct cli_values *v, struct error *err);
/* What a verb takes, made of any record that has question and answer (io/record.h): as they are, without a template.
 * A record that has the verb's own fields, or no known ones, stays as it is, but for fields that belong to the others.
 *   prompt: "prompt" from the question; of a conversation, with chat, "messages" before the assistant's last turns
 *   pair:   that and "completion" from the answer
 *   text:   "text" from the question */
int records_as_prompt(struct records *r, int i, int chat); /* 1: of a conversation the first question is left */
void records_as_pair(struct records *r, int i);
void records_as_text(struct records *r, int i);
void records_free(struct records *r);
json_t *records_id(const struct records *r, int i);               /* its id, or its line number from 0; new reference */
void records_fail(struct records *r, int i, const char *message); /* remembers why record i has no result */
/* Of a look before the work: 0, or CLI_SOME_FAILED when there are records that would fail, with how many and the first.
 */
int records_foresee(const struct records *r);
void records_ignore(struct records *r, const char *field);                       /* said once for all records */
void records_ignore_others(struct records *r, int i, const char *const *fields); /* all but these (NULL-terminated) */
void records_say_ignored(const struct records *r);
/* The field of a text and the one of its ids, either of which a record may have. */
struct record_field {
    const char *text, *ids;
    int add_special; /* the text is tokenised with the tokenizer's BOS */
};
extern const struct record_field record_prompt; /* "prompt" or "prompt_token_ids" */
/* The ids as they are, or the text tokenised. Appends to out; -1 with the record failed. */
int records_tokens(struct records *r, int i, const struct record_field *f, const struct tokenizer *t, int n_vocab,
                   struct tokens *out);
/* The same for "completion" or "completion_token_ids" after the prompt's ids, which out holds (text/pair.h). */
int records_completion(struct records *r, int i, const struct tokenizer *t, int n_vocab, struct tokens *out);

/* Output, one line a record, in input order, each written once and whole. To standard output: as soon as its turn
 * comes. To a file: results are first kept, in the order they come, in PATH.partial, whose first line holds the
 * settings (what the results depend on: options, model, build, input); a run that was killed and is started again with
 * the same settings takes them from there; close writes PATH whole and removes it. Refused: other settings (by name, in
 * both directions), another process at the same PATH, a PATH.partial that is a link or none of isara's. */
struct writer;
int writer_open(struct writer **out, const char *path, const struct records *r, const json_t *settings,
                struct error *err);
/* What lines depend on besides their records: verb, build, and (when PATH is a file) the model's files by hash. A new
 * reference. */
int writer_settings(json_t **out, const char *verb, const char *path, const struct checkpoint *ck, struct error *err);
int writer_has(const struct writer *w, int index);
int writer_put(struct writer *w, int index, json_t *line, struct error *err); /* takes line */
int writer_close(struct writer *w, int finish,
                 struct error *err); /* finish 0: leaves the partial file for the next run */

/* inspect_records.c: what a file of records is taken for, with its first rows. */
int cli_inspect_records(const struct cli_values *v, const char *path, struct error *err);

/* convert_gguf.c: p has checkpoint and tokenizer (or NULL); --output is the file, or the directory for model.gguf.
 * words: the template of the run that made the model (docs/FORMATS.md), or NULL. */
int cli_convert_gguf(const struct cli_model *p, const struct cli_values *v, const json_t *words, struct error *err);

/* --- terminal.c --- */
void terminal_start(const struct cli_values *v);
struct energy;
/* Taken since it was opened: "12.3 J" or "energy not read", and as members of a JSON object; appended. */
void cli_energy(struct energy *e, struct buf *text, struct buf *members);
void terminal_end(void);
/* --- chat_lines.c: standard input, line by line --- */
struct lines {
    struct buf ahead; /* read and not yet handed out */
    size_t at;
    int ended;
};
enum lines_state { LINES_LINE, LINES_END, LINES_INTERRUPTED };
/* The next line without its end, into line; lines that end in a backslash go on. ERROR_IO, or the state. */
int lines_next(struct lines *l, struct buf *line, struct error *err);

/* --- chat_columns.c --- */
int terminal_width(void); /* of standard output; 0: it is no terminal */
/* Two texts beside each other, each under its heading, within the width. */
struct side {
    const char *heading, *text;
};
void columns_write(struct buf *out, const struct side pair[2], int width);

/* --- help.c --- */
void help_main(void);
void help_verb(const struct verb *verb);
void help_man(void);

struct align_options;
int cli_align_options(const struct options *options, const struct cli_values *v, struct align_options *o,
                      struct error *err);

/* --- option_json.c: what was given, as the calls of isara.h take it --- */
/* A new object: the options of the groups, and the command's own whose names are listed (NULL behind the last). */
int options_object(const struct options *o, unsigned groups, const char *const *own, json_t **out, struct error *err);
/* The owners' and the engine's options and those listed, as a text for free. */
int options_json(const struct options *o, const char *const *own, char **out, struct error *err);
const char *options_text(const struct options *o, const char *name); /* the last one given, or NULL */
int cli_error(const struct isara_error *from, struct error *to);     /* its code */
void cli_show_report(struct isara_report *r, int as_json);           /* prints and frees */

#endif
