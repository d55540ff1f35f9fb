/* SPDX-License-Identifier: Apache-2.0 */
/* A question and its answer in a template, as a training row. */
#include "train/train.h"

int train_data_add_answer(const struct row_maker *m, const struct template *t, const struct train_answer *a,
                          struct error *err)
{
    struct buf prompt = BUF_INIT, completion = BUF_INIT;
    struct text_spans asked = {0}, answered = {0};
    int rc = template_write(t, &(struct template_prompt){.question = a->question}, &prompt, &asked, err);
    template_completion(t, a->answer, &completion, &answered);
    buf_puts(&completion, template_end(t));
    const struct train_text row = {.prompt = {prompt.data, prompt.len, &asked},
                                   .completion = {completion.data, completion.len, &answered},
                                   .id = a->id,
                                   .continued = 1,
                                   .whole = template_is_chat(t)};
    if (!rc && completion.failed)
        rc = error_set_nomem(err, prompt.len, "a training row");
    rc = rc ? rc : train_data_add(m, &row, err);
    buf_free(&prompt);
    buf_free(&completion);
    text_spans_free(&asked);
    text_spans_free(&answered);
    return rc;
}
