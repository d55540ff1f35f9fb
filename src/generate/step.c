/* SPDX-License-Identifier: Apache-2.0 */
/* One step: rows of all jobs through the model in one pass, processors and the choice of tokens on the device, then the
 * host's merge. Rows come in three groups by what is done with their logits: the greatest, the best candidates of a
 * beam, a sample. */
#include "generate/parts.h"

#include "base/clock.h"
#include "base/rng.h"
#include "generate/stop.h"

#include <math.h>
#include <string.h>

static void add_out(struct generate_engine *e, struct job *job, int lane, int row)
{
    e->outs[job->kind][e->n_out[job->kind]++] = (struct out_row){job, lane, row};
}

static void prompt_rows(struct generate_engine *e, struct job *job)
{
    const struct generate_request *r = job->request;
    int n = r->n_prompt - job->n_stored, left = e->options.prefill_chunk - e->prompt_rows, row = -1;
    n = n < left ? n : left;
    job->from = job->n_stored;
    if (n < 1)
        return;
    int seq = step_seq(e, job->lanes[0].slot);
    for (int i = 0; i < n; i++, job->n_stored++)
        row = step_row(e, job, r->prompt[job->n_stored], job->n_stored, seq);
    e->prompt_rows += n;
    e->stats.computed_prompt_tokens += n;
    if (job->n_stored < r->n_prompt)
        return;
    for (int lane = 0; lane < (job->kind == JOB_SAMPLE ? job->n_lane : 1); lane++)
        add_out(e, job, lane, row);
}

static void decode_rows(struct generate_engine *e, struct job *job)
{
    for (int i = 0; i < job->n_lane; i++) {
        const struct lane *l = &job->lanes[i];
        if (!l->live)
            continue;
        int n = job->kind == JOB_BEAM ? job->beam.n_new : l->n, pos = job->request->n_prompt + n - 1;
        int32_t token = job->kind == JOB_BEAM ? job->beam.token[i] : l->ids[n - 1];
        e->stats.decoding_rows++;
        job->rows++;
        step_make_writable(e, l->slot, pos, job->number);
        add_out(e, job, i, step_row(e, job, token, pos, step_seq(e, l->slot)));
    }
}

/* Copies an array of the host into the region that is uploaded at once. */
static struct span stage_array(struct generate_engine *e, const void *data, size_t bytes)
{
    struct span at = span_at(e->in.device, e->in.used);
    if (bytes)
        memcpy(e->in.host + e->in.used, data, bytes);
    e->in.used += (bytes + 63) & ~(size_t)63;
    return at;
}

static struct rule_text text_of(const struct out_row *o)
{
    const struct job *job = o->job;
    const struct generate_request *r = job->request;
    if (job->kind == JOB_BEAM)
        return (struct rule_text){r->prompt, r->n_prompt, beam_ids(&job->beam, o->lane), job->beam.n_new};
    return (struct rule_text){r->prompt, r->n_prompt, job->lanes[o->lane].ids, job->lanes[o->lane].n};
}

/* The processors' lists of one group. */
static struct logit_rules group_rules(struct generate_engine *e, const struct out_row *outs, int n)
{
    struct logit_rules rules = {SPAN_NONE, SPAN_NONE, SPAN_NONE, SPAN_NONE, SPAN_NONE};
    int n_seen = 0, n_banned = 0, penalised = 0;
    if (!e->uses_rules)
        return rules;
    for (int i = 0; i < n; i++) {
        const struct generate_options *o = &outs[i].job->request->options;
        struct rule_text t = text_of(&outs[i]);
        e->seen_offsets[i] = n_seen;
        e->banned_offsets[i] = n_banned;
        e->penalty[i] = o->repetition_penalty;
        penalised |= o->repetition_penalty != 1;
        n_seen += rule_seen(&e->marks, &t, o, e->seen_ids + n_seen);
        n_banned += rule_banned(&t, o, e->desc->n_vocab, e->banned_ids + n_banned);
    }
    e->seen_offsets[n] = n_seen;
    e->banned_offsets[n] = n_banned;
    if (penalised) {
        rules.penalty = stage_array(e, e->penalty, (size_t)n * 4);
        rules.seen_offsets = stage_array(e, e->seen_offsets, ((size_t)n + 1) * 4);
        rules.seen_ids = stage_array(e, e->seen_ids, (size_t)n_seen * 4);
    }
    if (n_banned) {
        rules.banned_offsets = stage_array(e, e->banned_offsets, ((size_t)n + 1) * 4);
        rules.banned_ids = stage_array(e, e->banned_ids, (size_t)n_banned * 4);
    }
    return rules;
}

