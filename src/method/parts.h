/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of method/: one alignment at work. The phases of a round (ask, retrieve, answer, verdicts, tune) each look at the round's attempts, do what is not done yet
 * and put it into the journal; so a phase is also its own resumption. */
#ifndef METHOD_PARTS_H
#define METHOD_PARTS_H

#include "answer/seeds.h"
#include "base/arena.h"
#include "method/answers.h"
#include "method/method.h"
#include "retrieve/retrieve.h"
#include "run/run.h"
#include "text/template.h"

enum phase { PHASE_ASK = 1, PHASE_ANSWER, PHASE_EVALUATE, PHASE_CONTEXTS }; /* name streams of random numbers */

struct pool_item { const char *question, *answer; int round, index; }; /* round 0: a seed, index in the file */
void pool_name(const struct pool_item *p, char name[40]);              /* "seed-3", "r1-a17" */

struct align {
    struct align_options o;
    struct device *device;
    struct checkpoint *source;      /* the pretrained model */
    struct tokenizer *tokenizer;
    struct template *template;
    const struct prompt_style *style; /* of answers outside of a run; NULL: the template */
    struct model_desc desc;
    char ask_cue[64], answer_cue[64]; /* what a text must not hold: "Question:", "Answer:" */
    struct seeds seeds, test;
    struct sift *test_questions;    /* NULL: no test set */
    unsigned char *in_test;         /* [seeds.n]: that seed is a test question */
    struct overlap_counts { int seeds, generated, left_out, kept; } overlap; /* kept: generated ones near a test question that were trained on */
    int *given, n_given, *held, n_held; /* indices of seeds in the method and kept out of it */
    struct pool_item *pool; int n_pool; /* contexts of this round */
    struct pool_item *kept; int n_kept, cap_kept; /* of earlier rounds and, after its verdicts, this one */
    struct retriever *retriever; int n_retriever; /* over the pool's first n_retriever items */
    struct run *run;                /* NULL: nothing is written (preview) */
    struct model *model;            /* what is loaded, from model_path in model_dtype */
    char *model_path;
    char source_sha256[65];
    json_t *files;                  /* the model's and the encoder's other files by hash, for the settings */
    struct arena arena, round_arena; /* the run's; the round's */
    int round;
    struct run_attempt *attempts; int n_attempt;
};

/* options.c */
json_t *align_settings(const struct align *a);  /* everything that decides the bits; new reference or NULL */
json_t *align_manifest(const struct align *a);
/* Options from a run's settings and manifest (replay). Strings are the settings'. */
int align_options_from(struct align_options *o, const json_t *settings, const char *where, struct error *err);

/* setup.c */
int align_open(struct align *a, struct device *device, const struct align_options *o, struct error *err); /* everything but the run */
int align_open_inputs(struct align *a, struct device *device, const struct align_options *o, struct error *err); /* the same without the weights' hash */
/* Warns when fewer than k pairs fit into a prompt beside the question and what is to be written. Uses the seeds given. */
int align_warn_contexts(const struct align *a, int new_tokens, struct error *err);
void align_close(struct align *a);
int align_load(struct align *a, const char *path, enum dtype dtype, struct error *err);  /* a->model := that one */
int align_load_pretrained(struct align *a, struct error *err);
int align_open_parts(struct align *a, struct error *err); /* the language model's files and tokenizer, and the template, as a->o names them */
int align_read_cues(struct align *a, struct error *err); /* after the template changed */
char *align_round_file(const struct align *a, int round, const char *name); /* RUN/round-t/name; mem_free */
/* RUN/round-t/model of the round's model, or the pretrained one's path for round 0; mem_free. */
char *align_model_path(const struct align *a, int round);
/* A prompt's tokens as generation sees them, replacing out's content. people: where its words are not ours, or NULL. */
int align_encode_prompt(const struct align *a, const struct buf *text, const struct text_spans *people, struct tokens *out, struct error *err);
int align_prompt_flags(const struct align *a);                              /* of tokenizer_encode, by the style */
void align_end_ids(const struct align *a, struct generate_options *o);      /* n_eos 0: the model's */
struct example align_example(const struct align *a, int pool_index);

/* pool.c */
int align_make_pool(struct align *a, struct error *err);                    /* as it stands when a->round begins */
int align_add_kept(struct align *a, const struct run_attempt *attempts, int n, int round, struct error *err);
int align_embed(struct align *a, const char *const *texts, int n, float **out, int *dim, struct error *err); /* with the retriever's model; mem_free */
int align_make_retriever(struct align *a, struct error *err);
/* k nearest of the pool to each text: hits[i*k..], found[i]. */
int align_nearest(struct align *a, const char *const *texts, int n, int k, struct retriever_hit *hits, int *found, struct error *err);

