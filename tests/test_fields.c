/* SPDX-License-Identifier: Apache-2.0 */
/* base/fields and all tables: a row that a test adds goes through everything, and every row of the program says what it
 * must. */
#include "tests/check.h"

#include "cli/options.h"
#include "eval/fields.h"
#include "generate/fields.h"
#include "method/fields.h"
#include "train/fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct owner {
    const struct field_table *table;
    const char *prefix;
    enum field_phase phase;
    unsigned group;
    size_t size;
} owners[] = {
    {&train_fields, "train-", FIELD_PLAIN, GROUP_TRAIN, sizeof(struct train_options)},
    {&generate_fields, "", FIELD_PLAIN, GROUP_DECODE, sizeof(struct generate_options)},
    {&generate_fields, "ask-", FIELD_ASK, GROUP_DECODE, sizeof(struct generate_options)},
    {&generate_fields, "answer-", FIELD_ANSWER, GROUP_DECODE, sizeof(struct generate_options)},
    {&align_fields, "", FIELD_PLAIN, GROUP_METHOD, sizeof(struct align_options)},
    {&sift_fields, "", FIELD_PLAIN, GROUP_METHOD, sizeof(struct sift_options)},
    {&eval_fields, "", FIELD_PLAIN, GROUP_TASK, sizeof(struct eval_options)},
    {&generate_engine_fields, "", FIELD_PLAIN, GROUP_ENGINE, sizeof(struct generate_engine_asked)},
};
enum { N_OWNER = (int)(sizeof owners / sizeof *owners) };

static void *object_of(const struct owner *o)
{
    void *object = calloc(1, o->size);
    assert_non_null(object);
    fields_default(o->table, o->phase, object);
    return object;
}

static void refused(const struct field *f, const char *text)
{
    struct error err = {0};
    char option[100];
    snprintf(option, sizeof option, "--%s: wanted ", f->name);
    if (field_set(f, text, NULL, &err) != ERROR_USAGE || !strstr(err.message, option))
        fail_msg("--%s %s is accepted, or the error says: %s", f->name, text, err.message);
}

static int is_number(const struct field *f)
{
    return f->type == FIELD_INT || f->type == FIELD_FLOAT || f->type == FIELD_DOUBLE;
}

/* The row's own words: it can be set to its defaults, and to nothing that it forbids. */
static void check_row(const struct field *f)
{
    const char *const defaults[] = {f->initial, f->ask, f->answer};
    struct error err = {0};
    char beyond[64];
    for (size_t i = 0; i < 3; i++)
        if (defaults[i] && field_set(f, defaults[i], NULL, &err))
            fail_msg("%s", err.message);
    if (is_number(f)) {
        snprintf(beyond, sizeof beyond, "%.17g", f->low - 1);
        refused(f, beyond);
        snprintf(beyond, sizeof beyond, "%.17g", f->high + 1);
        refused(f, beyond);
        refused(f, "nan");
        refused(f, "1x");
        refused(f, "");
        assert_true(f->low < f->high);
    }
    if (f->type == FIELD_INT)
        refused(f, "4294967297");
    if (f->type == FIELD_CHOICE || f->type == FIELD_FLAG || f->type == FIELD_IDS || f->type == FIELD_TEXTS)
        refused(f, f->type == FIELD_TEXTS ? "" : "no-such-choice");
}

/* --help names the default. */
static void check_help(const struct field *f, unsigned group)
{
    struct buf text = BUF_INIT;
    field_describe(f, &text);
    const char *bracket = text.data ? strrchr(text.data, '[') : NULL, *shown = f->initial;
    if (f->type == FIELD_FLAG && f->initial)
        shown = strcmp(f->initial, "true") ? "off" : "on";
    int own_words = f->help[0] && f->help[strlen(f->help) - 1] == ']';
    if ((f->initial || (f->bits != FIELD_FREE && f->type != FIELD_TEXTS)) &&
        (!bracket || (!own_words && strncmp(bracket + 1, shown, strlen(shown)))))
        fail_msg("--%s: its help does not say its default: %s", f->name, text.data);
    buf_free(&text);
    const struct option_spec *s = option_find(f->name, group);
    if (!s || s->field != f)
        fail_msg("--%s: is no option of the command, or another row", f->name);
}