struct row_group {       /* of rows treated alike, as enqueued */
    int n, first, n_top; /* first: of its rows among the outputs; n_top results a row */
    size_t results;      /* where its results begin, in elements */
    struct logit_rules rules;
    struct span bias, knobs, uniform;
};

static int widest_list(const struct generate_engine *e, enum job_kind kind)
{
    int n_top = 1;
    for (int i = 0; kind == JOB_BEAM && i < e->n_out[kind]; i++) {
        int keep = e->outs[kind][i].job->beam.keep;
        n_top = keep > n_top ? keep : n_top;
    }
    return n_top < e->desc->n_vocab ? n_top : e->desc->n_vocab;
}

static void prepare_group(struct generate_engine *e, enum job_kind kind, struct row_group *g)
{
    const struct out_row *outs = e->outs[kind];
    g->rules = group_rules(e, outs, g->n);
    g->bias = g->knobs = g->uniform = SPAN_NONE;
    if (kind == JOB_BEAM) {
        for (int i = 0; i < g->n; i++)
            e->bias[i] = outs[i].job->beam.score[outs[i].lane];
        g->bias = stage_array(e, e->bias, (size_t)g->n * 4);
    }
    if (kind != JOB_SAMPLE)
        return;
    for (int i = 0; i < g->n; i++) {
        const struct generate_request *r = outs[i].job->request;
        const struct lane *l = &outs[i].job->lanes[outs[i].lane];
        struct rng_stream s = {r->seed, r->key_a, r->key_b + (uint64_t)outs[i].lane * 0x9E3779B97F4A7C15u};
        float *k = e->knobs + 4 * i;
        k[0] = r->options.temperature;
        k[1] = (float)r->options.top_k;
        k[2] = r->options.top_p;
        k[3] = r->options.min_p;
        e->uniform[i] = rng_uniform(&s, (uint64_t)(r->n_prompt + l->n));
    }
    g->knobs = stage_array(e, e->knobs, (size_t)g->n * 16);
    g->uniform = stage_array(e, e->uniform, (size_t)g->n * 4);
}

static struct span rows_from(struct span s, int row, size_t bytes_per_row)
{
    return s.buffer ? span_at(s, (size_t)row * bytes_per_row) : s;
}

static void run_group(struct generate_engine *e, enum job_kind kind, const struct row_group *g, struct span hidden)
{
    int V = e->desc->n_vocab;
    for (int i = 0; i < g->n; i += e->head_rows) {
        int n = g->n - i < e->head_rows ? g->n - i : e->head_rows;
        size_t at = (g->results + (size_t)i * (size_t)g->n_top) * 4;
        struct span values = span_at(e->values, at), ids = span_at(e->ids, at), raw = span_at(e->raw, at);
        struct logit_rules rules = g->rules;
        rules.penalty = rows_from(rules.penalty, i, 4);
        rules.seen_offsets = rows_from(rules.seen_offsets, i, 4);
        rules.banned_offsets = rows_from(rules.banned_offsets, i, 4);
        model_head(e->model, e->queue, rows_from(hidden, g->first + i, (size_t)model_width(e->desc) * 4), n, e->logits);
        if (kind == JOB_SAMPLE)
            tensor_sample(e->queue, &(struct sample_args){n, V, e->logits, rules, rows_from(g->knobs, i, 16),
                                                          rows_from(g->uniform, i, 4), ids, raw});
        else
            tensor_candidates(e->queue, &(struct candidates_args){n, V, g->n_top, kind == JOB_BEAM, e->logits,
                                                                  rows_from(g->bias, i, 4), rules, values, ids, raw});
    }
    size_t bytes = (size_t)g->n * (size_t)g->n_top * 4;
    if (!bytes)
        return;
    if (kind == JOB_BEAM)
        queue_download(e->queue, e->host_values + g->results, span_at(e->values, g->results * 4), bytes);
    queue_download(e->queue, e->host_ids + g->results, span_at(e->ids, g->results * 4), bytes);
    queue_download(e->queue, e->host_raw + g->results, span_at(e->raw, g->results * 4), bytes);
}

struct step_pass { /* one step as the device sees it */
    struct row_group groups[JOB_KINDS];
    struct model_batch batch;
    struct span copies;
};

