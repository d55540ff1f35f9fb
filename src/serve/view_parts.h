/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the page on a run. All handlers run in the server's one thread. */
#ifndef SERVE_VIEW_PARTS_H
#define SERVE_VIEW_PARTS_H

#include "method/method.h"
#include "run/run.h"
#include "serve/json.h"
#include "serve/view.h"

/* The files of src/serve/page, made into build/gen/page.c; each ends with a 0 byte. */
extern const char page_view_html[], page_view_css[], page_view_js[];

struct view {
    char *directory;
    struct http_server *http;
    struct run *run;    /* to read */
    struct run *beside; /* to write: opened when something is first said */
    struct look *look;
};

/* view_run.c, view_attempts.c, view_say.c: handlers */
void view_run(void *view, struct http_exchange *x);
void view_attempts(void *view, struct http_exchange *x);
void view_attempt(void *view, struct http_exchange *x);
void view_review(void *view, struct http_exchange *x);
void view_judge_next(void *view, struct http_exchange *x);
void view_judge(void *view, struct http_exchange *x);
void view_judge_undo(void *view, struct http_exchange *x);
void view_report(void *view, struct http_exchange *x);

/* view_run.c: a new reference, or NULL with err. */
json_t *view_run_json(struct view *v, struct error *err);
/* view_attempts.c: "r1-a17", "r1-p0" (index -1). 0 or -1. */
int view_read_id(const char *id, int *round, int *index);
void view_fail(struct http_exchange *x, int rc, const struct error *err); /* the error as an answer */

#endif