/* Another value than the default. */
static void alter(const struct field *f, void *object)
{
    char *p = (char *)object + f->offset;
    int *i = (int *)(void *)p;
    double *d = (double *)(void *)p;
    float *x = (float *)(void *)p;
    switch (f->type) {
    case FIELD_FLAG:
    case FIELD_CHOICE: *i = !*i; break;
    case FIELD_INT: *i += *i < f->high ? 1 : -1; break;
    case FIELD_FLOAT: *x = *x > 0 ? *x / 2 : (float)f->high / 2; break;
    case FIELD_DOUBLE: *d = *d > 0 ? *d / 2 : f->high / 2; break;
    case FIELD_U64: ++*(unsigned long long *)(void *)p; break;
    case FIELD_STRING: *(const char **)(void *)p = "another"; break;
    case FIELD_IDS: assert_int_equal(field_set(f, "7,9", object, NULL), 0); break;
    case FIELD_TEXTS: assert_int_equal(field_set(f, "end", object, NULL), 0); break;
    }
}

static json_t *settings_of(const struct owner *o, const void *object)
{
    json_t *s = json_object();
    assert_int_equal(fields_put(o->table, o->prefix, object, s), 0);
    return s;
}

/* What decides bits stands in the settings, differs there when it differs, and comes back from there. */
static void check_settings(const struct owner *o, const struct field *f)
{
    void *plain = object_of(o), *other = object_of(o), *back = object_of(o);
    struct error err = {0};
    char key[100];
    snprintf(key, sizeof key, "%s%s", o->prefix, f->name);
    alter(f, other);
    json_t *a = settings_of(o, plain), *b = settings_of(o, other);
    if (f->bits == FIELD_FREE) {
        assert_null(json_object_get(a, key));
        assert_true(json_equal(a, b));
    } else if (!json_object_get(a, key) || json_equal(json_object_get(a, key), json_object_get(b, key))) {
        fail_msg("%s: is not in the settings, or not compared", key);
    }
    if (fields_get(o->table, o->prefix, b, back, "here", &err))
        fail_msg("%s", err.message);
    json_t *c = settings_of(o, back);
    if (!json_equal(b, c))
        fail_msg("%s: does not come back from the settings", key);
    json_object_set_new(b, key, f->type == FIELD_CHOICE ? json_string("no-such-choice") : json_object());
    if (f->bits != FIELD_FREE && (fields_get(o->table, o->prefix, b, back, "here", &err) != ERROR_DATA ||
                                  strncmp(err.message, "here: ", 6) || !strstr(err.message, f->name)))
        fail_msg("%s: a damaged setting is taken, or: %s", key, err.message);
    json_decref(a);
    json_decref(b);
    json_decref(c);
    free(plain);
    free(other);
    free(back);
}

/* What the program itself puts there is looked at, too. */
static void check_outside(const struct owner *o, const struct field *f)
{
    void *object = object_of(o);
    char *p = (char *)object + f->offset;
    struct error err = {0};
    char name[100];
    const struct field *with = f->with ? field_find(o->table, f->with) : NULL;
    field_name(f, name, sizeof name);
    if (with)
        *(int *)(void *)((char *)object + with->offset) = 1;
    if (fields_check(o->table, object, &err))
        fail_msg("the defaults are outside: %s", err.message);
    if (f->type == FIELD_CHOICE)
        *(int *)(void *)p = 1000;
    else if (f->type == FIELD_INT)
        *(int *)(void *)p = (int)f->low - 1;
    else if (f->type == FIELD_FLOAT)
        *(float *)(void *)p = NAN;
    else if (f->type == FIELD_DOUBLE)
        *(double *)(void *)p = NAN;
    else
        name[0] = 0;
    if (name[0] && (fields_check(o->table, object, &err) != ERROR_USAGE || strncmp(err.message, name, strlen(name))))
        fail_msg("%s: outside its range and not refused by name: %s", name, err.message);
    free(object);
}

static void every_row(void **state)
{
    (void)state;
    int n = 0;
    for (int k = 0; k < N_OWNER; k++)
        for (int i = 0; i < owners[k].table->n; i++, n++) {
            const struct field *f = &owners[k].table->rows[i];
            assert_ptr_equal(field_find(owners[k].table, f->name), f); /* no name twice */
            assert_true(!f->with || field_find(owners[k].table, f->with));
            check_row(f);
            check_help(f, owners[k].group);
            check_settings(&owners[k], f);
            check_outside(&owners[k], f);
        }
    assert_true(n > 80);
    int n_option;
    const struct option_spec *all = option_table(&n_option);
    for (int i = 0; i < n_option; i++)
        check_row(all[i].field);
}

