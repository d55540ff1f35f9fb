/* SPDX-License-Identifier: Apache-2.0 */
#include "crew/parts.h"

#include "base/build.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "crew/deal.h"
#include "dist/dist.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the others have open, and what was compared with theirs. */
struct models {
    uint64_t open[SERVED_MODELS];
    json_t *compared; /* an object whose keys are paths */
};

static struct crew crew;

struct crew *crew_of_rank_0(void)
{
    return &crew;
}

int crew_fingerprint(const struct checkpoint *ck, struct buf *out, struct error *err)
{
    char hex[65] = "";
    json_t *files = json_object();
    int rc = files ? checkpoint_sha256(ck, hex, err) : error_set_nomem(err, 64, "hashes of the model's files");
    rc = rc ? rc : checkpoint_side_sha256(ck, "", files, err);
    char *text = rc ? NULL : json_dumps(files, JSON_SORT_KEYS);
    if (!rc && !text)
        rc = error_set_nomem(err, 64, "hashes of the model's files");
    buf_printf(out, "%s %s", hex, text ? text : "");
    free(text);
    json_decref(files);
    return rc || !out->failed ? rc : error_set_nomem(err, 64, "hashes of the model's files");
}

int crew_open_origin(struct checkpoint **ck, const struct model_origin *o, struct error *err)
{
    return o->adapter ? checkpoint_open_adapter(ck, o->path, o->adapter, err) : checkpoint_open(ck, o->path, err);
}

static void tell_end(uint64_t number)
{
    for (int i = 0; i < SERVED_MODELS && crew.models; i++)
        if (crew.models->open[i] == number) {
            crew.models->open[i] = 0;
            wire_begin(&crew.out, WORD_DROP);
            wire_put_int(&crew.out, (int64_t)number);
            crew_tell_all(NULL);
        }
}

int crew_start(int group, struct error *err)
{
    char first[128] = "";
    snprintf(first, sizeof first, "%s", build_name);
    int rc = dist_broadcast(first, sizeof first, 0, err);
    if (!rc && strcmp(first, build_name))
        rc = error_set(err, ERROR_CONFIG, "this is isara %s, and rank 0 is %s; give all ranks the same", build_name,
                       first);
    rc = dist_agree(rc, err);
    rc = rc || !group ? rc : dist_split(group, err);
    if (rc || dist_rank() > 0 || dist_size() == 1)
        return rc;
    crew = (struct crew){.size = dist_size(),
                         .models = mem_calloc(1, sizeof *crew.models),
                         .rows = mem_calloc((size_t)dist_size(), sizeof *crew.rows)};
    if (!crew.models || !crew.rows || !(crew.models->compared = json_object()))
        return error_set_nomem(err, 64, "who serves");
    model_tell_ends(tell_end);
    return 0;
}

static void say_balance(void)
{
    struct buf rows = BUF_INIT;
    double sum = 0;
    for (int r = 0; r < crew.size; r++) {
        buf_printf(&rows, "%s%ld", r ? ", " : "", crew.rows[r]);
        sum += (double)crew.rows[r];
    }
    if (sum > 0)
        log_line(LOG_INFO, "decoding rows by rank: %s; %.1f %% of them were lost to imbalance", buf_text(&rows),
                 100 * (1 - sum / crew.most));
    buf_free(&rows);
}

void crew_end(int code)
{
    if (!crew.size)
        return;
    model_tell_ends(NULL);
    say_balance();
    wire_begin(&crew.out, WORD_END);
    wire_put_int(&crew.out, code);
    if (!crew_tell_all(NULL))
        dist_end_together();
    json_decref(crew.models->compared);
    mem_free(crew.models);
    mem_free(crew.rows);
    buf_free(&crew.in);
    buf_free(&crew.out);
    crew = (struct crew){0};
}

int crew_tell(int rank, struct error *err)
{
    return crew.out.failed ? error_set_nomem(err, crew.out.len, "a message")
                           : dist_post(rank, crew.out.data, crew.out.len, err);
}

int crew_tell_all(struct error *err)
{
    int rc = 0;
    for (int r = 1; r < crew.size && !rc; r++)
        rc = crew_tell(r, err);
    return rc;
}

/* The next message; *rank -1: none is there. */
static int hear(struct wire *w, enum crew_word *word, int *rank, int wait, struct error *err)
{
    int rc = dist_take(&crew.in, rank, wait, err);
    *word = WORD_NONE;
    if (rc || *rank < 0)
        return rc;
    *word = wire_read(w, &crew.in);
    if (*word == WORD_SIGNAL)
        interrupt_request((int)wire_get_int(w));
    if (*word != WORD_FAILED)
        return 0;
    crew.n_failed++;
    rc = (int)wire_get_int(w);
    const char *host = wire_get_text(w), *message = wire_get_text(w);
    error_set(err, rc, "%s", message ? message : error_name(rc));
    return error_prefix(err, "rank %d on %s", dist_number(*rank), host ? host : "?");
}

int crew_hear_each(enum crew_word wanted, const struct crew_ear *ear, int wait, struct error *err)
{
    for (;; wait = 0) {
        enum crew_word word;
        struct wire w;
        int rank, rc = hear(&w, &word, &rank, wait, err);
        if (rc || word == WORD_NONE)
            return rc;
        if (word == wanted && (rc = ear->hear(ear->user, rank, &w, err)))
            return rc;
    }
}