/* Lays out the step's arrays for one upload. */
static void assemble_pass(struct generate_engine *e, struct step_pass *pass)
{
    struct row_group *g = pass->groups;
    struct model_batch b = {
        .n_row = e->n_row, .pages = e->layer_pages, .layout = e->layout, .table_stride = e->stride, .n_seq = e->n_seq};
    e->in.used = 0;
    for (int k = 0, n = 0; k < JOB_KINDS; k++)
        for (int i = 0; i < e->n_out[k]; i++)
            e->out_index[n++] = e->outs[k][i].row;
    for (int k = 0; k < JOB_KINDS; k++) {
        g[k] = (struct row_group){.n = e->n_out[k], .first = b.n_out, .n_top = widest_list(e, (enum job_kind)k)};
        g[k].results = k ? g[k - 1].results + (size_t)g[k - 1].n * (size_t)g[k - 1].n_top : 0;
        b.n_out += e->n_out[k];
    }
    b.tokens = stage_array(e, e->tokens, (size_t)e->n_row * 4);
    b.positions = stage_array(e, e->positions, (size_t)e->n_row * 4);
    b.lengths = stage_array(e, e->lengths, (size_t)e->n_row * 4);
    b.row_seq = stage_array(e, e->row_seq, (size_t)e->n_row * 4);
    b.block_table = stage_array(e, e->blocks, (size_t)e->n_seq * (size_t)e->stride * 4);
    b.out_rows = stage_array(e, e->out_index, (size_t)b.n_out * 4);
    pass->copies = stage_array(e, e->copies, (size_t)e->n_copy * 12);
    for (int k = 0; k < JOB_KINDS; k++)
        prepare_group(e, (enum job_kind)k, &g[k]);
    pass->batch = b;
}

/* Page copies, the pass, then each group's head and choice. */
static void enqueue_pass(struct generate_engine *e, const struct step_pass *pass)
{
    struct span hidden;
    queue_upload(e->queue, e->in.device, e->in.host, e->in.used);
    for (int l = 0; e->n_copy && l < e->desc->n_layer; l++)
        tensor_kv_copy(e->queue, &(struct kv_copy_args){e->layout, e->n_copy, pass->copies, e->layer_pages[l]});
    model_forward(e->model, e->queue, e->workspace, &pass->batch, &hidden);
    for (int k = 0; k < JOB_KINDS; k++)
        run_group(e, (enum job_kind)k, &pass->groups[k], hidden);
}

static void end_job(struct generate_engine *e, struct job *job)
{
    job->finished = 1;
    e->done[e->n_done++] = job;
}

/* A chosen token for one lane of a greedy or sampling job. */
static void take_token(struct generate_engine *e, const struct out_row *out, int32_t token, float logprob)
{
    struct job *job = out->job;
    const struct generate_options *o = &job->request->options;
    struct lane *l = &job->lanes[out->lane];
    int ends = stop_is_eos(o, token);
    if (!ends && o->n_stop) {
        finder_begin(e->finder, o, l->ids, l->n);
        ends = finder_ends(e->finder, o, token);
    }
    l->ids[l->n] = token;
    l->logprobs[l->n++] = logprob;
    if (e->calls.token)
        e->chosen[e->n_chosen++] = (struct chosen){job, out->lane, l->n - 1};
    if (!ends && l->n < o->max_new_tokens)
        return;
    l->finish = ends ? FINISH_STOP : FINISH_LENGTH;
    l->live = 0;
    if (!--job->n_live)
        end_job(e, job);
}

static void mark_ends(struct generate_engine *e, struct job *job, struct beam_candidate *c, int n)
{
    const struct generate_options *o = &job->request->options;
    int begun = -1;
    for (int i = 0; i < n; i++)
        c[i].ends = stop_is_eos(o, c[i].token);
    for (int parent = 0; o->n_stop && parent < job->n_lane; parent++)
        for (int i = 0; i < n; i++) {
            if (c[i].parent != parent || c[i].ends)
                continue;
            if (begun != parent)
                finder_begin(e->finder, o, beam_ids(&job->beam, begun = parent), job->beam.n_new);
            c[i].ends = finder_ends(e->finder, o, c[i].token);
        }
}

