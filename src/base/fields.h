/* SPDX-License-Identifier: Apache-2.0 */
/* Field tables: an option is one row, which says where its value lies and all that is known of it. Reading from text
 * and JSON, ranges and choices, defaults, --help, settings and the comparison with an earlier run are loops over rows,
 * so that a new option is a row and its use.
 *
 *     static const struct field rows[] = {
 *         {FIELD("weight-decay", FIELD_DOUBLE, struct train_options, weight_decay), .argument = "X", .high = 10,
 *         .initial = "0",
 *          .help = "decoupled decay, not on norms and biases", .bits = FIELD_BITS},
 *     };
 *     const struct field_table train_fields = {rows, sizeof rows / sizeof *rows}; */
#ifndef BASE_FIELDS_H
#define BASE_FIELDS_H

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>
#include <stddef.h>

/* In the struct: int (flags, whole numbers, choices as their index), unsigned long long, float, double, const char *,
 * and for lists an array with its int count. */
enum field_type {
    FIELD_FLAG,
    FIELD_INT,
    FIELD_U64,
    FIELD_FLOAT,
    FIELD_DOUBLE,
    FIELD_STRING,
    FIELD_CHOICE,
    FIELD_IDS,
    FIELD_TEXTS
};
enum field_bits {
    FIELD_FREE, /* changes no bit of a result: may differ when a run is continued */
    FIELD_BITS, /* a run with another value is refused by name */
    /* decides bits only through what its owner makes of it and compares: rows a step, steps, the rows as they are
     * cut */
    FIELD_BITS_MADE
};
/* of a run of the method: its defaults may differ */
enum field_phase { FIELD_PLAIN, FIELD_ASK, FIELD_ANSWER };

struct field {
    const char *name; /* with hyphens */
    enum field_type type;
    size_t offset;            /* of the value in its owner's struct */
    const char *argument;     /* what --help shows: N, FILE, or the choices "a|b|c", which are checked */
    const char *values;       /* the texts that a NAME may be, "a|b|c": what shells complete it to */
    double low, high;         /* range of numbers */
    const char *initial;      /* the default as text; NULL: zero, none, or set by the owner */
    const char *ask, *answer; /* the same in a phase, where it differs */
    const char *help; /* the default follows in brackets, unless brackets end it; '$' in it stands for the default */
    enum field_bits bits;
    const char *with; /* the row whose value must not be 0 for this one to be read, hence to be checked and compared */
    size_t count;     /* lists: offset of their int count */
    int capacity;     /* lists: items at most */
    int size;         /* texts: bytes of an item, with its end */
};
struct field_table {
    const struct field *rows;
    int n;
};
#define FIELD(name_, type_, owner, member) .name = name_, .type = type_, .offset = offsetof(owner, member)

/* Which of the choices "a|b|c" a text is; -1: none. */
int field_choice(const char *choices, const char *text);
/* The index-th, of *n bytes and without an end; NULL: there are not so many. */
const char *field_choice_text(const char *choices, int index, size_t *n);
/* NULL: no such row. '_' is '-'. */
const struct field *field_find(const struct field_table *t, const char *name);
/* Reads a text and checks it; written to object unless that is NULL. Ids replace the list, a text is added to it.
 * ERROR_USAGE names the option, what was wanted and what was found. */
int field_set(const struct field *f, const char *text, void *object, struct error *err);
/* From a JSON value, lists from arrays; a number is no text. */
int field_set_json(const struct field *f, const json_t *value, void *object, struct error *err);
void field_clear(const struct field *f, void *object);         /* empties a list */
void field_name(const struct field *f, char *to, size_t size); /* with '_', as transformers writes it */
/* The value as text: what field_set reads back, numbers in the fewest digits that do. */
int field_print(const struct field *f, const void *object, struct buf *out, struct error *err);
/* New reference: flags 0 or 1, a choice as its text, no string as ""; NULL: out of memory, or no choice. */
json_t *field_json(const struct field *f, const void *object);
/* Is it read at all (see with)? */
int field_read(const struct field_table *t, const struct field *f, const void *object);
/* What --help says behind the name: text and default. */
void field_describe(const struct field *f, struct buf *out);

/* Writes the defaults of a phase over what is there; rows without one are left alone. */
void fields_default(const struct field_table *t, enum field_phase phase, void *object);
/* Ranges and choices of all rows that are read; ERROR_USAGE names the first that is outside, with '_'. */
int fields_check(const struct field_table *t, const void *object, struct error *err);
/* Every row under its name with '_', flags as true and false; only_read: those that are read. New reference; NULL: out
 * of memory, or no choice. */
json_t *fields_json(const struct field_table *t, const void *object, int only_read);
/* Every row that decides bits into a flat object, as PREFIXname. 0 or -1. */
int fields_put(const struct field_table *t, const char *prefix, const void *object, json_t *settings);
/* Back from there. Keys that are missing leave what is in object; another type or an unknown choice is ERROR_DATA,
 * which begins with where. Strings stay the settings' own. Ranges are fields_check's, as a value that is not read may
 * be any. */
int fields_get(const struct field_table *t, const char *prefix, const json_t *settings, void *object, const char *where,
               struct error *err);

#endif
