/* SPDX-License-Identifier: Apache-2.0 */
/* A hub and how to ask it: $HF_ENDPOINT, a token, tries again after what may pass (with growing pauses, Retry-After to
 * five minutes), and one-line errors for what does not. Bytes that came in between count as progress: tries begin
 * anew. */
#ifndef IO_HUB_CLIENT_H
#define IO_HUB_CLIENT_H

#include "base/buf.h"
#include "io/fetch.h"
#include "io/http_text.h"

struct hub_client {
    struct fetch *fetch;
    char *endpoint, *token; /* without "/" at its end; NULL */
    char shown[300];        /* the endpoint as messages name it */
    const char *name;       /* org/name, for messages */
    double timeout, pause;  /* before the second try */
    int tries;
    const struct http_clock *clock;
};
/* Reads the environment: HF_ENDPOINT, HF_TOKEN (else HUGGING_FACE_HUB_TOKEN, else the file $HF_TOKEN_PATH,
 * $HF_HOME/token, ~/.cache/huggingface/token; none with HF_HUB_DISABLE_IMPLICIT_TOKEN), HF_HUB_DOWNLOAD_TIMEOUT. */
int hub_client_open(struct hub_client *c, const char *name, const struct http_clock *clock, struct error *err);
void hub_client_close(struct hub_client *c);
/* 1 when HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids every connection. */
int hub_is_offline(void);
int hub_shows_progress(void); /* HF_HUB_DISABLE_PROGRESS_BARS is not set */

struct hub_sink {
    /* Before every try: where to go on from. */
    int (*begin)(void *user, uint64_t *from, struct error *err);
    int (*take)(void *user, const struct fetch_answer *answer, const void *bytes, size_t n, struct error *err);
    void *user;
};
/* GETs endpoint + path (already encoded) into the sink until it is whole: *answer has status 200, 206 or, where nothing
 * was left to send, 416. */
int hub_client_get(struct hub_client *c, const char *path, const struct hub_sink *sink, struct fetch_answer *answer,
                   struct error *err);
/* The same into memory, at most max bytes. */
int hub_client_read(struct hub_client *c, const char *path, size_t max, struct buf *out, struct error *err);
/* Appends a path with everything but letters, digits, "-._~/" as %XX. */
void hub_encode(struct buf *out, const char *path);

#endif
