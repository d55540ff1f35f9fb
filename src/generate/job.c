/* SPDX-License-Identifier: Apache-2.0 */
/* A request while it runs: its lanes, how they fork, and the result at the end. */
#include "generate/parts.h"

#include "base/mem.h"
#include "generate/stop.h"

#include <string.h>

int job_lanes(const struct generate_options *o)
{
    if (o->num_beams > 1)
        return o->num_beams;
    return o->do_sample ? o->num_return_sequences : 1;
}

/* The last token generated is never stored. Beams share the prompt's whole pages and own the rest. */
int job_bound(const struct generate_options *o, int n_prompt, int page, int n_full, int partial)
{
    int n_lane = job_lanes(o), blocks = (n_prompt + o->max_new_tokens - 1 + page - 1) / page;
    return blocks + (n_lane - 1) * (blocks - n_prompt / page) + (n_lane > 1 && n_prompt % page) - n_full +
           (partial != 0);
}

static size_t round16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

int job_start(struct generate_engine *e, struct job *job, const struct generate_request *r, struct error *err)
{
    const struct generate_options *o = &r->options;
    int number = job->number, n_lane = job_lanes(o), beams = o->num_beams > 1;
    size_t n = (size_t)n_lane, history = beams ? 0 : round16((size_t)o->max_new_tokens * 4);
    int n_page = (r->n_prompt + e->pages.size - 1) / e->pages.size;
    size_t bytes = round16(n * sizeof(struct lane)) + 2 * round16(n * sizeof(int)) +
                   round16((size_t)n_page * sizeof(int)) + 2 * n * history +
                   (beams ? beam_bytes(o->num_beams, o->n_eos, o->max_new_tokens) : 0);
    char *at = mem_calloc(1, bytes);
    if (!at)
        return error_set_nomem(err, bytes, "a running request");
    *job = (struct job){.number = number,
                        .request = r,
                        .n_turn = r->n_prompt,
                        .n_lane = n_lane,
                        .n_live = n_lane,
                        .memory = at,
                        .n_prompt_page = n_page,
                        .kind = o->do_sample ? JOB_SAMPLE : JOB_GREEDY};
    if (beams)
        job->kind = JOB_BEAM;
    job->lanes = (struct lane *)(void *)at;
    at += round16(n * sizeof(struct lane));
    job->slot_of = (int *)(void *)at;
    at += round16(n * sizeof(int));
    job->spare = (int *)(void *)at;
    at += round16(n * sizeof(int));
    job->prompt_pages = (int *)(void *)at;
    at += round16((size_t)n_page * sizeof(int));
    for (int i = 0; i < n_lane; i++) {
        struct lane *l = &job->lanes[i];
        l->slot = e->free_slots[--e->n_free_slot];
        l->live = 1;
        l->ids = (int32_t *)(void *)at;
        l->logprobs = (float *)(void *)(at + history);
        at += 2 * history;
        e->slots[l->slot].n_block = 0;
    }
    if (beams)
        beam_init(&job->beam, at, o, r->n_prompt);
    return 0;
}

void job_empty_slot(struct generate_engine *e, int slot)
{
    struct slot *s = &e->slots[slot];
    for (int i = 0; i < s->n_block; i++)
        page_drop(&e->pages, s->table[i], slot);
    s->n_block = 0;
}

void job_release_lane(struct generate_engine *e, struct lane *lane)
{
    if (lane->slot < 0)
        return;
    job_empty_slot(e, lane->slot);
    e->free_slots[e->n_free_slot++] = lane->slot;
    lane->slot = -1;
}