/* prompt.c: fits contexts into the window, dropping the first ones (the farthest). Contexts are pool indices in the prompt's order. */
struct prompt { struct tokens ids; int dropped; struct buf text; struct text_spans people; };
void prompt_free(struct prompt *p);
int prompt_ask(const struct align *a, const int *contexts, int n, struct prompt *out, struct error *err);
int prompt_answer(const struct align *a, const int *contexts, int n, const char *question, struct prompt *out, struct error *err);
/* As prompt_answer, with what the style puts before an answer that is given; no room is kept for new tokens. */
int prompt_score(const struct align *a, const int *contexts, int n, const char *question, struct prompt *out, struct error *err);
/* The tokens of an answer behind that prompt, appended to out (text/pair.h). */
int prompt_completion(const struct align *a, const struct prompt *p, const char *answer, struct tokens *out, struct error *err);
/* Does the text read back as what it was meant to be? */
int prompt_question_parses(const struct align *a, const char *question);
int prompt_answer_parses(const struct align *a, const char *answer);

/* make.c: runs requests for attempts and hands each text to `put` as it finishes. */
struct making { int index; struct prompt prompt; const int *contexts; int n_context; int question; };
int align_make(struct align *a, struct making *list, int n, int is_question, const char *stage,
               int (*put)(struct align *a, int index, const struct run_text *t, struct error *err), struct error *err);

/* ask.c, answer.c, verdicts.c, tune.c, export.c */
int align_ask(struct align *a, struct error *err);
int align_retrieve(struct align *a, struct error *err);
int align_answer(struct align *a, struct error *err);
int align_ask_contexts(struct align *a, int index, int *contexts, int *n, struct error *err);
/* Why the question alone is rejected, against seeds and earlier rounds and the same words earlier in this round; SIFT_KEPT if it is not. */
int align_question_fault(struct align *a, struct sift *before, int index, enum sift_reason *reason, int *match, struct error *err);
int align_sift_before(struct align *a, struct sift **out, struct error *err);
int align_verdicts(struct align *a, int most_kept, int *kept, struct error *err);
int align_tune(struct align *a, long *steps, char sha256[65], struct error *err);
int align_tune_on(struct align *a, const char *directory, const char *from, const struct pool_item *items, int n, int max_steps, long *steps, char sha256[65],
                  struct error *err);
int align_model_sha256(const char *directory, char sha256[65], struct error *err);
int align_write_generated(struct align *a, struct error *err);
int align_write_review(struct align *a, struct error *err);
int align_read_review(struct align *a, int *kept, struct error *err);

/* align.c: the round's attempts from the journal into memory. */
int align_load_round(struct align *a, int round, int n, struct error *err);
int align_check_run(struct align *a, struct error *err); /* the journal against the options and files: ERROR_DATA */

/* test_overlap.c: after seeds and test set are read; *row -1: the question is near none of them; adds a round's attempts to the counts. */
int align_open_overlap(struct align *a, struct error *err);
int align_near_test(struct align *a, const char *question, int *row, struct error *err);
int align_count_overlap(struct align *a, struct error *err);
json_t *align_overlap_json(const struct align *a);
void align_overlap_text(const struct align *a, struct buf *text);
int align_overlap_manifest(const struct align *a, struct error *err); /* brings the counts there up to date */

/* arms.c, evidence.c: what each arm gives for the questions it is measured on. */
struct arm {
    char name[32];
    char *model;                    /* path; the pretrained one's for arms without tuning */
    int round;                      /* of align; 0: a baseline */
    int nearest, random;            /* in-context: k nearest or k random seeds before the question */
    long steps;
    char sha256[65];
    struct run_result *results;     /* [n] of the set */
};
struct arms {
    struct arm *list; int n, cap;
    const char *set;                /* "test" or "holdout" */
    struct seed *items; int n_item; /* what is measured on; borrowed texts */
    int n_text;                     /* of the first so many, answers are generated */
    int *contexts, *n_context;      /* [n_item,k] nearest last; for ICL-kNN */
    char labels[MODEL_MAX_LABEL][64]; int n_label; /* of the judge */
    char judge_name[512], judge_sha256[65];
};
int align_arms(struct align *a, struct arms *arms, struct error *err);      /* makes the list, tunes the baselines */
int align_measure(struct align *a, struct arms *arms, struct error *err);   /* fills the results */
void arms_free(struct arms *arms);
/* compare.c: r->arms with everything that is known of each arm and what its tests can find. */
int align_compare_arms(const struct align *a, const struct arms *arms, struct align_result *r, struct error *err);
/* An arm beside another one; Holm's correction over the n p-values of a family (those that are defined). */
int align_compare(const struct align *a, const struct arms *arms, int mine, int other, struct align_compared *out, struct error *err);
int align_correct(struct align_compared *const *family, int n, struct error *err);
/* report_arms.c: the table of arms into r->arms and r->summary, and as rows of JSON; the last round beside the other arms, the first one beside as many steps on the seeds. */
struct arm_lists { json_t *arms, *last_against, *first_against; };
int align_report_arms(const struct align *a, const struct arms *arms, struct align_result *r, const struct arm_lists *lists, struct error *err);
/* report.c: tables and metrics.json. */
int align_report(struct align *a, struct arms *arms, struct align_result *r, struct error *err);

#endif