static void take_beams(struct generate_engine *e, struct job *job, const struct row_group *g, int first, int n_row)
{
    size_t at = g->results + (size_t)first * (size_t)g->n_top;
    const struct beam_lists lists = {e->host_values + at, e->host_ids + at, e->host_raw + at, n_row, g->n_top};
    int n = beam_merge(&job->beam, &lists, e->candidates);
    int from_prompt = !job->beam.n_new;
    mark_ends(e, job, e->candidates, n);
    beam_step(&job->beam, e->candidates, n);
    if (job->beam.done) {
        end_job(e, job);
        return;
    }
    if (from_prompt) /* all beams are the prompt so far */
        memset(job->beam.parent, 0, (size_t)job->n_lane * sizeof(int));
    job_follow(e, job, job->beam.parent);
}

/* The first tokens of several samples: their lanes go on from lane 0's pages. */
static void fork_samples(struct generate_engine *e, struct job *job)
{
    memset(e->zeros, 0, (size_t)job->n_lane * sizeof(int));
    job_follow(e, job, e->zeros);
    for (int i = 0; i < job->n_lane; i++)
        if (!job->lanes[i].live)
            job_release_lane(e, &job->lanes[i]);
}

/* A row whose logits are not all numbers has no log-probabilities: NaN in every place. */
static int row_overflowed(const struct generate_engine *e, const struct row_group *g, int first, int n)
{
    for (int i = first; i < first + n; i++)
        if (isnan(e->host_raw[g->results + (size_t)i * (size_t)g->n_top]))
            return 1;
    return 0;
}

static void take_results(struct generate_engine *e, const struct row_group *groups)
{
    for (int k = 0; k < JOB_KINDS; k++) {
        const struct row_group *g = &groups[k];
        for (int i = 0, n; i < g->n; i += n) {
            struct job *job = e->outs[k][i].job;
            for (n = 1; i + n < g->n && e->outs[k][i + n].job == job;)
                n++;
            int first = !job->decoding;
            job->decoding = 1;
            if (row_overflowed(e, g, i, n)) {
                job->overflowed = 1;
                end_job(e, job);
                continue;
            }
            if (k == JOB_BEAM) {
                take_beams(e, job, g, i, n);
                continue;
            }
            for (int j = i; j < i + n; j++)
                take_token(e, &e->outs[k][j], e->host_ids[g->results + (size_t)j], e->host_raw[g->results + (size_t)j]);
            if (first && n > 1 && !job->finished)
                fork_samples(e, job);
            else
                for (int j = i; j < i + n; j++)
                    if (!job->lanes[e->outs[k][j].lane].live)
                        job_release_lane(e, &job->lanes[e->outs[k][j].lane]);
        }
    }
}

/* What this pass has stored may be found from now on. */
static void mark_ready(struct generate_engine *e, const struct job *job)
{
    int size = e->pages.size;
    if (!e->options.prefix_cache)
        return;
    for (int b = job->from / size; b < job->n_prompt_page && b * size < job->n_stored; b++)
        if (b >= job->n_full)
            prefix_ready(&e->pages, job->prompt_pages[b], job->n_stored - b * size);
}

int step_run(struct generate_engine *e, struct error *err)
{
    struct step_pass pass;
    double start = clock_now();
    e->n_row = e->n_seq = e->prompt_rows = e->n_done = e->n_chosen = 0;
    memset(e->n_out, 0, sizeof e->n_out);
    for (int i = 0; i < e->n_active; i++) {
        struct job *job = e->active[i];
        if (job->decoding)
            anew_check(e, job);
        if (job->decoding)
            decode_rows(e, job);
        else if (job->n_turn > job->request->n_prompt)
            anew_rows(e, job);
        else
            prompt_rows(e, job);
    }
    assemble_pass(e, &pass);
    double assembled = clock_now();
    enqueue_pass(e, &pass);
    int rc = queue_wait(e->queue, err);
    if (rc)
        return rc;
    double done = clock_now();
    for (int i = 0; i < e->n_pinned; i++)
        page_drop(&e->pages, e->pinned[i], -2);
    e->n_pinned = e->n_copy = 0;
    for (int i = 0; i < e->n_active; i++)
        if (!e->active[i]->decoding)
            mark_ready(e, e->active[i]);
    take_results(e, pass.groups);
    e->stats.steps++;
    e->stats.rows += e->n_row;
    e->stats.head_rows += pass.batch.n_out;
    e->stats.model_seconds += done - assembled;
    e->stats.host_seconds += assembled - start + clock_now() - done;
    return 0;
}
