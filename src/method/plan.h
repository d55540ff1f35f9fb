/* SPDX-License-Identifier: Apache-2.0 */
/* Peak memory and time of an alignment before its model is loaded, from the descriptor, the seeds and the machine.
 * Memory is what becomes resident and belongs to the process (RssAnon in /proc); mapped model files are not counted,
 * the system can drop them. What is generated is assumed to be as long as the seeds are, and half of the attempts to
 * be kept. */
#ifndef METHOD_PLAN_H
#define METHOD_PLAN_H

#include "answer/seeds.h"
#include "method/method.h"

/* --- plan_ranks.c: of a training that several ranks share, each a machine like this one. */
struct plan_network { /* of every rank, both ways at once; gbit 0: not known, and no times are given */
    double gbit, ms;  /* ms: one way */
};
struct plan_asked {
    int n_rank;
    struct plan_network network;
};
/* Seconds of one process for a step; head: its part of the backward pass. */
struct plan_load {
    double forward, backward, head;
};
/* Another number of ranks pays when its step is PLAN_PAYS times as fast as that of the one before. */
enum { PLAN_RANKS = 16 };
#define PLAN_PAYS 1.1
struct plan_ranks {
    struct plan_rank {
        struct train_share share;
        double step, round; /* seconds */
    } ranks[PLAN_RANKS];
    int n, asked; /* n 0: nobody asked; asked: which one it is */
    int pays;     /* the last one that pays */
};

/* What a file of a plan has. */
struct plan_file {
    double tokens; /* from its first 64 KiB; 0 without a tokenizer */
    int n;         /* records; of plain text 0 */
};
/* answers: tokens of its records' answers alone. */
int plan_file(struct plan_file *out, const struct tokenizer *t, const char *path, int answers, struct error *err);
struct plan {
    double loaded;                  /* packed weights, rotary table, tokenizer, the process itself */
    double ask, answer, tune, peak; /* of each phase, and of all */
    double ask_seconds, answer_seconds, tune_seconds;
    double machine;                        /* its memory */
    double question_tokens, answer_tokens; /* a pair's mean */
    struct plan_ranks ranks;
    struct plan_elsewhere {
        double requests, prompt_tokens, completion_tokens; /* 0: done here */
    } elsewhere[ALIGN_ROLES];
    struct plan_tax { /* --general and --over-refusal; 0: not given */
        double text_tokens, text_seconds, prompt_seconds;
        int prompts, n_model; /* models that are measured, if every round is tuned */
    } tax;
};
/* Rates that were measured, for whoever plans several times with one device; zeroed at the start. */
struct plan_rates {
    struct {
        enum dtype dtype;
        int rows;
        double rate;
    } known[16];
    int n;
};
/* The model that will be loaded. */
struct plan_model {
    const struct model_desc *desc;
    const struct checkpoint *source;
    const struct tokenizer *tokenizer; /* NULL: it has none */
    struct device *device;
    struct plan_rates *rates;       /* NULL: measured anew */
    int keep_blocks;                /* model_options'; plan_align knows by itself */
    const struct plan_asked *asked; /* NULL: one process */
};
struct plan_work {
    const struct train_base *base;
    const struct train_options *options;
    const struct train_data *data;
    const struct plan_asked *asked;
    int rows; /* of a step, and so many ranks at most */
    struct plan_load load;
    double steps, divided; /* of a round: its steps, and seconds of one process that ranks divide among them */
};
/* Resident at the peak of tuning. */
double plan_rank_bytes(const struct train_share *s, const struct tokenizer *t);
int plan_ranks(struct plan_ranks *out, const struct plan_model *m, const struct plan_work *w, struct error *err);
/* A step on these rows here. */
struct plan_load plan_load_of(const struct plan_model *m, const struct train_options *o, const struct train_data *data);
/* Whether tuning needs another form of the model's weights than its file's blocks. */
int plan_dequantises(const struct plan_model *m, const struct align_options *o);
extern const char plan_dequantised[]; /* what is said then */
/* Bytes of it loaded in this type. */
int plan_loaded(double *bytes, const struct plan_model *m, enum dtype dtype, struct error *err);
/* What tuning has resident beside train_memory's slabs. */
double plan_tuning_rest(const struct tokenizer *t);
double plan_machine(const struct device *d); /* bytes of its memory */
/* Floating-point operations per second of a product of that many rows, measured now in a few milliseconds of processor
 * time, as if all threads had a processor to themselves; 0: no memory for it. */
double plan_rate(struct device *device, enum dtype dtype, int rows);
/* Tokens of a work on texts besides tuning: read through the layers; of these with the vocabulary too; generated, beams
 * together. rows: as many at once. */
struct plan_texts {
    double read, scored, written;
    int rows;
};
double plan_texts_seconds(const struct plan_model *m, enum dtype t, const struct plan_texts *w);
/* From the start of a process (or a job) to its model's first work; loaded: bytes as plan_loaded has them. */
double plan_open_seconds(const struct plan_model *m, double loaded);
/* Without a tokenizer or seeds (NULL) pairs of 15 + 25 tokens are assumed. */
int plan_align(struct plan *p, const struct plan_model *m, const struct seeds *seeds, const struct align_options *o,
               struct error *err);
/* Sets p->tax, after plan_align. */
int plan_tax(struct plan *p, const struct plan_model *m, const struct align_options *o, struct error *err);
int plan_fits(const struct plan *p, struct error *err); /* ERROR_FAILED: into the machine's memory it does not */
/* Says in one line what an alignment will take, and refuses one that does not fit (ERROR_FAILED). */
int plan_before(const struct align_options *o, struct device *device, struct error *err);

#endif
