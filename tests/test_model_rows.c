/* SPDX-License-Identifier: Apache-2.0 */
/* Every field of every family's row is seen by its golden values: each in turn is set to something else, and one of the
 * family's models must then be refused or give other numbers than transformers'. What nothing can see stands in a list
 * with the reason. */
#include "check.h"

#include "family_golden.h"
#include "io/jsontext.h"
#include "model/families.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_GOLDEN = 100, MOST_TABLE = 64 };
struct golden {
    char name[256], type[64];
};
static struct golden goldens[MOST_GOLDEN];
static int n_golden;

static const struct {
    const char *type, *field, *why;
} unseen[] = {
    {NULL, "base", "of a model without a head"},
    {NULL, "score", "of score heads"},
    {NULL, "score2", "of score heads"},
    {"phi3", "layer_types", "all of its layers have a window, or none"},
    {NULL, "initializer_range", "of new weights"},
    {"gemma3_text", "vocab_size", "a golden model is smaller"},
    {NULL, "max_position_embeddings", "the longest text, not its numbers"},
    {NULL, "bos_token_id", "not of the numbers"},
    {NULL, "eos_token_id", "not of the numbers"},
    {NULL, "pad_token_id", "not of the numbers"},
};

/* A row whose tables may be changed. */
struct copy {
    struct family f;
    struct family_tensor tensors[MOST_TABLE];
    struct family_switch switches[MOST_TABLE];
    struct family_alias aliases[MOST_TABLE];
    struct family_default defaults[MOST_TABLE];
    char field[100];
};

static void copy_of(struct copy *c, const struct family *f)
{
    *c = (struct copy){.f = *f};
    assert_true(f->n_tensor < MOST_TABLE && f->n_switch < MOST_TABLE && f->n_alias < MOST_TABLE &&
                f->n_default < MOST_TABLE);
    for (int i = 0; i < f->n_tensor; i++)
        c->tensors[i] = f->tensors[i];
    for (int i = 0; i < f->n_switch; i++)
        c->switches[i] = f->switches[i];
    for (int i = 0; i < f->n_alias; i++)
        c->aliases[i] = f->aliases[i];
    for (int i = 0; i < f->n_default; i++)
        c->defaults[i] = f->defaults[i];
    c->f.tensors = c->tensors;
    c->f.switches = c->switches;
    c->f.aliases = c->aliases;
    c->f.defaults = c->defaults;
}

/* In a process of its own, since a row that contradicts itself may do anything. */
static int is_red(const struct copy *c)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child) {
        assert_true(waitpid(child, &status, 0) == child);
        return status != 0;
    }
    if (!freopen("/dev/null", "w", stderr) || signal(SIGSEGV, SIG_DFL) == SIG_ERR ||
        signal(SIGABRT, SIG_DFL) == SIG_ERR)
        _exit(0);
    family_set_extra(&c->f);
    for (int i = 0; i < n_golden; i++) {
        struct family_golden g;
        if (!strcmp(goldens[i].type, c->f.type) &&
            (family_golden_open(&g, goldens[i].name, &(struct device_options){.n_thread = 1}) ||
             family_golden_scores(&g) || family_golden_hidden(&g)))
            _exit(1);
    }
    _exit(0);
}

static int n_flip, n_green;

static void expect_red(struct copy *c, const struct family *f)
{
    n_flip++;
    int red = is_red(c) || (!strcmp(c->field, "layer_types") && !f->window); /* it says where windows are */
    for (size_t i = 0; i < sizeof unseen / sizeof *unseen; i++)
        if (!strcmp(unseen[i].field, c->field) && (!unseen[i].type || !strcmp(unseen[i].type, f->type)))
            red = 1;
    if (!red)
        print_error("%s: another %s is not seen\n", f->type, c->field);
    n_green += !red;
}

/* clang-format off */
#define EACH_NAME(X)                                                                                                \
    X(lm) X(base) X(classify) X(score) X(score2) X(embed) X(positions) X(final_norm) X(final_norm_bias) X(head)     \
    X(layer) X(eps) X(act) X(rotary) X(attention_cap) X(logit_cap) X(attention_scalar) X(types) X(embed_norm)       \
    X(embed_norm_bias) X(unscaled) X(layer_scale) X(project_in) X(project_out) X(place_switch) X(no_final_norm)     \
    X(affine) X(embed_width) X(distances) X(buckets) X(parallel_switch) X(window) X(window_switch) X(window_from) X(window_every)           \
    X(local_theta) X(rotary_layers) X(rotary_every)
