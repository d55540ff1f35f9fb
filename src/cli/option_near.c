/* SPDX-License-Identifier: Apache-2.0 */
/* What to do about a name that is no option here. */
#include "cli/options.h"

#include "base/names.h"

#include <stdio.h>
#include <string.h>

enum { MOST = 512 };

/* The names of the options of the groups. */
static struct names names_of(unsigned groups, const char *list[MOST])
{
    int n, found = 0;
    const struct option_spec *table = option_table(&n);
    for (int i = 0; i < n && found < MOST; i++)
        if (table[i].group & groups)
            list[found++] = table[i].field->name;
    return (struct names){list, found};
}

const char *options_near(const char *name, unsigned groups)
{
    const char *list[MOST];
    size_t length = strlen(name);
    struct names names = names_of(groups, list);
    return names_nearest(&names, name, length, length >= 8 ? 2 : 1);
}

static const char *from_elsewhere(const char *name, size_t length, unsigned groups)
{
    const char *list[MOST];
    struct names names = names_of(groups, list);
    return names_elsewhere(&names, name, length);
}

static const char *meant(const char *name, size_t length, unsigned groups)
{
    const char *list[MOST];
    struct names names = names_of(groups, list);
    return names_meant(&names, name, length);
}

int (*options_elsewhere)(const char *name, size_t length, struct buf *out);

static int elsewhere(const char *name, size_t length, struct buf *out)
{
    return options_elsewhere ? options_elsewhere(name, length, out) : 0;
}

void options_suggest(const char *name, size_t length, unsigned groups, struct buf *out)
{
    struct buf verbs = BUF_INIT;
    const char *prefix = "", *ours = from_elsewhere(name, length, groups);
    for (int i = 0; !ours && i < OPTION_N_PREFIX && (groups & GROUP_ALIGN); i++) {
        size_t n = strlen(option_prefixes[i].text);
        if (length <= n || strncmp(name, option_prefixes[i].text, n - 1) || !strchr("-_", name[n - 1]))
            continue;
        ours = meant(name + n, length - n, option_prefixes[i].group);
        prefix = option_prefixes[i].text;
    }
    if (!ours && !elsewhere(name, length, &verbs)) {
        ours = meant(name, length, groups);
        prefix = "";
    }
    const char *theirs = ours || verbs.len ? NULL : from_elsewhere(name, length, ~0u);
    if (theirs)
        elsewhere(theirs, strlen(theirs), &verbs);
    if (ours)
        buf_printf(out, "did you mean --%s%s?", prefix, ours);
    else if (verbs.len)
        buf_printf(out, "%s %s it%s%s", verbs.data, strchr(verbs.data, ',') ? "have" : "has", theirs ? " as --" : "",
                   theirs ? theirs : "");
    else
        buf_puts(out, "--help lists them");
    buf_free(&verbs);
}
