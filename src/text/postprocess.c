/* SPDX-License-Identifier: Apache-2.0 */
/* For one text all post-processors come to the same: ids before it and ids after it. What they say about pairs, type
 * ids and offsets is not needed here and is kept in the file only. */
#include "text/parts.h"

#include <string.h>

#define MAX_AROUND 256 /* published files have one or two */

static int push_id(struct reader *r, int32_t **list, size_t *n, int32_t id)
{
    if (*n >= MAX_AROUND)
        return reader_fail(r, "post_processor: more than %d ids beside the text", MAX_AROUND);
    int32_t *more = arena_alloc(r->arena, (*n + 1) * sizeof *more);
    if (!more)
        return reader_nomem(r);
    if (*n)
        memcpy(more, *list, *n * sizeof *more);
    more[*n] = id;
    *list = more;
    (*n)++;
    return 0;
}

static int checked(struct reader *r, const char *what, json_int_t id, const struct vocab *vocab)
{
    if (id < 0 || id >= VOCAB_MAX_ID || !vocab_at(vocab, (int32_t)id))
        return reader_fail(r, "%s: no token has the id %lld", what, (long long)id);
    return 0;
}

static int template_special(struct reader *r, const json_t *o, const json_t *special, const struct vocab *vocab,
                            int seen, struct around *out)
{
    const char *what = "post_processor TemplateProcessing", *name = json_string_value(json_object_get(special, "id"));
    const json_t *ids =
        name ? json_object_get(json_object_get(json_object_get(o, "special_tokens"), name), "ids") : NULL;
    if (!json_is_array(ids))
        return reader_fail(r, "%s: special token \"%s\" has no entry with ids in special_tokens", what,
                           name ? name : "");
    int rc = 0;
    for (size_t i = 0; i < json_array_size(ids) && !rc; i++) {
        const json_t *id = json_array_get(ids, i);
        rc = checked(r, what, json_is_integer(id) ? json_integer_value(id) : -1, vocab);
        if (!rc && seen)
            rc = push_id(r, &out->after, &out->n_after, (int32_t)json_integer_value(id));
        else if (!rc)
            rc = push_id(r, &out->before, &out->n_before, (int32_t)json_integer_value(id));
    }
    return rc;
}

/* The library hands what the first one made to a second one as several texts, which no published file means. */
static int only_one(struct reader *r, const char *type, const struct around *out)
{
    return !out->n_before && !out->n_after ? 0
                                           : reader_fail(r,
                                                         "post_processor: %s after another post_processor that adds "
                                                         "tokens (TemplateProcessing, BertProcessing or "
                                                         "RobertaProcessing) is not supported; wanted one of them",
                                                         type);
}

static int read_template(struct reader *r, const json_t *o, const struct vocab *vocab, struct around *out)
{
    const char *what = "post_processor TemplateProcessing";
    const json_t *single = json_object_get(o, "single"), *step;
    int seen = 0, rc = 0;
    if (!json_is_array(single))
        return reader_fail(r, "%s: wanted an array \"single\"", what);
    for (size_t i = 0; i < json_array_size(single) && !rc; i++) {
        step = json_array_get(single, i);
        const json_t *special = json_object_get(step, "SpecialToken"), *text = json_object_get(step, "Sequence");
        const char *id = json_string_value(json_object_get(text, "id"));
        if (special)
            rc = template_special(r, o, special, vocab, seen, out);
        else if (id && !strcmp(id, "A") && !seen)
            seen = 1;
        else
            rc = reader_fail(r, "%s: single: entry %zu is neither a SpecialToken nor the one Sequence A", what, i);
    }
    if (!rc && !seen)
        rc = reader_fail(r, "%s: single has no Sequence A", what);
    return rc;
}

/* "cls" and "sep" of Roberta- and BertProcessing: ["<s>", 0]. */
static int read_mark(struct reader *r, const json_t *o, const char *what, const char *key, const struct vocab *vocab,
                     int32_t *out)
{
    const json_t *pair = json_object_get(o, key), *id = json_array_get(pair, 1);
    if (!json_is_integer(id))
        return reader_fail(r, "%s: %s: wanted [\"token\", id]", what, key);
    int rc = checked(r, what, json_integer_value(id), vocab);
    *out = rc ? -1 : (int32_t)json_integer_value(id);
    return rc;
}

static int read_marks(struct reader *r, const json_t *o, const char *type, const struct vocab *vocab,
                      struct around *out)
{
    char what[64] = "post_processor ";
    int32_t cls, sep;
    strncat(what, type, sizeof what - 20);
    int rc = read_mark(r, o, what, "cls", vocab, &cls);
    if (!rc)
        rc = read_mark(r, o, what, "sep", vocab, &sep);
    if (!rc)
        rc = push_id(r, &out->before, &out->n_before, cls);
    return rc ? rc : push_id(r, &out->after, &out->n_after, sep);
}

int postprocessor_read(struct reader *r, const json_t *o, const struct vocab *vocab, struct around *out)
{
    const char *type;
    int rc = reader_type(r, o, "post_processor", &type);
    if (rc)
        return rc;
    if (!strcmp(type, "ByteLevel"))
        return 0; /* offsets only */
    if (!strcmp(type, "TemplateProcessing"))
        return only_one(r, type, out) ? ERROR_DATA : read_template(r, o, vocab, out);
    if (!strcmp(type, "RobertaProcessing") || !strcmp(type, "BertProcessing"))
        return only_one(r, type, out) ? ERROR_DATA : read_marks(r, o, type, vocab, out);
    if (strcmp(type, "Sequence"))
        return reader_fail(r, "post_processor: type \"%s\" is not supported", type);
    const json_t *list = json_object_get(o, "processors");
    if (!json_is_array(list))
        return reader_fail(r, "post_processor Sequence: wanted an array \"processors\"");
    if (++r->depth > PARTS_MAX_DEPTH)
        return reader_fail(r, "post_processor: more than %d Sequences inside each other", PARTS_MAX_DEPTH);
    for (size_t i = 0; i < json_array_size(list) && !rc; i++)
        rc = postprocessor_read(r, json_array_get(list, i), vocab, out);
    r->depth--;
    return rc;
}
