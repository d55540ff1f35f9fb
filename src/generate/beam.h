/* SPDX-License-Identifier: Apache-2.0 */
/* Beam search as a pure function over candidate lists: no model, no logits, no device. The caller hands in the best
 * continuations of the running beams and gets back which beams run on. Three published rules (PROTOCOLS 8.2):
 *   4.35  a finished beam scores sum / (prompt + generated without EOS) ^ length_penalty, in double; what is attainable
 *         counts the new token too (4.35.2's process() adds 1 to the length that is_done gets);
 *   4.48  sum / (generated with EOS) ^ length_penalty, in double;
 *   4.49  the same, in float as the vectorised code has it; beams at the length limit are banked like finished ones.
 * Equal scores: the lower flat index (beam * vocabulary + token) first. Nothing is allocated after beam_init. */
#ifndef GENERATE_BEAM_H
#define GENERATE_BEAM_H

#include "generate/generate.h"

struct beam_candidate {
    float score; /* accumulated, processors applied */
    float raw;   /* log-probability of the token before processors */
    int parent;  /* running beam it continues */
    int32_t token;
    int ends; /* the token is an EOS, or a stop string is complete with it */
};
struct beam_hypothesis {
    double score;
    int n, ends,
        finished; /* ids generated (with EOS); ended by itself; 4.49: a real hypothesis and not a placeholder */
    int32_t *ids;
    float *logprobs;
};
struct beam_search {
    int n_beam, n_prompt, max_new, keep; /* keep: candidates wanted each step */
    double length_penalty;
    enum early_stopping early_stopping;
    enum beam_compat compat;
    int n_new, done;         /* tokens every running beam has; nothing runs on */
    int *parent;             /* [n_beam] of the beams that run on: the previous step's beam it continues */
    int32_t *token;          /* [n_beam] its newest token */
    float *score;            /* [n_beam] */
    int32_t *ids, *ids_next; /* [n_beam][max_new] running histories */
    float *logprobs, *logprobs_next;
    struct beam_hypothesis *bank; /* [n_beam + 1], in the order the rule keeps them */
    int n_bank;
    double worst;                   /* 4.35, 4.48: of the bank once it is full */
    int improvable;                 /* 4.49: the heuristic has not failed yet */
    int *picked;                    /* scratch [keep + n_beam] */
    float *value;                   /* scratch [keep] */
    struct beam_hypothesis *merged; /* scratch [n_beam] */
};

/* The beam part of the options. n_eos <= MODEL_MAX_EOS. */
static inline int beam_keep(int n_beam, int n_eos)
{
    return (n_eos > 1 ? 1 + n_eos : 2) * n_beam;
}
size_t beam_bytes(int n_beam, int n_eos, int max_new);
/* memory: beam_bytes, 16-aligned, owned by the caller. */
void beam_init(struct beam_search *b, void *memory, const struct generate_options *o, int n_prompt);
/* The best continuations of each row, as the operator `candidates` gives them: [n_row][n_top], best first. n_row is
 * n_beam, or 1 at the first step, when the other beams are the same prompt with a start score of -1e9. */
struct beam_lists {
    const float *values;
    const int32_t *ids;
    const float *raw;
    int n_row, n_top;
};
/* Merges the rows' lists into the keep best, in order. Returns how many there are. */
int beam_merge(const struct beam_search *b, const struct beam_lists *lists, struct beam_candidate *out);
/* Takes the merged candidates (with `ends` set) and decides. */
void beam_step(struct beam_search *b, const struct beam_candidate *c, int n);
/* After done: best first, at most n hypotheses; returns how many. */
int beam_best(struct beam_search *b, const struct beam_hypothesis **out, int n);
const int32_t *beam_ids(const struct beam_search *b, int beam); /* n_new of them */

#endif
