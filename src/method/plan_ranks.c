/* SPDX-License-Identifier: Apache-2.0 */
/* What several ranks, each a machine like this one, take for a training and how fast a network lets them be. Bytes are
 * those that the trainer's own cut gives. Times follow the trainer too: a stage of the backward pass leaves while the
 * next ones are computed, two stages at most are on their way, and masters come back stage by stage while they are
 * packed. */
#include "method/plan.h"

#include "base/clock.h"

#include <math.h>

/* Which part of a link is payload when both ways are taken at once by Open MPI 4.1 over TCP: fitted to one measured run
 * (docs/SCALE.md); headers and acknowledgements alone leave 0.95. Messages of more than EAGER bytes are announced and
 * asked for before they are sent. Who waits for an answer looks again after at most POLL seconds. */
static const double LINK = 0.83, EAGER = 65536, ANNOUNCED = 3, POLL = 0.0005;
/* Values that one sum of squares is of. */
enum { SUMMED = 4096 };

/* Elements a second: of an optimizer step, of packing masters, of adding. */
struct rates {
    double update, pack, add;
};

static int measure(struct device *d, enum dtype t, struct rates *r, struct error *err)
{
    enum { N = 4096, K = 1024, COUNT = N * K, RUNS = 3 };
    struct buffer *b = NULL;
    struct weight *w = NULL;
    struct queue *q = device_queue(d);
    int rc = buffer_new(&b, d, (size_t)COUNT * 16, "a plan", err);
    rc = rc ? rc : weight_new(&w, d, (struct weight_shape){N, K, t}, "a plan", err);
    for (int i = 0; !rc && i < RUNS; i++) {
        struct span at[4];
        for (int j = 0; j < 4; j++)
            at[j] = (struct span){b, (size_t)j * COUNT * 4};
        double start = clock_now();
        tensor_adamw(q, &(struct adamw_args){.n = COUNT,
                                             .param = at[0],
                                             .grad = at[1],
                                             .m = at[2],
                                             .v = at[3],
                                             .eps = 1e-8f,
                                             .grad_scale = 1,
                                             .c1 = 1,
                                             .c2 = 1});
        queue_drain(q);
        double updated = clock_now();
        tensor_weight_pack(q, &(struct weight_pack_args){w, 0, N, at[0], DTYPE_F32, 0});
        queue_drain(q);
        double packed = clock_now();
        tensor_add(q, &(struct add_args){COUNT, at[0], at[1], SPAN_NONE});
        queue_drain(q);
        double added = clock_now();
        r->update = fmax(r->update, COUNT / (updated - start));
        r->pack = fmax(r->pack, COUNT / (packed - updated));
        r->add = fmax(r->add, COUNT / (added - packed));
    }
    weight_free(w);
    buffer_free(b);
    return rc;
}

/* One step: what the backward pass has done by the end of each stage, and when that stage has crossed the network, in
 * so many exchanges one after the other. */
struct stage_time {
    double compute, elements;
    int n;
};

static struct stage_time stage_of(const struct train_share *s, const struct plan_load *load, int i)
{
    double back = load->backward / s->rounds;
    if (i == 0)
        return (struct stage_time){back * load->head, s->behind, s->n_behind};
    if (i <= s->n_layer)
        return (struct stage_time){back * (1 - load->head) / s->n_layer, s->layer, s->n_each};
    return (struct stage_time){s->n_layer ? 0 : back, s->embeddings, s->n_embeddings};
}

/* bytes: of all ranks; each exchange begins when the one before is through. */
static double crossing(const struct plan_network *net, double bytes, int n_rank, int n)
{
    double sent = bytes * (n_rank - 1) / n_rank, ways = n && bytes / n / n_rank > EAGER ? ANNOUNCED : 1;
    return sent / (net->gbit * 1e9 / 8 * LINK) + n * ways * net->ms / 1000;
}

/* All learn a number of each. */
static double telling(const struct plan_network *net, int n_rank)
{
    double way = net->ms / 1000;
    return ceil(log2(n_rank)) * (way + fmin(POLL, way / 2));
}