/* ---- a row added here */
struct thing {
    int shade, ids[2], n_id, n_text;
    float weight;
    double share;
    char texts[2][8];
    const char *label;
    unsigned long long number;
};
static const struct field added[] = {
    {FIELD("shade", FIELD_CHOICE, struct thing, shade), .argument = "red|green|blue", .initial = "green", .ask = "blue",
     .bits = FIELD_BITS, .help = "its colour"},
    {FIELD("weight", FIELD_FLOAT, struct thing, weight), .argument = "X", .low = -1, .high = 8, .initial = "0.1",
     .bits = FIELD_BITS, .help = "[$ = light]"},
    {FIELD("share", FIELD_DOUBLE, struct thing, share), .argument = "X", .high = 1, .initial = "0.3",
     .bits = FIELD_BITS, .help = "read for green and blue", .with = "shade"},
    {FIELD("the-ids", FIELD_IDS, struct thing, ids), .argument = "ID", .bits = FIELD_BITS, .help = "ids",
     .count = offsetof(struct thing, n_id), .capacity = 2},
    {FIELD("texts", FIELD_TEXTS, struct thing, texts), .argument = "TEXT", .bits = FIELD_BITS, .help = "texts",
     .count = offsetof(struct thing, n_text), .capacity = 2, .size = 8},
    {FIELD("label", FIELD_STRING, struct thing, label), .argument = "TEXT", .bits = FIELD_BITS, .help = "a name"},
    {FIELD("number", FIELD_U64, struct thing, number), .argument = "N", .initial = "18446744073709551615",
     .help = "a large one"},
};
static const struct field_table added_table = {added, (int)(sizeof added / sizeof *added)};

static void says(const char *wanted, const struct field *f)
{
    struct buf text = BUF_INIT;
    field_describe(f, &text);
    assert_string_equal(text.data, wanted);
    buf_free(&text);
}

static void prints(const char *wanted, const struct field *f, const struct thing *t)
{
    struct buf text = BUF_INIT;
    assert_int_equal(field_print(f, t, &text, NULL), 0);
    assert_string_equal(text.data, wanted);
    buf_free(&text);
}

static void a_row_added(void **state)
{
    (void)state;
    struct thing t = {0};
    struct error err = {0};
    fields_default(&added_table, FIELD_PLAIN, &t);
    assert_true(t.shade == 1 && t.weight == 0.1f && t.share == 0.3 && t.number == ~0ull);
    fields_default(&added_table, FIELD_ASK, &t);
    assert_int_equal(t.shade, 2);
    says("its colour [green; align: blue ask]", &added[0]);
    says("[0.1 = light]", &added[1]);
    says("ids", &added[3]);
    prints("blue", &added[0], &t);
    prints("0.1", &added[1], &t);
    prints("18446744073709551615", &added[6], &t);
    refused(&added[0], "gree");
    refused(&added[0], "green|blue");
    assert_int_equal(field_set(&added[3], "1,2,3", &t, &err), ERROR_USAGE);
    assert_int_equal(field_set(&added[3], "1,2", &t, &err), 0);
    assert_int_equal(field_set(&added[4], "12345678", &t, &err), ERROR_USAGE);
    assert_int_equal(field_set(&added[4], "1234567", &t, &err), 0);
    prints("1,2", &added[3], &t);
    t.share = 2;
    assert_int_equal(fields_check(&added_table, &t, &err), ERROR_USAGE);
    t.shade = 0; /* not read then */
    assert_int_equal(fields_check(&added_table, &t, &err), 0);
    json_t *all = fields_json(&added_table, &t, 0), *read = fields_json(&added_table, &t, 1);
    assert_true(json_object_get(all, "share") && !json_object_get(read, "share"));
    assert_true(json_object_get(read, "the_ids") &&
                json_equal(json_object_get(all, "shade"), json_object_get(read, "shade")));
    json_decref(all);
    json_decref(read);
    t.shade = -1;
    assert_null(field_json(&added[0], &t));
    json_t *s = json_object();
    assert_int_not_equal(fields_put(&added_table, "", &t, s), 0);
    json_decref(s);
    json_t *number = json_integer(3), *text = json_string("blue");
    assert_int_equal(field_set_json(&added[0], text, &t, &err), 0);
    assert_int_equal(t.shade, 2);
    assert_int_equal(field_set_json(&added[0], number, &t, &err), ERROR_DATA);
    assert_int_equal(field_set_json(&added[1], text, &t, &err), ERROR_DATA);
    json_decref(number);
    json_decref(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row), cmocka_unit_test(a_row_added)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
