/* SPDX-License-Identifier: Apache-2.0 */
/* Every key of the file stands in the table below: read here, harmless for the reason beside it, or refused when it is
 * on. A key that is not there may change the sum W + s B A in a way that nobody here knows, so it is refused when it is
 * on too. */
#include "io/adapter_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RANK = 65536 };
enum rule { READ, HARMLESS, OFF };

static const struct {
    const char *name;
    enum rule rule;
    const char *why;
} keys[] = {
    {"peft_type", READ, ""},
    {"r", READ, ""},
    {"lora_alpha", READ, ""},
    {"use_rslora", READ, ""},
    {"use_dora", READ, ""},
    {"rank_pattern", READ, ""},
    {"alpha_pattern", READ, ""},
    {"bias", READ, ""},
    {"init_lora_weights", READ, ""},
    {"base_model_name_or_path", READ, ""},
    {"task_type", HARMLESS, "the base's configuration says it"},
    {"peft_version", HARMLESS, "who wrote it"},
    {"auto_mapping", HARMLESS, "of the class that holds the base"},
    {"revision", HARMLESS, "of a download"},
    {"inference_mode", HARMLESS, "whether it is trained"},
    {"lora_dropout", HARMLESS, "training only"},
    {"target_modules", HARMLESS, "the tensors say which"},
    {"exclude_modules", HARMLESS, "the tensors say which"},
    {"layers_to_transform", HARMLESS, "the tensors say which"},
    {"layers_pattern", HARMLESS, "the tensors say which"},
    {"modules_to_save", HARMLESS, "the tensors say which: they stand for the base's own"},
    {"fan_in_fan_out", READ, ""},
    {"loftq_config", HARMLESS, "read with init_lora_weights loftq, which is refused"},
    {"eva_config", HARMLESS, "how A began, before it was trained"},
    {"corda_config", HARMLESS, "read with init_lora_weights corda, which is refused"},
    {"lora_ga_config", HARMLESS, "read with init_lora_weights lora_ga, which is refused"},
    {"megatron_core", HARMLESS, "the name of a library, used with megatron_config"},
    {"qalora_group_size", HARMLESS, "used with use_qalora"},
    {"runtime_config", HARMLESS, "how, not what is computed"},
    {"ensure_weight_tying", HARMLESS, "training only: the tensors hold the result"},
    {"megatron_config", OFF, ""},
    {"lora_bias", OFF, ""},
    {"layer_replication", OFF, ""},
    {"trainable_token_indices", OFF, ""},
    {"target_parameters", OFF, ""},
    {"alora_invocation_tokens", OFF, ""},
    {"use_qalora", OFF, ""},
    {"use_bdlora", OFF, ""},
    {"arrow_config", OFF, ""},
    {"kasa_config", OFF, ""},
    {"velora_config", OFF, ""},
    {"monteclora_config", OFF, ""},
};

static int refuse(const struct adapter_config *c, const char *key, const char *wanted, struct error *err)
{
    char *text = json_dumps(json_object_get(c->json, key), JSON_ENCODE_ANY | JSON_COMPACT);
    int rc = error_set(err, ERROR_CONFIG, "%s: \"%.100s\": wanted %s, found %.200s", c->where, key, wanted,
                       text ? text : "nothing");
    free(text);
    return rc;
}

/* Absent, null, false, 0, or empty. */
static int is_off(const json_t *v)
{
    if (!v || json_is_null(v) || json_is_false(v) || (json_is_number(v) && json_number_value(v) == 0))
        return 1;
    return (json_is_object(v) && !json_object_size(v)) || (json_is_array(v) && !json_array_size(v)) ||
           (json_is_string(v) && !json_string_length(v));
}

static int check_keys(const struct adapter_config *c, struct error *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)c->json, key, v)
    {
        size_t i = 0;
        while (i < sizeof keys / sizeof *keys && strcmp(key, keys[i].name))
            i++;
        if (i == sizeof keys / sizeof *keys && !is_off(v))
            return refuse(c, key, "no such key (it is not known what it changes)", err);
        if (i < sizeof keys / sizeof *keys && keys[i].rule == OFF && !is_off(v))
            return refuse(c, key, "nothing (not supported)", err);
    }
    return 0;
}

/* Some starts take a part out of the base's weights (pissa, olora, corda) or replace them (loftq), again each time peft
 * loads the adapter. */
static int check_start(const struct adapter_config *c, struct error *err)
{
    static const char *const plain[] = {"gaussian", "eva", "orthogonal"};
    const json_t *v = json_object_get(c->json, "init_lora_weights");
    if (!v || json_is_null(v) || json_is_boolean(v))
        return 0;
    for (size_t i = 0; json_is_string(v) && i < sizeof plain / sizeof *plain; i++)
        if (!strcmp(json_string_value(v), plain[i]))
            return 0;
    return refuse(
        c, "init_lora_weights",
        "true, false, gaussian, eva or orthogonal (the others change the base's weights: save the adapter with "
        "path_initial_model_for_weight_conversion, which turns it into a plain one)",
        err);
}

static int read_flag(const struct adapter_config *c, const char *key, int *out, struct error *err)
{
    const json_t *v = json_object_get(c->json, key);
    *out = json_is_true(v);
    return !v || json_is_null(v) || json_is_boolean(v) ? 0 : refuse(c, key, "true or false", err);
}

static int is_rank(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) >= 1 && json_integer_value(v) <= MOST_RANK;
}

enum { MOST_PATTERN = 500 };

