/* SPDX-License-Identifier: Apache-2.0 */
/* Tune: supervised fine-tuning on the seeds and all that was kept so far, from the pretrained model or from the last
 * one. */
#include "method/teacher.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "crew/crew.h"

#include <string.h>

static void show_step(void *user, const struct train_step *s)
{
    struct progress *p = user;
    char note[64];
    snprintf(note, sizeof note, "loss %.4f", s->loss);
    p->done = s->step;
    p->total = s->total;
    p->tokens += (double)s->tokens;
    p->note = note;
    progress_show(p);
    p->note = NULL;
}

/* soft: with what their teachers say. */
static int add_rows(struct align *a, struct train_data *data, const struct pool_item *items, int n, int soft,
                    struct error *err)
{
    int *rows = mem_calloc((size_t)n + 1, sizeof *rows);
    int rc = rows ? 0 : error_set_nomem(err, (size_t)n * sizeof *rows, "training rows");
    for (int i = 0; i < n && !rc; i++) {
        int before = data->n;
        rc = align_add_row(a, data, &items[i], err);
        rows[i] = data->n > before ? before : -1;
    }
    if (!rc && soft)
        rc = align_teach(a, &(struct lesson){items, rows, n, data}, err);
    mem_free(rows);
    return rc;
}

int align_model_sha256(const char *directory, char sha256[65], struct error *err)
{
    struct checkpoint *ck;
    int rc = checkpoint_open(&ck, directory, err);
    if (rc)
        return rc;
    rc = checkpoint_sha256(ck, sha256, err);
    checkpoint_close(ck);
    return rc;
}

/* What it is tuned on; mem_free. */
static struct pool_item *rows_of(const struct align *a, const struct made_model *m, int *n)
{
    struct pool_item *items = mem_calloc((size_t)a->n_given + (size_t)m->n_kept + 1, sizeof *items);
    int last = m->n_kept ? a->kept[m->n_kept - 1].round : 0;
    *n = 0;
    for (int i = 0; items && i < a->n_given && !m->newest; i++) {
        const struct seed *s = &a->seeds.items[a->given[i]];
        items[(*n)++] = (struct pool_item){s->question, s->answer, 0, a->given[i]};
    }
    for (int i = 0; items && i < m->n_kept; i++)
        if (!m->newest || a->kept[i].round == last)
            items[(*n)++] = a->kept[i];
    return items;
}

static int make_data(struct align *a, const struct made_model *m, struct train_data *data, struct error *err)
{
    int n;
    struct pool_item *items = rows_of(a, m, &n);
    int rc = items ? 0 : error_set_nomem(err, (size_t)m->n_kept * sizeof *items, "training rows");
    if (!rc && m->soft && a->o.on_policy)
        rc = align_write_answers(a, items, n, err);
    rc = rc ? rc : add_rows(a, data, items, n, m->soft, err);
    mem_free(items);
    if (rc)
        return rc;
    if (data->n_truncated || data->n_dropped)
        log_line(LOG_WARNING, "tune: %d of %d rows were cut to %d tokens, %d had nothing left to train on",
                 data->n_truncated, n, a->o.train.max_length, data->n_dropped);
    return data->n ? 0 : error_set(err, ERROR_DATA, "tune: none of %d pairs has anything to train on", n);
}

int align_tune(struct align *a, struct made_model *m, const char *directory, struct error *err)
{
    const struct tokenizer_info *info = tokenizer_info(a->speaker.tokenizer);
    struct train_data data = {0};
    struct train_options options = a->o.train;
    struct train_result result = {0};
    struct checkpoint *source = NULL;
    struct buf chat_template = BUF_INIT;
    struct progress progress = {.stage = "tune", .unit = "steps", .started = clock_now()};
    if (m->max_steps)
        options.max_steps = m->max_steps;
    int rc = make_data(a, m, &data, err);
    rc = rc ? rc : template_jinja(a->speaker.template, info->add_bos, &chat_template, err);
    rc = rc ? rc : checkpoint_open(&source, m->from, err);
    /* over a quantised base the adapter is the model: it says what it says beside the same blocks in memory */
    int stands = !rc && train_keeps_blocks(&options, source);
    enum dtype loaded = stands ? a->speaker.o.dtype : options.dtype;
    rc = rc ? rc : speaker_load(&a->speaker, m->from, loaded, err);
    if (!rc) {
        struct train_job job = {.model = a->speaker.model,
                                .source = source,
                                .data = &data,
                                .options = &options,
                                .directory = directory,
                                .tokenizer = a->speaker.tokenizer,
                                .chat_template = chat_template.data,
                                .merge = !stands,
                                .on_step = show_step,
                                .user = &progress};
        speaker_forget(&a->speaker); /* what is in memory is not exactly what is saved either */
        rc = crew_train(&job, &result, err);
    }
    rc = rc ? rc : align_model_sha256(directory, m->sha256, err);
    m->steps = result.resumed_from + result.steps;
    checkpoint_close(source);
    buf_free(&chat_template);
    train_data_free(&data);
    return rc;
}