/* The first heir of a slot keeps it; further heirs get a slot without heir, emptied first, and hold the same pages. */
void job_follow(struct generate_engine *e, struct job *job, const int *parent)
{
    int n = job->n_lane, n_spare = 0;
    for (int i = 0; i < n; i++)
        job->slot_of[i] = job->lanes[i].slot;
    for (int i = 0; i < n; i++) { /* slots without heir */
        int heirs = 0;
        for (int j = 0; j < n; j++)
            heirs += parent[j] == i;
        if (heirs)
            continue;
        job_empty_slot(e, job->slot_of[i]);
        job->spare[n_spare++] = job->slot_of[i];
    }
    for (int i = 0; i < n; i++) {
        int first = 1, slot = job->slot_of[parent[i]];
        for (int j = 0; j < i; j++)
            first &= parent[j] != parent[i];
        if (!first) {
            struct slot *from = &e->slots[slot], *to = &e->slots[slot = job->spare[--n_spare]];
            to->n_block = from->n_block;
            memcpy(to->table, from->table, (size_t)from->n_block * sizeof *to->table);
            for (int b = 0; b < to->n_block; b++)
                page_hold(&e->pages, to->table[b]);
        }
        job->lanes[i].slot = slot;
    }
}

void job_end(struct generate_engine *e, struct job *job)
{
    prefix_abandon(&e->pages, job->prompt_pages, job->n_prompt_page, job->number);
    for (int i = 0; i < job->n_lane; i++)
        job_release_lane(e, &job->lanes[i]);
    for (int i = 0; i < job->n_prompt_page; i++)
        page_unshare(&e->pages, job->prompt_pages[i], job->number);
    e->pages.reserved -= job->bound;
    mem_free(job->memory);
    job->memory = NULL;
}

void job_result_free(struct generate_result *result)
{
    for (int i = 0; result->sequences && i < result->n; i++) {
        mem_free(result->sequences[i].ids);
        mem_free(result->sequences[i].logprobs);
        mem_free(result->sequences[i].text);
    }
    mem_free(result->sequences);
    result->sequences = NULL;
    result->n = 0;
}

struct generated { /* the ids of a lane or a hypothesis, and their log-probabilities */
    const int32_t *ids;
    const float *logprobs;
    int n;
};

static int fill_sequence(const struct generate_engine *e, const struct generate_options *o, struct generate_sequence *s,
                         struct generated from, struct error *err)
{
    size_t n = (size_t)from.n;
    s->n = from.n;
    s->ids = mem_alloc(n * sizeof *s->ids);
    s->logprobs = mem_alloc(n * sizeof *s->logprobs);
    if (!s->ids || !s->logprobs)
        return error_set_nomem(err, n * 8, "a result");
    memcpy(s->ids, from.ids, n * sizeof *s->ids);
    memcpy(s->logprobs, from.logprobs, n * sizeof *s->logprobs);
    for (int i = 0; i < from.n; i++)
        s->sum_logprob += (double)from.logprobs[i];
    s->score = (float)s->sum_logprob;
    return e->tokenizer ? stop_text(e->tokenizer, o, from.ids, from.n, &s->text, err) : 0;
}

int job_result(struct generate_engine *e, struct job *job, struct generate_result *result, struct error *err)
{
    const struct generate_options *o = &job->request->options;
    const struct beam_hypothesis *best[GENERATE_MAX_BEAMS];
    int n = job->kind == JOB_BEAM ? beam_best(&job->beam, best, o->num_return_sequences) : job->n_lane, code = 0;
    *result = (struct generate_result){.rows = job->rows};
    if (job->overflowed) {
        error_set(&result->error, ERROR_DATA, "%s", model_overflow);
        return 0;
    }
    result->sequences = mem_calloc((size_t)n, sizeof *result->sequences);
    if (!result->sequences)
        return error_set_nomem(err, (size_t)n * sizeof *result->sequences, "a result");
    result->n = n;
    for (int i = 0; i < n && !code; i++) {
        struct generate_sequence *s = &result->sequences[i];
        if (job->kind != JOB_BEAM) {
            const struct lane *l = &job->lanes[i];
            code = fill_sequence(e, o, s, (struct generated){l->ids, l->logprobs, l->n}, err);
            s->finish = l->finish;
        } else {
            code = fill_sequence(e, o, s, (struct generated){best[i]->ids, best[i]->logprobs, best[i]->n}, err);
            s->score = (float)best[i]->score;
            s->finish = best[i]->ends ? FINISH_STOP : FINISH_LENGTH;
        }
        e->stats.generated_tokens += s->n;
    }
    return code;
}
