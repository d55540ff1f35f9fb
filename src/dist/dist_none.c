/* SPDX-License-Identifier: Apache-2.0 */
/* One process. */
#include "dist/dist.h"
#include "dist/dist_copies.h"

#include <stdlib.h>
#include <string.h>

void dist_speak_by(void (*speak)(const char *line))
{
    (void)speak;
}

int dist_start(int *argc, char ***argv, struct error *err)
{
    const char *copies = dist_copies();
    (void)argc;
    (void)argv;
    return copies ? error_set(err, ERROR_CONFIG,
                              "%s is %s, but this isara was built without MPI and each copy would do the whole work: "
                              "build it with make MPI=1, or start one (unset %s)",
                              copies, getenv(copies), copies)
                  : 0;
}

int dist_neighbours(void)
{
    return 1;
}

void dist_end(int code)
{
    (void)code;
}

int dist_rank(void)
{
    return 0;
}

int dist_size(void)
{
    return 1;
}

int dist_split(int size, struct error *err)
{
    (void)size;
    (void)err;
    return 0;
}

int dist_group(void)
{
    return 0;
}

int dist_groups(void)
{
    return 1;
}

int dist_number(int rank)
{
    return rank;
}

int dist_meet(struct error *err)
{
    (void)err;
    return 0;
}

const char *dist_kind(void)
{
    return "one process";
}

int dist_agreed(void)
{
    return 0;
}

const char *dist_host(void)
{
    return "";
}

void dist_last_word(const char *line, int code)
{
    (void)line;
    (void)code;
}

int dist_exchange(const struct dist_piece *sends, int n_send, const struct dist_piece *receives, int n_receive,
                  struct error *err)
{
    if (n_send != n_receive)
        return error_set(err, ERROR_INTERNAL, "%d pieces are sent to oneself and %d received", n_send, n_receive);
    for (int i = 0; i < n_send; i++)
        memcpy(receives[i].data, sends[i].data, sends[i].bytes);
    return 0;
}

int dist_begin(const struct dist_exchange *x, struct error *err)
{
    return dist_exchange(x->sends, x->n_send, x->receives, x->n_receive, err);
}

int dist_is_done(void)
{
    return 1;
}

int dist_finish(struct error *err)
{
    (void)err;
    return 0;
}

double dist_sent(void)
{
    return 0;
}

int dist_broadcast(void *data, size_t bytes, int root, struct error *err)
{
    (void)data;
    (void)bytes;
    (void)root;
    (void)err;
    return 0;
}

int dist_gather_all(const void *mine, size_t bytes, void *all, struct error *err)
{
    (void)err;
    memcpy(all, mine, bytes);
    return 0;
}

int dist_agree(int rc, struct error *err)
{
    (void)err;
    return rc;
}

void dist_end_together(void)
{
}

int dist_post(int rank, const void *data, size_t bytes, struct error *err)
{
    (void)data;
    return error_set(err, ERROR_INTERNAL, "a message of %zu bytes for rank %d, and there is one process", bytes, rank);
}

int dist_take(struct buf *b, int *rank, int wait, struct error *err)
{
    buf_reset(b);
    *rank = -1;
    return wait ? error_set(err, ERROR_INTERNAL, "waiting for a message, and there is one process") : 0;
}
