/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the crew: crew.c (who is there, models), generate.c, texts.c and train.c (rank 0's side of each work),
 * server.c, served_*.c and serve.c (the others'), deal.h (who gets what), wire.h (messages). */
#ifndef CREW_PARTS_H
#define CREW_PARTS_H

#include "crew/crew.h"
#include "crew/wire.h"
#include "io/checkpoint.h"

/* Rank 0's side. */
struct crew {
    int size; /* 0: nobody serves */
    struct buf in, out;
    int open, n_failed; /* a session; of its ranks, those that failed and answer nothing more */
    struct models *models;
    long *rows;  /* [size] decoding rows of all sessions */
    double most; /* sum over sessions: rows of the rank with most, times size */
};
struct crew *crew_of_rank_0(void);
/* Whether the others can have this model; *there, when they do now. */
int crew_share_model(const struct model *m, int *there, struct error *err);
int crew_tell(int rank, struct error *err); /* crew.out */
int crew_tell_all(struct error *err);
/* What has arrived (wait: or arrives next): messages of the wanted word are heard, others dropped. Another rank's
 * failure is an error here, a signal to it one to rank 0. */
struct crew_ear {
    int (*hear)(void *user, int rank, struct wire *w, struct error *err);
    void *user;
};
int crew_hear_each(enum crew_word wanted, const struct crew_ear *ear, int wait, struct error *err);
/* WORD_CLOSE to all, and what they answer: the ear (or NULL) hears each rank's CLOSED. What else arrives until then is
 * dropped. rc != 0: the session has failed, and that is what is returned. */
int crew_close(int rc, const struct crew_ear *ear, struct error *err);
/* What tells whether two processes open the same model by an origin. */
int crew_fingerprint(const struct checkpoint *ck, struct buf *out, struct error *err);
int crew_open_origin(struct checkpoint **ck, const struct model_origin *o, struct error *err);

/* The others' side. */
struct served_model {
    uint64_t number;
    struct checkpoint *checkpoint;
    struct model *model;
    char *tokenizer_path;
    struct tokenizer *tokenizer;
};
enum { SERVED_MODELS = 64 };
struct server {
    struct device *device;
    struct buf in, out;
    struct served_model models[SERVED_MODELS];
};
struct served_model *server_place(struct server *s, uint64_t number); /* number 0: a free one; NULL: there is none */
void server_drop(struct served_model *m);                             /* NULL is fine */
struct served_model *server_model(struct server *s, uint64_t number, struct error *err);
int server_tokenizer(struct served_model *m, const char *path, struct error *err);
int server_answer(struct server *s, struct error *err); /* server.out to rank 0 */
/* The next word, waited for or not (WORD_NONE: none is there). */
int server_hear(struct server *s, struct wire *w, enum crew_word *word, int wait, struct error *err);
int server_generate(struct server *s, struct wire *w, struct error *err);
int server_texts(struct server *s, struct wire *w, struct error *err);
int server_train(struct server *s, struct wire *w, struct error *err);

#endif
