/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVAL_SETS_H
#define EVAL_SETS_H

#include "answer/seeds.h"
#include "eval/parts.h"

enum { EVAL_MAX_ROUND = 64 };
struct eval_pair {
    const char *id, *question, *answer /* NULL: none */, *text /* both */;
    int kept;
};
struct eval_set {
    const char *name; /* "seeds", "test", "generated" */
    struct eval_pair *items;
    int n, cap;
    int n_further; /* of a file: conversations and instances of which only the first pair is here */
    int round_end[EVAL_MAX_ROUND], n_round; /* of a run: items of round r end here */
    struct arena arena;
};
/* Any of the seeds' formats. */
int eval_set_read(struct eval_set *s, const char *name, struct record_source source, struct error *err);
/* A run directory (its rounds' generated.jsonl, rejected attempts too), or a file of one or of any other records with
 * questions. The fields that source names are those of a file. */
int eval_set_read_run(struct eval_set *s, struct record_source source, struct error *err);
void eval_set_free(struct eval_set *s);

#endif
