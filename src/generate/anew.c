/* SPDX-License-Identifier: Apache-2.0 */
/* A text that grows past its model's original context: longrope then turns all of it by another list of frequencies, so
 * that its keys and values are computed once more, the prompt first, then what each lane has generated. Such a request
 * shares no pages with others (admit.c), so that those it takes again are those it had. */
#include "generate/parts.h"

#include <string.h>

/* Is there a list of frequencies that ends between a text of n tokens and one of m? */
static int list_ends(const struct model_desc *d, int n, int m)
{
    for (int i = 0; i < 2; i++) {
        const struct model_rotation *r = &d->rotations[i];
        if (r->limit && r->stretch <= 0 && n <= r->limit && m > r->limit)
            return 1;
    }
    return 0;
}

int anew_possible(const struct generate_engine *e, const struct generate_request *r)
{
    return list_ends(e->desc, r->n_prompt, r->n_prompt + r->options.max_new_tokens - 1);
}

/* Tokens that every lane which runs has. */
static int generated(const struct job *job)
{
    for (int i = 0; i < job->n_lane && job->kind != JOB_BEAM; i++)
        if (job->lanes[i].live)
            return job->lanes[i].n;
    return job->beam.n_new;
}

static int first_lane(const struct job *job)
{
    int first = 0;
    while (!job->lanes[first].live)
        first++;
    return first;
}

void anew_check(struct generate_engine *e, struct job *job)
{
    const struct generate_request *r = job->request;
    int length = r->n_prompt + generated(job);
    if (!list_ends(e->desc, job->n_turn, length))
        return;
    for (int i = 0; i < job->n_lane; i++)
        if (job->lanes[i].live)
            job_empty_slot(e, job->lanes[i].slot);
    job->n_prompt_page = job->n_stored = job->n_again = 0;
    job->decoding = 0;
    job->n_turn = length;
}

static void share_prompt(struct generate_engine *e, const struct job *job)
{
    int first = first_lane(job);
    const struct slot *from = &e->slots[job->lanes[first].slot];
    for (int i = first + 1; i < job->n_lane; i++) {
        if (!job->lanes[i].live)
            continue;
        struct slot *to = &e->slots[job->lanes[i].slot];
        to->n_block = from->n_block;
        memcpy(to->table, from->table, (size_t)from->n_block * sizeof *to->table);
        for (int b = 0; b < to->n_block; b++)
            page_hold(&e->pages, to->table[b]);
    }
}

/* The prompt's rows, on pages of the first lane that runs. */
static void prompt_again(struct generate_engine *e, struct job *job, int n)
{
    int slot = job->lanes[first_lane(job)].slot, first = job->n_stored;
    for (int i = first; i < first + n; i++)
        step_make_writable(e, slot, i, job->number);
    int seq = step_seq(e, slot);
    for (; job->n_stored < first + n; job->n_stored++)
        step_row(e, job, job->request->prompt[job->n_stored], job->n_stored, seq);
    if (job->n_stored == job->request->n_prompt)
        share_prompt(e, job);
}

/* n tokens of a lane from its token `first` on. */
static void lane_again(struct generate_engine *e, struct job *job, int lane, int first, int n)
{
    const struct lane *l = &job->lanes[lane];
    const int32_t *ids = job->kind == JOB_BEAM ? beam_ids(&job->beam, lane) : l->ids;
    int n_prompt = job->request->n_prompt;
    for (int i = first; i < first + n; i++)
        step_make_writable(e, l->slot, n_prompt + i, job->number);
    int seq = step_seq(e, l->slot);
    for (int i = first; i < first + n; i++)
        step_row(e, job, ids[i], n_prompt + i, seq);
}

static void lanes_again(struct generate_engine *e, struct job *job, int each, int left)
{
    while (left > 0 && job->n_again < each * job->n_lane) {
        int lane = job->n_again / each, first = job->n_again % each, n = each - first, live = job->lanes[lane].live;
        n = live && left < n ? left : n;
        if (live) {
            lane_again(e, job, lane, first, n);
            left -= n;
        }
        job->n_again += n;
    }
}

void anew_rows(struct generate_engine *e, struct job *job)
{
    int missing = job->request->n_prompt - job->n_stored, before = e->n_row;
    int each = generated(job) - 1; /* the newest token is not stored yet */
    int left = e->options.prefill_chunk - e->prompt_rows;
    if (left < 1)
        return;
    if (missing)
        prompt_again(e, job, missing < left ? missing : left);
    else
        lanes_again(e, job, each, left);
    e->prompt_rows += e->n_row - before;
    job->decoding = job->n_stored == job->request->n_prompt && job->n_again == each * job->n_lane;
}
