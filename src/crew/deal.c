/* SPDX-License-Identifier: Apache-2.0 */
#include "crew/deal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Of the work that is left, a rank has at most KEEP / OF of its N-th in hand; a run of requests that begin alike is cut
 * so that each rank gets a packet of it about CUTS times. */
enum { KEEP = 3, OF = 4, CUTS = 4 };
/* packets looked at for one of the run that the rank has the beginning of */
enum { LOOK = 64 };

static long lanes_of(const struct generate_request *r)
{
    const struct generate_options *o = &r->options;
    if (o->num_beams > 1)
        return o->num_beams;
    return o->do_sample ? o->num_return_sequences : 1;
}

/* Decoding rows at most. */
static long work_of(const struct generate_request *r)
{
    return lanes_of(r) * r->options.max_new_tokens;
}

static int common(const struct generate_request *a, const struct generate_request *b)
{
    int n = a->n_prompt < b->n_prompt ? a->n_prompt : b->n_prompt, i = 0;
    while (i < n && a->prompt[i] == b->prompt[i])
        i++;
    return i;
}

struct sorted {
    const struct generate_request *r;
    int index;
};

static int by_prompt(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    int i = common(x->r, y->r), ends = i == x->r->n_prompt || i == y->r->n_prompt;
    if (ends && x->r->n_prompt != y->r->n_prompt)
        return x->r->n_prompt < y->r->n_prompt ? -1 : 1;
    if (!ends)
        return x->r->prompt[i] < y->r->prompt[i] ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

/* Longest first; ties in the order of prompts. */
static int by_work(const void *a, const void *b)
{
    const struct deal_packet *x = a, *y = b;
    if (x->longest != y->longest)
        return x->longest > y->longest ? -1 : 1;
    return x->first < y->first ? -1 : 1;
}

static int sort_requests(struct deal *d, const struct deal_load *load, struct error *err)
{
    struct sorted *all = mem_alloc(((size_t)load->n + 1) * sizeof *all);
    if (!all)
        return error_set_nomem(err, (size_t)load->n * sizeof *all, "the order of requests");
    for (int i = 0; i < load->n; i++)
        if (!load->can || load->can[i])
            all[d->n++] = (struct sorted){&load->requests[i], i};
    qsort(all, (size_t)d->n, sizeof *all, by_prompt);
    for (int i = 0; i < d->n; i++)
        d->order[i] = all[i].index;
    mem_free(all);
    return 0;
}

/* Cuts the order where prompts cease to begin alike, and where a packet has become too large. */
static void make_packets(struct deal *d)
{
    int most = d->n / (CUTS * d->ranks.n) + 1, run = 0;
    struct deal_packet *p = NULL;
    for (int i = 0; i < d->n; i++) {
        const struct generate_request *r = &d->requests[d->order[i]];
        int alike = i > 0 && common(r, &d->requests[d->order[i - 1]]) >= d->ranks.page;
        run += i > 0 && !alike;
        if (!alike || p->n == most) {
            p = &d->packets[d->n_packet++];
            *p = (struct deal_packet){.first = i, .run = run};
        }
        p->n++;
        p->longest = work_of(r) > p->longest ? work_of(r) : p->longest;
        d->left += work_of(r);
    }
    qsort(d->packets, (size_t)d->n_packet, sizeof *d->packets, by_work);
}

int deal_init(struct deal *d, const struct deal_load *load, const struct deal_ranks *ranks, struct error *err)
{
    size_t n = (size_t)load->n + 1, n_rank = (size_t)ranks->n;
    *d = (struct deal){.requests = load->requests, .ranks = *ranks};
    d->order = mem_calloc(n, sizeof *d->order);
    d->packets = mem_calloc(n, sizeof *d->packets);
    d->owner = mem_calloc(n, sizeof *d->owner);
    d->hands = mem_calloc(n_rank, sizeof *d->hands);
    int rc = d->order && d->packets && d->owner && d->hands
                 ? sort_requests(d, load, err)
                 : error_set_nomem(err, n * sizeof *d->packets, "the order of requests");
    if (rc) {
        deal_free(d);
        return rc;
    }
    for (int i = 0; i < d->n; i++)
        d->owner[i] = -1;
    for (int r = 0; r < ranks->n; r++)
        d->hands[r].packet = -1;
    make_packets(d);
    return 0;
}

void deal_free(struct deal *d)
{
    mem_free(d->order);
    mem_free(d->packets);
    mem_free(d->owner);
    mem_free(d->hands);
    *d = (struct deal){0};
}

static int has_left(const struct deal *d, int packet)
{
    return packet >= 0 && d->packets[packet].taken < d->packets[packet].n;
}

/* The rank's own packet; else an untouched one, best of a run that it has or nobody does; else what is left of
 * another's. */
static int choose_packet(const struct deal *d, int rank)
{
    int fresh = -1, begun = -1;
    if (has_left(d, d->hands[rank].packet))
        return d->hands[rank].packet;
    for (int i = d->first_packet, looked = 0; i < d->n_packet && looked < LOOK; i++) {
        const struct deal_packet *p = &d->packets[i];
        if (p->taken) {
            begun = begun < 0 && has_left(d, i) ? i : begun;
            continue;
        }
        looked++;
        if (d->owner[p->run] < 0 || d->owner[p->run] == rank)
            return i;
        fresh = fresh < 0 ? i : fresh;
    }
    return fresh < 0 ? begun : fresh;
}

/* Rows that come of a row of work, as far as requests have finished. */
static double rows_of_work(const struct deal *d)
{
    return d->done ? (double)d->rows / (double)d->done : 1;
}

/* It has its part of what is left but what is held back; or what it has computed and will is its part of all. */
static int has_enough(const struct deal *d, const struct deal_hand *hand, const struct generate_request *next)
{
    double ratio = rows_of_work(d), work = (double)(hand->work + work_of(next)), n = d->ranks.n;
    double mine = (double)hand->rows + ratio * (work - (double)work_of(next) / 2),
           fair = ((double)d->rows + ratio * (double)d->left) / n;
    if (!hand->n)
        return 0;
    return hand->lanes + lanes_of(next) > d->ranks.lanes_most || work > (double)d->left / n * KEEP / OF || mine > fair;
}

int deal_next(struct deal *d, int rank)
{
    int packet = choose_packet(d, rank);
    if (packet < 0)
        return -1;
    struct deal_packet *p = &d->packets[packet];
    struct deal_hand *hand = &d->hands[rank];
    int request = d->order[p->first + p->taken];
    if (has_enough(d, hand, &d->requests[request]))
        return -1;
    p->taken++;
    hand->packet = packet;
    hand->n++;
    hand->work += work_of(&d->requests[request]);
    hand->lanes += lanes_of(&d->requests[request]);
    d->owner[p->run] = rank;
    while (d->first_packet < d->n_packet && !has_left(d, d->first_packet))
        d->first_packet++;
    return request;
}

void deal_done(struct deal *d, int rank, int request, long rows)
{
    struct deal_hand *hand = &d->hands[rank];
    hand->rows += rows;
    d->rows += rows;
    d->done += work_of(&d->requests[request]);
    hand->n--;
    hand->work -= work_of(&d->requests[request]);
    hand->lanes -= lanes_of(&d->requests[request]);
    d->left -= work_of(&d->requests[request]);
    d->n_done++;
}

double deal_lost(const long *rows, int n_rank)
{
    long most = 0, sum = 0;
    for (int r = 0; r < n_rank; r++) {
        most = rows[r] > most ? rows[r] : most;
        sum += rows[r];
    }
    return most ? 1 - (double)sum / ((double)most * n_rank) : 0;
}
