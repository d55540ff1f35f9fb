/* SPDX-License-Identifier: Apache-2.0 */
/* How often the learned judge errs, by what the rule finds wrong with an answer: made-up answers of every kind, so that
 * wrong cautions are seen however rarely a model gives them.
 *
 *     judge_check JUDGE DATA PERCENT      DATA as world judge-data writes it; exit code 1 when it errs on more than
 *     PERCENT of any kind
 */
#include "world.h"

#include "io/checkpoint.h"
#include "model/model.h"
#include "train/train.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KIND = 16, MAX_TOKENS = 256 };

struct judge_check {
    struct device *device;
    struct checkpoint *checkpoint;
    struct tokenizer *tokenizer;
    struct model *model;
    struct train_data data;
    float *logits; /* [rows, labels] */
    struct {
        const char *name;
        long n, wrong;
    } kind[MAX_KIND];
    int n_kind;
};

static int open_judge(struct judge_check *c, const char *path, struct error *err)
{
    struct model_options o = {.dtype = DTYPE_F32, .task = MODEL_CLASSIFY, .check_finite = 1};
    int status = device_open(&c->device, DEVICE_CPU, &(struct device_options){0}, err);
    if (status == 0)
        status = checkpoint_open(&c->checkpoint, path, err);
    if (status == 0)
        status = tokenizer_open(&c->tokenizer, path, err);
    return status ? status : model_open(&c->model, c->device, c->checkpoint, &o, err);
}

static int judge_rows(struct judge_check *c, const char *path, struct error *err)
{
    const struct row_maker with = {.tokenizer = c->tokenizer, .desc = model_desc(c->model), .max_length = MAX_TOKENS};
    int status = train_data_read(&c->data, (struct record_source){.path = path}, &with, err);
    if (status)
        return status;
    size_t n = (size_t)c->data.n;
    struct model_text *texts = calloc(n + 1, sizeof *texts);
    c->logits = calloc(n + 1, (size_t)model_desc(c->model)->n_label * sizeof *c->logits);
    if (!texts || !c->logits)
        status = error_set_nomem(err, n * sizeof *texts, "answers to judge");
    for (size_t i = 0; status == 0 && i < n; i++)
        texts[i] = (struct model_text){c->data.rows[i].ids, c->data.rows[i].n, 0};
    if (status == 0)
        status = model_classify(c->model, texts, (int)n, c->logits, err);
    free(texts);
    return status;
}

static void count(struct judge_check *c, const char *name, int wrong)
{
    int k = 0;
    while (k < c->n_kind && strcmp(c->kind[k].name, name))
        k++;
    if (k == MAX_KIND)
        return;
    if (k == c->n_kind)
        c->kind[c->n_kind++].name = name;
    c->kind[k].n++;
    c->kind[k].wrong += wrong;
}

/* The rule's word on every row against the judge's: flagged when a label is likelier than not. */
static int compare_rows(struct judge_check *c, const char *path, struct error *err)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return error_set_errno(err, "%s", path);
    char *line = NULL;
    size_t cap = 0;
    int n_label = model_desc(c->model)->n_label, status = 0;
    for (int i = 0; status == 0 && i < c->data.n && getline(&line, &cap, file) > 0; i++) {
        const char *prompt, *response, *reason;
        json_t *row = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        if (json_unpack(row, "{s:s, s:s}", "prompt", &prompt, "response", &response)) {
            status = error_set(err, ERROR_DATA, "%s:%d: wanted strings \"prompt\" and \"response\"", path, i + 1);
        } else {
            enum world_manner manner = world_label(prompt, response, &reason);
            int flagged = 0;
            for (int j = 0; j < n_label; j++)
                flagged |= c->logits[i * n_label + j] > 0;
            count(c, manner == WORLD_BROKEN ? reason : world_manner_name[manner], flagged != (manner != WORLD_CAREFUL));
        }
        json_decref(row);
    }
    free(line);
    fclose(file);
    return status;
}

static int report(const struct judge_check *c, double most, struct error *err)
{
    const char *worst = NULL;
    for (int k = 0; k < c->n_kind; k++) {
        double share = 100.0 * (double)c->kind[k].wrong / (double)c->kind[k].n;
        printf("  the judge errs on %5.1f %% of %5ld: %s\n", share, c->kind[k].n, c->kind[k].name);
        if (share > most)
            worst = c->kind[k].name;
    }
    return worst ? error_set(err, ERROR_FAILED, "the judge errs on more than %g %% of \"%s\"", most, worst) : 0;
}

int main(int argc, char **argv)
{
    struct judge_check c = {0};
    struct error err = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: judge_check JUDGE DATA PERCENT\n");
        return 2;
    }
    int status = open_judge(&c, argv[1], &err);
    if (status == 0)
        status = judge_rows(&c, argv[2], &err);
    if (status == 0)
        status = compare_rows(&c, argv[2], &err);
    if (status == 0)
        status = report(&c, strtod(argv[3], NULL), &err);
    if (status)
        fprintf(stderr, "judge_check: %s\n", err.message);
    train_data_free(&c.data);
    free(c.logits);
    model_close(c.model);
    tokenizer_close(c.tokenizer);
    checkpoint_close(c.checkpoint);
    device_close(c.device);
    return error_exit_code(status);
}
