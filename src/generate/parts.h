/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the engine, shared by engine.c (a whole run), session.c (begin to end), plan.c (sizes and set-up),
 * admit.c (who runs), step.c (one model pass), job.c (a request while it runs), anew.c (its keys once more).
 *
 * A request that runs is a job with lanes: its beams, or its samples, or one. A lane has a slot: a row of the block
 * table that says which pages hold its keys and values. A step makes one model pass over rows of all jobs: a chunk of
 * the prompts that are not in the cache yet and the newest token of every lane; then processors and the choice of
 * tokens run on the device, and the host merges a handful of candidates a lane. Everything a step needs is there before
 * it starts; it allocates nothing. */
#ifndef GENERATE_PARTS_H
#define GENERATE_PARTS_H

#include "generate/beam.h"
#include "generate/pages.h"
#include "generate/rules.h"

/* sequences in flight, rows of logits at once, unless told */
enum { BATCH = 256, HEAD_ROWS = 256 };

enum job_kind { JOB_GREEDY, JOB_BEAM, JOB_SAMPLE, JOB_KINDS };
struct lane {
    int slot, live, n; /* n: generated so far (greedy, sample) */
    int32_t *ids;      /* [max_new] */
    float *logprobs;
    enum finish_reason finish;
};
struct job {
    int number; /* from 1: its slot among the jobs, + 1 */
    enum job_kind kind;
    const struct generate_request *request;
    int n_lane, n_live, n_stored; /* n_stored: prompt positions computed or found */
    int n_turn; /* by whose frequencies its beginning turns: a text so long (docs/NUMERICS.md); the prompt's at first */
    int n_again; /* anew.c: tokens behind the prompt that are stored once more, of all lanes */
    int decoding, finished;
    long rows;        /* generate_result's */
    int overflowed;   /* its logits were not finite: no result */
    int bound;        /* pages it may need at worst */
    int from, n_full; /* tree: pages found */
    int *prompt_pages, n_prompt_page;
    int *slot_of, *spare; /* [n_lane] scratch of job_follow */
    struct lane *lanes;
    struct beam_search beam;
    void *memory;
};
struct slot {
    int *table, n_block;
};
struct out_row {
    struct job *job;
    int lane, row;
};
struct chosen { /* a token that is to be told: the lane's n-th */
    struct job *job;
    int lane, n;
};
/* Host mirror of the arrays a step uploads at once. */
struct staging {
    char *host;
    struct span device;
    size_t used, capacity;
};
struct finder; /* stop.h */

struct generate_engine {
    struct model *model;
    const struct model_desc *desc;
    const struct tokenizer *tokenizer;
    struct generate_engine_options options;
    struct device *device;
    struct queue *queue;
    struct generate_stats stats;

    struct kv_layout layout;
    struct pages pages;
    struct buffer *kv;
    struct span *layer_pages; /* [L] */

    /* sized for one session */
    int open, failed; /* failed: nothing but the end is left */
    struct generate_limits limits;
    struct generate_calls calls;
    int max_batch, max_len, n_keep, n_top, stride, uses_rules;
    struct model_workspace *workspace;
    int workspace_row, workspace_out;
    struct buffer *device_io; /* inputs, logits and results */
    struct staging in;
    struct span logits, values, ids, raw;
    int head_rows; /* rows of logits at once */
    float *host_values, *host_raw;
    int32_t *host_ids;
    char *slab; /* host arrays of the run */
    size_t slab_bytes;

    struct slot *slots;
    int *free_slots, n_free_slot;
    struct job *jobs;    /* [max_batch] */
    struct job **active; /* in order of admission */
    int n_active, max_job;
    const struct generate_request *
        *waiting; /* a window [first_waiting, + n_waiting) that moves up, in order of submission */
    int first_waiting, n_waiting, waiting_capacity;

