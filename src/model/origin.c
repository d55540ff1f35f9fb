/* SPDX-License-Identifier: Apache-2.0 */
/* Where a model's weights came from, for whoever opens them once more. */
#include "model/parts.h"

#include "base/mem.h"

#include <string.h>

static void (*tell)(uint64_t number);

const struct model_origin *model_origin(const struct model *m)
{
    return &m->origin;
}

void model_tell_ends(void (*told)(uint64_t number))
{
    tell = told;
}

void model_forget_origin(struct model *m)
{
    uint64_t number = m->origin.number;
    mem_free(m->origin.path);
    mem_free(m->origin.adapter);
    m->origin = (struct model_origin){0};
    if (number && tell)
        tell(number);
}

int origin_set(struct model *m, const struct checkpoint *source, const struct model_options *options, struct error *err)
{
    static uint64_t last;
    const char *path = checkpoint_path(source), *adapter = checkpoint_adapter(source);
    model_forget_origin(m);
    if (options->n_label)
        return 0;
    struct model_origin o = {0, mem_strdup(path), adapter ? mem_strdup(adapter) : NULL, *options};
    o.options.labels = NULL;
    if (!o.path || (adapter && !o.adapter)) {
        mem_free(o.path);
        mem_free(o.adapter);
        return error_set_nomem(err, strlen(path), "a path");
    }
    o.number = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
    m->origin = o;
    return 0;
}
