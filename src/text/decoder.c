/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder entry of a tokenizer.json, read into a flat list. */
#include "base/utf8.h"
#include "text/parts.h"

#include <string.h>

static int append_step(struct reader *r, struct decoder **list, size_t *n, const struct decoder *d)
{
    if (*n >= 64)
        return reader_fail(r, "decoder: more than 64 steps");
    struct decoder *more = arena_alloc(r->arena, (*n + 1) * sizeof *more);
    if (!more)
        return reader_nomem(r);
    if (*n)
        memcpy(more, *list, *n * sizeof *more);
    more[(*n)++] = *d;
    *list = more;
    return 0;
}

static int read_strip(struct reader *r, const json_t *o, struct decoder *d)
{
    const struct component c = {o, "decoder Strip"};
    int rc = reader_text(r, &c, "content", " ", &d->text, &d->n_text);
    if (!rc && utf8_count(d->text, d->n_text) != 1)
        rc = reader_fail(r, "%s: content: wanted one character, found \"%s\"", c.name, d->text);
    if (!rc)
        rc = reader_count(r, &c, "start", 0, &d->start);
    return rc ? rc : reader_count(r, &c, "stop", 0, &d->stop);
}

static int read_one(struct reader *r, const json_t *o, const char *type, struct decoder *d)
{
    int rc = 0, unused;
    if (!strcmp(type, "ByteLevel")) {
        d->kind = DECODE_BYTE_LEVEL;
    } else if (!strcmp(type, "ByteFallback")) {
        d->kind = DECODE_BYTE_FALLBACK;
    } else if (!strcmp(type, "Fuse")) {
        d->kind = DECODE_FUSE;
    } else if (!strcmp(type, "Strip")) {
        d->kind = DECODE_STRIP;
        rc = read_strip(r, o, d);
    } else if (!strcmp(type, "Replace")) {
        d->kind = DECODE_REPLACE;
        const struct component c = {o, "decoder Replace"};
        rc = reader_pattern(r, &c, "pattern", &d->pattern);
        if (!rc)
            rc = reader_text(r, &c, "content", NULL, &d->text, &d->n_text);
    } else if (!strcmp(type, "Metaspace")) {
        enum metaspace_scheme scheme;
        d->kind = DECODE_METASPACE;
        rc = metaspace_read(r, &(struct component){o, "decoder Metaspace"}, &d->text, &scheme, &unused);
        d->flag = !rc && scheme != METASPACE_NEVER;
        d->n_text = rc ? 0 : strlen(d->text);
    } else if (!strcmp(type, "WordPiece")) {
        d->kind = DECODE_WORDPIECE;
        const struct component c = {o, "decoder WordPiece"};
        rc = reader_text(r, &c, "prefix", "##", &d->text, &d->n_text);
        if (!rc)
            rc = reader_flag(r, &c, "cleanup", 1, &d->flag);
    } else if (!strcmp(type, "BPEDecoder")) {
        d->kind = DECODE_BPE;
        rc = reader_text(r, &(struct component){o, "decoder BPEDecoder"}, "suffix", "</w>", &d->text, &d->n_text);
    } else {
        rc = reader_fail(r, "decoder: type \"%s\" is not supported", type);
    }
    return rc;
}

int decoder_read(struct reader *r, const json_t *o, struct decoder **out, size_t *n)
{
    const char *type;
    int rc = reader_type(r, o, "decoder", &type);
    if (rc)
        return rc;
    if (strcmp(type, "Sequence")) {
        struct decoder d = {0};
        rc = read_one(r, o, type, &d);
        return rc ? rc : append_step(r, out, n, &d);
    }
    const json_t *list = json_object_get(o, "decoders");
    if (!json_is_array(list))
        return reader_fail(r, "decoder Sequence: wanted an array \"decoders\"");
    if (++r->depth > PARTS_MAX_DEPTH)
        return reader_fail(r, "decoder: more than %d Sequences inside each other", PARTS_MAX_DEPTH);
    for (size_t i = 0; i < json_array_size(list) && !rc; i++)
        rc = decoder_read(r, json_array_get(list, i), out, n);
    r->depth--;
    return rc;
}