    /* one step */
    int32_t *tokens, *positions, *lengths, *row_seq, *copies, *seen_offsets, *seen_ids, *banned_offsets, *banned_ids,
        *blocks;
    float *bias, *penalty, *knobs, *uniform;
    int *out_index;
    int n_row, n_seq, n_copy, prompt_rows;
    int *pinned, n_pinned; /* pages being copied from */
    int *found, *zeros;    /* scratch [stride], [max_batch] */
    struct out_row *outs[JOB_KINDS];
    int n_out[JOB_KINDS];
    struct beam_candidate *candidates;
    struct rule_marks marks;
    struct finder *finder;
    struct job **done;
    int n_done;
    struct chosen *chosen;
    int n_chosen;
    const struct generate_request *telling; /* whose result is being told; NULL once a callback cancels it */
};

/* job.c */
int job_lanes(const struct generate_options *o);
/* Pages it needs at worst when n_full pages of its prompt are found and one more is copied from (partial). */
int job_bound(const struct generate_options *o, int n_prompt, int page, int n_full, int partial);
int job_start(struct generate_engine *e, struct job *job, const struct generate_request *r, struct error *err);
/* Lane i goes on as lane parent[i] was. */
void job_follow(struct generate_engine *e, struct job *job, const int *parent);
void job_empty_slot(struct generate_engine *e, int slot); /* gives its pages back */
void job_release_lane(struct generate_engine *e, struct lane *lane);
void job_end(struct generate_engine *e, struct job *job); /* gives everything back */
int job_result(struct generate_engine *e, struct job *job, struct generate_result *result, struct error *err);
void job_result_free(struct generate_result *result);

/* admit.c: lets waiting requests in while there is room. */
int admit_waiting(struct generate_engine *e, struct error *err);
/* Why a request can never run, as result->error; 0 when it can. */
int admit_check(const struct generate_engine *e, const struct generate_request *r, struct error *err);

/* session.c: begin, with sizes that are known closer than the limits say. */
struct plan;
int session_open(struct generate_engine *e, const struct plan *p, const struct generate_limits *limits,
                 const struct generate_calls *calls, struct error *err);

/* plan.c */
struct
    /* what the requests that can run need together; most: sequences in flight, 0: the engine's max_batch or BATCH */
    plan {
    int n, max_len, max_lane, n_keep, uses_rules, uses_stop, max_bound, most;
    long lanes, pages;
};
void plan_add(struct plan *p, const struct generate_request *r, int page);
/* Of a session that the limits allow. */
struct plan plan_of_limits(const struct generate_limits *l, int page);
int plan_set_up(struct generate_engine *e, const struct plan *p, struct error *err);
void plan_drop(struct generate_engine *e); /* the host arrays of a session */
int plan_uses_rules(const struct generate_options *o);
int plan_keep(const struct generate_options *o); /* candidates it looks at */
/* Bytes that keys and values take at most where nobody gives a budget: a quarter of the memory, in `share` parts. */
size_t plan_kv_most(const struct device *device, int share);
/* Positions in a page: beams' own ends begin in the middle of one, so where positions take much pages are small. */
int plan_page(const struct model_desc *d, enum dtype kv_dtype);
size_t plan_page_bytes(const struct generate_engine *e); /* of one page in all layers */

/* step.c */
int step_run(struct generate_engine *e,
             struct error *err); /* an error is the device's: the engine's pages are lost with it */

/* step_rows.c */
/* The first n positions of page `from` are copied to page `to` before the step's pass. */
void step_copy_page(struct generate_engine *e, int from, int to, int n);
/* A place for a write at position pos of the slot: takes or copies a page if need be. */
void step_make_writable(struct generate_engine *e, int slot, int pos, int share);
int step_seq(struct generate_engine *e, int slot); /* the slot's pages, as the step's rows name them */
int step_row(struct generate_engine *e, const struct job *job, int32_t token, int pos, int seq);

/* anew.c: longrope, whose texts turn all their positions otherwise when they grow past the original context. */
int anew_possible(const struct generate_engine *e, const struct generate_request *r);
void anew_check(struct generate_engine *e, struct job *job); /* begins when the next token is past it */
void anew_rows(struct generate_engine *e, struct job *job);

#endif
