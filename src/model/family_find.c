/* SPDX-License-Identifier: Apache-2.0 */
/* Looking things up in the rows of families.c. */
#include "model/families.h"

#include <stdio.h>
#include <string.h>

static const struct family *extra;

void family_set_extra(const struct family *f)
{
    extra = f;
}

const struct family *family_find(const char *type)
{
    if (extra && !strcmp(extra->type, type))
        return extra;
    for (int i = 0; i < n_family; i++)
        if (!strcmp(families[i].type, type))
            return &families[i];
    return NULL;
}

int family_default(const struct family *f, const char *key, double *value)
{
    for (int i = 0; i < f->n_default; i++)
        if (!strcmp(f->defaults[i].key, key)) {
            *value = f->defaults[i].value;
            return 1;
        }
    return 0;
}

void family_names(char *out, size_t size)
{
    size_t used = 0;
    *out = 0;
    for (int i = 0; i < n_family && used < size; i++) {
        const char *before = i == n_family - 1 ? " or " : ", ";
        used += (size_t)snprintf(out + used, size - used, "%s\"%s\"", i ? before : "", families[i].type);
    }
}

/* `name` with one beginning and one ending replaced (either may be NULL: as it is); 0 when it does not have them. */
static int renamed(char to[256], const char *name, const struct family_alias *beginning,
                   const struct family_alias *ending)
{
    size_t n = strlen(name), skip = beginning ? strlen(beginning->ours) : 0, cut = ending ? strlen(ending->ours) : 0;
    if (skip + cut > n || (beginning && strncmp(name, beginning->ours, skip)) ||
        (ending && strcmp(name + n - cut, ending->ours)))
        return 0;
    int length = snprintf(to, 256, "%s%.*s%s", beginning ? beginning->theirs : "", (int)(n - skip - cut), name + skip,
                          ending ? ending->theirs : "");
    return length > 0 && length < 256;
}

static const struct tensor_info *find_ending(const struct family *f, const struct checkpoint *source, const char *name,
                                             const struct family_alias *beginning)
{
    char other[256];
    const struct tensor_info *found = renamed(other, name, beginning, NULL) ? checkpoint_find(source, other) : NULL;
    for (const struct family_alias *e = f->endings; !found && e && e->ours; e++)
        found = renamed(other, name, beginning, e) ? checkpoint_find(source, other) : NULL;
    return found;
}

const struct tensor_info *family_find_tensor(const struct family *f, const struct checkpoint *source, const char *name)
{
    const struct tensor_info *found = find_ending(f, source, name, NULL);
    for (const struct family_alias *b = f->beginnings; !found && b && b->ours; b++)
        found = find_ending(f, source, name, b);
    return found;
}

/* transformers' ACT2FN (tests/golden/families/activations.json has its values). */
int activation_find(const char *name)
{
    static const struct {
        const char *name;
        enum activation act;
    } names[] = {
        {"silu", ACT_SILU},
        {"swish", ACT_SILU},
        {"relu", ACT_RELU},
        {"gelu", ACT_GELU},
        {"gelu_python", ACT_GELU},
        {"gelu_new", ACT_GELU_TANH},
        {"gelu_fast", ACT_GELU_TANH},
        {"gelu_accurate", ACT_GELU_TANH},
        {"gelu_pytorch_tanh", ACT_GELU_TANH},
        {"gelu_python_tanh", ACT_GELU_TANH},
        {"gelu_10", ACT_GELU_10},
        {"quick_gelu", ACT_QUICK_GELU},
        {"relu2", ACT_RELU2},
        {"relu6", ACT_RELU6},
        {"leaky_relu", ACT_LEAKY_RELU},
        {"hardswish", ACT_HARDSWISH},
        {"sigmoid", ACT_SIGMOID},
        {"tanh", ACT_TANH},
        {"mish", ACT_MISH},
        {"laplace", ACT_LAPLACE},
        {"linear", ACT_LINEAR},
    };
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        if (!strcmp(names[i].name, name))
            return (int)names[i].act;
    return -1;
}