/* Each of the others answers once: `wanted`, which the ear hears, or that it failed. The first failure is the
 * error; what else arrives is of no interest any more. */
static int hear_all(enum crew_word wanted, const struct crew_ear *ear, struct error *err)
{
    int code = 0;
    for (int n = 1; n + crew.n_failed < crew.size;) {
        struct error own = {0};
        enum crew_word word;
        struct wire w;
        int rank, rc = hear(&w, &word, &rank, 1, &own);
        if (rc && word != WORD_FAILED)
            return error_set(err, rc, "%s", own.message);
        if (word == wanted && ear)
            rc = ear->hear(ear->user, rank, &w, &own);
        n += word == wanted;
        if (rc && !code)
            code = error_set(err, rc, "%s", own.message);
    }
    return code;
}

int crew_close(int rc, const struct crew_ear *ear, struct error *err)
{
    struct error own = {0};
    wire_begin(&crew.out, WORD_CLOSE);
    int code = crew_tell_all(&own);
    code = code ? code : hear_all(WORD_CLOSED, ear, &own);
    crew.open = crew.n_failed = 0;
    return rc || !code ? rc : error_set(err, code, "%s", own.message);
}

/* What the others have opened is what is open here. */
struct opened {
    const struct model_origin *origin;
    const char *bits; /* the instruction set, where it decides them */
    struct buf print;
};

static int check_opened(void *user, int rank, struct wire *w, struct error *err)
{
    const struct opened *o = user;
    const char *host = wire_get_text(w), *bits = wire_get_text(w), *print = wire_get_text(w);
    int rc = 0;
    if (o->print.len && (!print || strcmp(print, buf_text(&o->print))))
        rc = error_set(err, ERROR_CONFIG, "%s: is not the model that rank 0 reads there", o->origin->path);
    else if (o->bits && (!bits || strcmp(bits, o->bits)))
        rc =
            error_set(err, ERROR_CONFIG,
                      "instruction set %s, and rank 0 has %s; give all ranks --isa, or --dtype f32, whose bits are the "
                      "same everywhere",
                      bits, o->bits);
    return rc ? error_prefix(err, "rank %d on %s", dist_number(rank), host) : 0;
}

static int remember(const char *key, struct error *err)
{
    return json_object_set_new(crew.models->compared, key, json_true()) ? error_set_nomem(err, 64, "models") : 0;
}

/* Files are compared once a command. */
static int fingerprint(struct opened *o, int compare, struct error *err)
{
    struct checkpoint *ck = NULL;
    int rc = compare ? crew_open_origin(&ck, o->origin, err) : 0;
    if (!rc && compare)
        rc = crew_fingerprint(ck, &o->print, err);
    checkpoint_close(ck);
    return rc;
}

static int open_everywhere(const struct model *m, struct error *err)
{
    struct opened o = {.origin = model_origin(m)};
    struct error own = {0};
    struct buf key = BUF_INIT;
    if (model_dtype(m) != DTYPE_F32)
        o.bits = device_isa(model_device(m));
    buf_printf(&key, "%s\n%s", o.origin->path, o.origin->adapter ? o.origin->adapter : "");
    int compare = !json_object_get(crew.models->compared, buf_text(&key));
    wire_begin(&crew.out, WORD_OPEN);
    wire_put_int(&crew.out, (int64_t)o.origin->number);
    wire_put_text(&crew.out, o.origin->path);
    wire_put_text(&crew.out, o.origin->adapter);
    wire_put(&crew.out, &o.origin->options, sizeof o.origin->options);
    wire_put_int(&crew.out, compare);
    int rc = crew_tell_all(err);
    if (!rc) {
        rc = fingerprint(&o, compare, err);
        int theirs = hear_all(WORD_READY, &(struct crew_ear){check_opened, &o}, &own);
        crew.n_failed = 0;
        if (!rc && theirs)
            rc = error_set(err, theirs, "%s", own.message);
    }
    rc = rc || !compare ? rc : remember(buf_text(&key), err);
    buf_free(&o.print);
    buf_free(&key);
    return rc;
}

int crew_share_model(const struct model *m, int *there, struct error *err)
{
    uint64_t number = crew.size ? model_origin(m)->number : 0;
    int place = -1;
    *there = 0;
    if (!number || crew.open)
        return 0;
    for (int i = 0; i < SERVED_MODELS; i++) {
        *there |= crew.models->open[i] == number;
        if (place < 0 && !crew.models->open[i])
            place = i;
    }
    if (*there || place < 0)
        return 0;
    int rc = open_everywhere(m, err);
    if (!rc)
        crew.models->open[place] = number;
    *there = !rc;
    return rc;
}

int crew_check_train(const struct train_options *o, struct error *err)
{
    return crew.size <= o->gradient_leaves
               ? 0
               : error_set(err, ERROR_USAGE,
                           "%d processes share the %d leaves of a step's gradient; give --gradient-leaves (a power of "
                           "two, at least as many as processes; the bits depend on it), or start fewer",
                           crew.size, o->gradient_leaves);
}
