/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that begin alike, laid out as a paged batch in which what they share is a sequence of its own: it is computed
 * once, and the others' rows read its keys. Pages are those of one layer, which every layer uses anew, and hold f32, so
 * that each row's arithmetic is that of a bordered pass. */
#ifndef MODEL_SHARED_ROWS_H
#define MODEL_SHARED_ROWS_H

#include "model/model.h"

/* The first n_text texts begin with the same n_row tokens; n_row 0: nothing is shared, n_text is 1. */
struct shared_prefix {
    int n_text, n_row;
};
struct shared_rows {
    int n_row, n_seq, n_page, n_copy; /* in use */
    int max_row, max_seq, max_page, stride, limit;
    int32_t *tokens, *positions, *lengths, *row_seq; /* [max_row] */
    int32_t *copies, *table;                         /* [max_seq,3]; [max_seq,stride] */
    struct buffer *device, *pages;
    struct span d_tokens, d_positions, d_lengths, d_row_seq, d_copies, d_table;
    struct span *layer_pages; /* [L], all the same */
    struct kv_layout layout;
    void *slab;
    size_t slab_bytes;
};

/* Rows that need not be computed when these texts are scored after their prompts; 0 where the model's texts cannot
 * share. */
int64_t shared_saving(const struct model *m, const struct model_text *texts, int n);
/* Room for a pass of max_row rows (no text may be longer) of at most n_text texts. */
int shared_rows_new(struct shared_rows *s, const struct model *m, int max_row, int n_text, struct error *err);
void shared_rows_free(struct shared_rows *s);
void shared_rows_reset(struct shared_rows *s);
/* Adds the first of these texts, and those that share their beginning with it as long as there is room; returns how
 * many, 0: the pass is full. start[i]: the row of position p of text i is start[i] + p, for positions from
 * n_prompt - 1 on. */
int shared_rows_add(struct shared_rows *s, const struct model_text *texts, int n, int *start);
void shared_rows_upload(const struct shared_rows *s, struct queue *q);
void shared_rows_batch(const struct shared_rows *s, struct model_batch *b); /* out_rows are for the caller to set */

#endif