#define EACH_FLAG(X)                                                                                                \
    X(transposed) X(parallel) X(gated) X(bidirectional) X(scaled_embedding) X(norm_offset) X(gelu_is_tanh)          \
    X(layer_types)
/* These say nothing to a family whose files have nothing of the kind. */
#define EACH_RARE(X) X(old_longrope) X(window_unrotated) X(positions_from_pad)
/* clang-format on */

static void flip_names(const struct family *f)
{
    static struct copy c;
#define FLIP(field_)                                                        \
    if (f->field_) {                                                        \
        copy_of(&c, f);                                                     \
        c.f.field_ = !strcmp(#field_, "act") ? "relu2" : "no-such-%d-name"; \
        snprintf(c.field, sizeof c.field, #field_);                         \
        expect_red(&c, f);                                                  \
    }
    EACH_NAME(FLIP)
#undef FLIP
}

static void flip_flags(const struct family *f)
{
    static struct copy c;
#define FLIP(field_)                            \
    copy_of(&c, f);                             \
    c.f.field_ = !c.f.field_;                   \
    snprintf(c.field, sizeof c.field, #field_); \
    expect_red(&c, f);
    EACH_FLAG(FLIP)
#undef FLIP
#define FLIP(field_)                                \
    if (f->field_) {                                \
        copy_of(&c, f);                             \
        c.f.field_ = 0;                             \
        snprintf(c.field, sizeof c.field, #field_); \
        expect_red(&c, f);                          \
    }
    EACH_RARE(FLIP)
#undef FLIP
}

/* Names that other files have: each is one file's. */
static void flip_renames(const struct family *f)
{
    static struct copy c;
    copy_of(&c, f);
    c.f.beginnings = NULL;
    snprintf(c.field, sizeof c.field, "beginnings");
    if (f->beginnings)
        expect_red(&c, f);
    copy_of(&c, f);
    c.f.endings = NULL;
    snprintf(c.field, sizeof c.field, "endings");
    if (f->endings)
        expect_red(&c, f);
}

static void flip_numbers(const struct family *f)
{
    static struct copy c;
    for (int k = 0; k < 5; k++) {
        static const char *const names[] = {"eps_missing", "rotary_missing", "window_pattern", "position_offset",
                                            "norm"};
        int used[] = {1, f->rotary != NULL, f->window && !f->window_every, f->positions != NULL, 1};
        copy_of(&c, f);
        c.f.eps_missing *= k == 0 ? 1e5 : 1;
        c.f.rotary_missing *= k == 1 ? 0.5 : 1;
        c.f.window_pattern += k == 2;
        c.f.position_offset += k == 3;
        if (k == 4)
            c.f.norm = f->norm == NORM_RMS ? NORM_LAYER : NORM_RMS;
        snprintf(c.field, sizeof c.field, "%s", names[k]);
        if (used[k])
            expect_red(&c, f);
    }
    for (int place = PLACE_PRE; place <= PLACE_AFTER; place++) {
        copy_of(&c, f);
        c.f.place = (enum norm_place)place;
        snprintf(c.field, sizeof c.field, "place %d", place);
        if (c.f.place != f->place)
            expect_red(&c, f);
    }
    for (int kind = QK_NONE; kind <= QK_ROW; kind++) {
        copy_of(&c, f);
        c.f.qk_norm = (enum qk_norm)kind;
        snprintf(c.field, sizeof c.field, "qk_norm %d", kind);
        if (c.f.qk_norm != f->qk_norm)
            expect_red(&c, f);
    }
}

/* Whether any switch brings the part: a name of one that is never there is nobody's. */
static int is_used(const struct family *f, enum layer_part part)
{
    uint32_t parts = 0;
    for (int i = 0; i < f->n_switch; i++)
        parts |= f->switches[i].parts;
    return parts >> part & 1;
}

static enum tensor_rows other_rows(enum tensor_rows rows)
{
    switch (rows) {
    case ROWS_ALL: return ROWS_V;
    case ROWS_V: return ROWS_K;
    case ROWS_UP: return ROWS_GATE;
    default: return ROWS_UP;
    }
}

static void flip_tensors(const struct family *f)
{
    static struct copy c;
    for (int i = 0; i < f->n_tensor; i++) {
        if (!is_used(f, f->tensors[i].part))
            continue;
        copy_of(&c, f);
        c.tensors[i].name = "no-such-name";
        snprintf(c.field, sizeof c.field, "name for %s", f->tensors[i].name);
        expect_red(&c, f);
        copy_of(&c, f);
        c.tensors[i].rows = other_rows(f->tensors[i].rows);
        snprintf(c.field, sizeof c.field, "rows for %s", f->tensors[i].name);
        expect_red(&c, f);
    }
}

static void flip_switches(const struct family *f)
{
    static struct copy c;
    for (int i = 0; i < f->n_switch; i++) {
        for (int part = 0; part < PART_COUNT; part++) {
            copy_of(&c, f);
            c.switches[i].parts ^= f->switches[i].parts & 1u << part;
            snprintf(c.field, sizeof c.field, "part %d of switch %d", part, i);
            if (f->switches[i].parts >> part & 1)
                expect_red(&c, f);
        }
        if (!f->switches[i].key)
            continue;
        copy_of(&c, f);
        c.switches[i].key = "no-such-key";
        snprintf(c.field, sizeof c.field, "key for %s", f->switches[i].key);
        expect_red(&c, f);
        copy_of(&c, f);
        c.switches[i].missing = !c.switches[i].missing;
        snprintf(c.field, sizeof c.field, "default for %s", f->switches[i].key);
        expect_red(&c, f);
    }
}

static void flip_keys(const struct family *f)
{
    static struct copy c;
    for (int i = 0; i < f->n_alias; i++) {
        copy_of(&c, f);
        c.aliases[i].theirs = "no-such-key";
        snprintf(c.field, sizeof c.field, "%s", f->aliases[i].ours);
        expect_red(&c, f);
    }
    for (int i = 0; i < f->n_default; i++) {
        copy_of(&c, f);
        c.defaults[i].value = f->defaults[i].value > 1 ? 1 : 1 - f->defaults[i].value;
        snprintf(c.field, sizeof c.field, "%s", f->defaults[i].key);
        expect_red(&c, f);
    }
}

static void every_field_is_seen(void **state)
{
    (void)state;
    const char *done[MOST_GOLDEN];
    int n_done = 0;
    for (int i = 0; i < n_golden; i++) {
        const struct family *f = family_find(goldens[i].type);
        int known = 0;
        assert_non_null(f);
        for (int k = 0; k < n_done; k++)
            known |= !strcmp(done[k], f->type);
        if (known)
            continue;
        done[n_done++] = f->type;
        static struct copy same;
        copy_of(&same, f);
        assert_false(is_red(&same)); /* or everything would be */
        flip_names(f);
        flip_flags(f);
        flip_renames(f);
        flip_numbers(f);
        flip_tensors(f);
        flip_switches(f);
        flip_keys(f);
    }
    assert_true(n_flip > 50);
    assert_int_equal(n_green, 0);
}

static int find_goldens(void **state)
{
    (void)state;
    const struct dirent *entry;
    DIR *names = opendir("tests/golden/families");
    while (names && (entry = readdir(names))) {
        char path[400];
        json_t *config;
        snprintf(path, sizeof path, "tests/golden/families/%s/config.json", entry->d_name);
        if (strchr(entry->d_name, '.') || jsontext_load(&config, path, 1 << 20, NULL))
            continue;
        assert_true(n_golden < MOST_GOLDEN);
        struct golden *g = &goldens[n_golden++];
        snprintf(g->name, sizeof g->name, "%s", entry->d_name);
        const json_t *text = json_object_get(config, "text_config"), *part = text ? text : config;
        snprintf(g->type, sizeof g->type, "%s", json_string_value(json_object_get(part, "model_type")));
        json_decref(config);
    }
    closedir(names);
    return n_golden ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_field_is_seen)};
    return cmocka_run_group_tests(tests, find_goldens, NULL);
}