/* Patterns are Python's regular expressions, of which plain names, dots, x*, x+ and alternatives are read. */
static int can_match(const char *pattern)
{
    int starred = 1; /* nothing is there to be repeated */
    if (!*pattern || strlen(pattern) > MOST_PATTERN)
        return 0;
    for (const char *p = pattern + (*pattern == '^'); *p; p++) {
        int star = *p == '*' || *p == '+';
        if (strchr("()[]{}?$^", *p) || (*p == '\\' && *++p != '.') || (star && starred))
            return 0;
        starred = star || *p == '|';
    }
    return 1;
}

/* Marks state i of an alternative's n bytes, and what can be reached from it without a byte. */
static void reach_states(const char *p, size_t n, size_t i, char *on)
{
    while (i < n && !on[i]) {
        size_t atom = p[i] == '\\' ? 2 : 1;
        on[i] = 1;
        if (i + atom >= n || p[i + atom] != '*')
            return;
        i += atom + 1;
    }
    on[i] = 1;
}

/* Whether the alternative p[0..n) matches all of s; every state at once, so that no pattern takes long. */
static int match_all(const char *p, size_t n, const char *s)
{
    char now[MOST_PATTERN + 1] = {0}, next[MOST_PATTERN + 1];
    reach_states(p, n, 0, now);
    for (; *s; s++) {
        memset(next, 0, sizeof next);
        for (size_t i = 0; i < n; i++) {
            size_t atom = p[i] == '\\' ? 2 : 1;
            int repeats = i + atom < n && (p[i + atom] == '*' || p[i + atom] == '+');
            if (!now[i] || (p[i] != '.' && p[i + atom - 1] != *s))
                continue;
            if (repeats)
                reach_states(p, n, i, next);
            reach_states(p, n, i + atom + (size_t)repeats, next);
        }
        memcpy(now, next, sizeof now);
    }
    return now[n];
}

/* As peft does it: at the end of the name, after its beginning or a dot. */
static int matches_module(const char *pattern, const char *module)
{
    for (const char *s = module; s; s = strchr(s, '.') ? strchr(s, '.') + 1 : NULL)
        for (const char *p = pattern; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) {
            int anchored = p == pattern && *p == '^';
            if ((!anchored || s == module) && match_all(p + anchored, strcspn(p + anchored, "|"), s))
                return 1;
        }
    return 0;
}

static int check_pattern(const struct adapter_config *c, const char *key, int ranks, struct error *err)
{
    const json_t *patterns = json_object_get(c->json, key);
    const char *pattern;
    json_t *v;
    if (is_off(patterns))
        return 0;
    if (!json_is_object(patterns))
        return refuse(c, key, "an object", err);
    json_object_foreach((json_t *)patterns, pattern, v)
    {
        if (ranks ? !is_rank(v) : !json_is_number(v))
            return refuse(c, key, ranks ? "ranks, whole numbers from 1" : "numbers", err);
        if (!can_match(pattern))
            return refuse(c, key, "names of modules, or patterns of names, dots, * and +", err);
    }
    return 0;
}

/* The first pattern that the module's name matches, as peft chooses it; NULL: none. */
static const json_t *find_pattern(const struct adapter_config *c, const char *key, const char *module)
{
    const char *pattern;
    json_t *v;
    json_object_foreach(json_object_get(c->json, key), pattern, v) if (matches_module(pattern, module)) return v;
    return NULL;
}

int adapter_config_parse(struct adapter_config *out, const json_t *json, const char *where, struct error *err)
{
    *out = (struct adapter_config){.json = json, .where = where};
    if (!json_is_object(json))
        return error_set(err, ERROR_DATA, "%s: wanted a JSON object", where);
    const json_t *type = json_object_get(json, "peft_type"), *bias = json_object_get(json, "bias"),
                 *alpha = json_object_get(json, "lora_alpha"), *r = json_object_get(json, "r");
    int rc;
    if (!json_is_string(type) || strcmp(json_string_value(type), "LORA"))
        return refuse(out, "peft_type", "\"LORA\"", err);
    if (bias && !json_is_null(bias) && (!json_is_string(bias) || strcmp(json_string_value(bias), "none")))
        return refuse(out, "bias", "\"none\"", err);
    if ((rc = check_keys(out, err)) || (rc = check_start(out, err)) ||
        (rc = read_flag(out, "use_rslora", &out->rslora, err)) || (rc = read_flag(out, "use_dora", &out->dora, err)) ||
        (rc = read_flag(out, "fan_in_fan_out", &out->turned, err)) ||
        (rc = check_pattern(out, "rank_pattern", 1, err)) || (rc = check_pattern(out, "alpha_pattern", 0, err)))
        return rc;
    if (r && !is_rank(r))
        return refuse(out, "r", "a rank, a whole number from 1", err);
    if (alpha && (!json_is_number(alpha) || !isfinite(json_number_value(alpha))))
        return refuse(out, "lora_alpha", "a number", err);
    out->rank = r ? json_integer_value(r) : 8; /* peft's defaults */
    out->alpha = alpha ? json_number_value(alpha) : 8;
    return 0;
}

int adapter_config_module(const struct adapter_config *c, const char *module, int64_t *rank, double *scale,
                          struct error *err)
{
    const json_t *r = find_pattern(c, "rank_pattern", module), *alpha = find_pattern(c, "alpha_pattern", module);
    *rank = r ? json_integer_value(r) : c->rank;
    *scale = (alpha ? json_number_value(alpha) : c->alpha) / (c->rslora ? sqrt((double)*rank) : (double)*rank);
    return isfinite(*scale) ? 0 : error_set(err, ERROR_CONFIG, "%s: the scale of %s is not finite", c->where, module);
}
