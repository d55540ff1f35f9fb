/* SPDX-License-Identifier: Apache-2.0 */
/* Who runs. Waiting requests are in order of their prompts' tokens, so neighbours share most. One comes in when there
 * are slots, pages for its worst case and room for prompt rows in this step. If part of its prompt is being computed
 * for another request just now, it waits a step and finds it. */
#include "generate/parts.h"

#include <string.h>

/* waiting requests looked at a step */
enum { LOOK_AHEAD = 256 };

int admit_check(const struct generate_engine *e, const struct generate_request *r, struct error *err)
{
    const struct generate_options *o = &r->options;
    int code = generate_options_check(o, err);
    if (code)
        return code;
    if (r->n_prompt < 1)
        return error_set(err, ERROR_DATA, "prompt: wanted at least 1 token, found none");
    if (r->n_prompt > e->desc->n_ctx || o->max_new_tokens > e->desc->n_ctx - r->n_prompt)
        return error_set(err, ERROR_DATA, "prompt: %d tokens and max_new_tokens %d are more than the context of %d",
                         r->n_prompt, o->max_new_tokens, e->desc->n_ctx);
    for (int i = 0; i < r->n_prompt; i++)
        if (r->prompt[i] < 0 || r->prompt[i] >= e->desc->n_vocab)
            return error_set(err, ERROR_DATA, "prompt: token %d is %d; wanted 0 to %d", i, (int)r->prompt[i],
                             e->desc->n_vocab - 1);
    if (o->n_stop && !e->tokenizer)
        return error_set(err, ERROR_USAGE, "stop: needs a tokenizer, and there is none");
    if (e->options.max_batch && job_lanes(o) > e->options.max_batch)
        return error_set(err, ERROR_USAGE, "%s: %d sequences at once are more than max_batch %d",
                         o->do_sample ? "num_return_sequences" : "num_beams", job_lanes(o), e->options.max_batch);
    if (o->num_beams > 1 && (long)o->num_beams * e->desc->n_vocab < beam_keep(o->num_beams, o->n_eos))
        return error_set(err, ERROR_USAGE, "num_beams: a vocabulary of %d is too small for %d EOS tokens",
                         e->desc->n_vocab, o->n_eos);
    return 0;
}

/* A prompt whose keys turn by frequencies of its own, or will, neither finds nor leaves any. */
static int shares_prefix(const struct generate_engine *e, const struct generate_request *r)
{
    return e->options.prefix_cache && r->n_prompt <= model_turn_limit(e->desc) && !anew_possible(e, r);
}

/* Gives the job its prompt's pages: the found ones, a copy of the partly found one, fresh ones. */
static void give_pages(struct generate_engine *e, struct job *job, const struct prefix_match *m, const int *table)
{
    struct pages *p = &e->pages;
    struct slot *s = &e->slots[job->lanes[0].slot];
    int slot = job->lanes[0].slot;
    for (int i = 0; i < m->n_full; i++) {
        page_hold(p, table[i]);
        s->table[i] = table[i];
    }
    if (m->tail) {
        page_hold(p, m->partial);
        e->pinned[e->n_pinned++] = m->partial;
    }
    for (int i = m->n_full; i < job->n_prompt_page; i++)
        s->table[i] = page_take(p, slot, job->number);
    if (m->tail) {
        step_copy_page(e, m->partial, s->table[m->n_full], m->tail);
    }
    s->n_block = job->n_prompt_page;
    memcpy(job->prompt_pages, s->table, (size_t)s->n_block * sizeof *s->table);
    job->n_full = m->n_full;
    job->n_stored = m->n;
    if (shares_prefix(e, job->request))
        prefix_insert(p, job->request->prompt, job->request->n_prompt, s->table, m->n_full, 0);
}

/* 1: let in, 0: waits for its prefix, -1: no room for it now. */
static int try_request(struct generate_engine *e, const struct generate_request *r, struct error *err, int *code)
{
    const struct generate_options *o = &r->options;
    struct pages *p = &e->pages;
    struct prefix_match m = {.partial = -1};
    int *table = e->found;
    if (job_lanes(o) > e->n_free_slot || e->n_active >= e->max_job)
        return -1;
    if (shares_prefix(e, r))
        m = prefix_find(p, r->prompt, r->n_prompt - 1, table);
    if (m.pending > m.n)
        return 0;
    int bound = job_bound(o, r->n_prompt, p->size, m.n_full, m.tail);
    if (p->reserved + p->pinned + bound + m.n_evictable > p->n_page) {
        if (e->n_active)
            return -1;
        m = (struct prefix_match){.partial =
                                      -1}; /* alone, without the cache's help, it fits: generate_submit has checked */
        bound = job_bound(o, r->n_prompt, p->size, 0, 0);
    }
    struct job *job = e->jobs;
    while (job->memory)
        job++;
    job->number = (int)(job - e->jobs) + 1;
    if ((*code = job_start(e, job, r, err)))
        return -1;
    job->bound = bound;
    p->reserved += bound;
    give_pages(e, job, &m, table);
    e->active[e->n_active++] = job;
    e->stats.prompt_tokens += r->n_prompt;
    return 1;
}

int admit_waiting(struct generate_engine *e, struct error *err)
{
    int room = e->options.prefill_chunk, kept = 0, i = 0, code = 0;
    for (int k = 0; k < e->n_active; k++)
        room -= e->active[k]->request->n_prompt - e->active[k]->n_stored; /* 0 once it decodes */
    const struct generate_request **waiting = e->waiting + e->first_waiting;
    for (; i < e->n_waiting && room > 0 && kept < LOOK_AHEAD; i++) {
        int let = try_request(e, waiting[i], err, &code);
        if (let < 0)
            break;
        if (let)
            room -= waiting[i]->n_prompt - e->active[e->n_active - 1]->n_stored;
        else
            waiting[kept++] = waiting[i];
    }
    memmove(waiting + i - kept, waiting,
            (size_t)kept * sizeof *waiting); /* those that stay stand before the ones not looked at */
    e->first_waiting += i - kept;
    e->n_waiting -= i - kept;
    return code;
}