/* A leaf's gradient, from the beginning of its forward pass until all of it has arrived and is added. */
static double leaf_seconds(const struct train_share *s, const struct plan_load *load, const struct plan_network *net,
                           const struct rates *rates)
{
    double now = load->forward / s->rounds, arrived[3] = {0, 0, 0}; /* of the newest stage and the two before */
    for (int i = 0; i < s->n_layer + 2; i++) {
        struct stage_time t = stage_of(s, load, i);
        now = fmax(now, arrived[1]) + t.compute; /* its window is that of the last but one */
        arrived[2] = arrived[1];
        arrived[1] = arrived[0];
        arrived[0] = fmax(now, arrived[1]) + crossing(net, 4 * t.elements, s->n_rank, t.n);
        now += t.elements * (s->n_rank - 1) / s->n_rank / rates->add;
    }
    return fmax(now, arrived[0]) + 2 * telling(net, s->n_rank); /* how all are, and the losses */
}

static double gather_seconds(const struct train_share *s, const struct plan_network *net, const struct rates *rates)
{
    double seconds = s->master < 4 ? crossing(net, 0, s->n_rank, 1) : 0; /* vectors by themselves */
    for (int i = 0; i < s->n_layer + 2; i++) {
        struct stage_time t = stage_of(s, &(struct plan_load){0}, i);
        seconds += fmax(crossing(net, s->master * t.elements, s->n_rank, t.n), t.elements / rates->pack);
    }
    return seconds;
}

static double step_seconds(const struct train_share *s, const struct plan_load *load, const struct plan_network *net,
                           const struct rates *rates)
{
    double elements = s->embeddings + s->layer * s->n_layer + s->behind, update = elements / s->n_rank / rates->update;
    if (s->n_rank == 1)
        return load->forward + load->backward + update;
    struct plan_load leaf = *load; /* a rank computes its leaves, of n_leaf that all are equal */
    leaf.forward = load->forward * s->rounds / s->n_leaf;
    leaf.backward = load->backward * s->rounds / s->n_leaf;
    double norm = crossing(net, 8 * elements / SUMMED, s->n_rank, 1),
           between = 2 * telling(net, s->n_rank); /* how all are, and whether somebody got a signal */
    return s->rounds * leaf_seconds(s, &leaf, net, rates) + norm + update + gather_seconds(s, net, rates) + between;
}

/* Powers of two, as far as there are rows for them, and the number that is asked for between them. */
static int counts_of(int counts[PLAN_RANKS], const struct plan_work *w)
{
    int n = 0, most = w->asked->network.gbit > 0 && w->rows > w->asked->n_rank ? w->rows : w->asked->n_rank;
    for (int ranks = 1; ranks <= most && n < PLAN_RANKS - 1; ranks *= 2) {
        if (ranks > w->asked->n_rank && n && counts[n - 1] < w->asked->n_rank)
            counts[n++] = w->asked->n_rank;
        counts[n++] = ranks;
    }
    if (counts[n - 1] < w->asked->n_rank)
        counts[n++] = w->asked->n_rank;
    return n;
}

int plan_ranks(struct plan_ranks *out, const struct plan_model *m, const struct plan_work *w, struct error *err)
{
    struct train_options o = *w->options;
    struct rates rates = {0};
    int counts[PLAN_RANKS], rc = w->asked->network.gbit > 0 ? measure(m->device, o.dtype, &rates, err) : 0;
    *out = (struct plan_ranks){.n = counts_of(counts, w)};
    for (int i = 0; !rc && i < out->n; i++) {
        struct plan_rank *r = &out->ranks[i];
        while (o.gradient_leaves < counts[i])
            o.gradient_leaves *= 2;
        rc = train_share_of(&r->share, w->base, &o, w->data, counts[i], err);
        if (!rc && w->asked->network.gbit > 0)
            r->step = step_seconds(&r->share, &w->load, &w->asked->network, &rates);
        r->round = w->divided / counts[i] + w->steps * r->step;
        out->asked = counts[i] == w->asked->n_rank ? i : out->asked;
    }
    while (out->pays + 1 < out->n && out->ranks[out->pays + 1].step * PLAN_PAYS <= out->ranks[out->pays].step)
        out->pays++;
    return rc;
}
