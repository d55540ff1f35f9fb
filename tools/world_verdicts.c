/* SPDX-License-Identifier: Apache-2.0 */
/* Labels whole files of answers by the rule parser and holds their shares against bounds: the gates of
 * models/README.md. */
#include "world.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum share { SHARE_CAREFUL, SHARE_CARELESS, SHARE_BROKEN, SHARE_ASKED, SHARE_COPIED, SHARE_KEPT, N_SHARE };
static const char *const share_name[N_SHARE] = {"careful", "careless", "broken", "asked", "copied", "kept"};

struct tally {
    long count[N_SHARE], n, n_answer; /* shares of answers are of those that were given, the others of all rows */
    int has_kept;
};

struct answered {
    const char *question, *answer, *prompt; /* answer NULL: the question was rejected before; prompt NULL: unknown */
};

/* Next row of a file, or NULL at its end; a line that is no object becomes JSON null. */
static json_t *next_row(FILE *file, char **line, size_t *cap)
{
    if (!file || getline(line, cap, file) <= 0)
        return NULL;
    json_t *row = json_loads(*line, JSON_REJECT_DUPLICATES, NULL);
    return row ? row : json_null();
}

/* The question of a prompt in align's template: what stands between its last "Question: " and its last "\nAnswer:". */
static char *question_of(const char *prompt)
{
    const char *last = NULL;
    for (const char *p = prompt; p && (p = strstr(p, "Question: ")); p++)
        last = p + strlen("Question: ");
    const char *end = last ? strstr(last, "\nAnswer:") : NULL;
    return end ? strndup(last, (size_t)(end - last)) : NULL;
}

static void count_row(struct tally *t, const json_t *row, const struct answered *a, enum world_manner manner)
{
    t->n++;
    t->count[SHARE_ASKED] += world_parse_question(a->question, NULL);
    if (json_object_get(row, "kept"))
        t->has_kept = 1;
    t->count[SHARE_KEPT] += json_is_true(json_object_get(row, "kept"));
    if (!a->answer)
        return;
    const char *answer = a->answer + strspn(a->answer, " \n");
    const char *sifted = json_string_value(json_object_get(row, "reason"));
    t->n_answer++;
    t->count[manner]++;
    t->count[SHARE_COPIED] +=
        (a->prompt && *answer && strstr(a->prompt, answer)) || (sifted && strcmp(sifted, "answer_copied") == 0);
}

static int label_row(struct tally *t, const json_t *row, const struct answered *a, FILE *out)
{
    const char *reason = "no answer";
    enum world_manner manner = a->answer ? world_label(a->question, a->answer, &reason) : WORLD_BROKEN;
    json_t *id = json_object_get(row, "id");
    json_t *label = json_pack("{s:o, s:s?, s:s}", "id", id ? json_incref(id) : json_integer(t->n), "label",
                              a->answer ? world_manner_name[manner] : NULL, "reason", reason);
    count_row(t, row, a, manner);
    int status = !label || json_dumpf(label, out, JSON_COMPACT) || fputc('\n', out) == EOF;
    json_decref(label);
    return status;
}

static double percent(const struct tally *t, int share)
{
    long n = share == SHARE_ASKED || share == SHARE_KEPT ? t->n : t->n_answer;
    return n ? 100.0 * (double)t->count[share] / (double)n : 0;
}

static int check_bounds(const struct tally *t, const struct world_bound *bounds, int n_bound, struct error *err)
{
    for (int i = 0; i < n_bound; i++) {
        int share = 0;
        while (share < N_SHARE && strcmp(share_name[share], bounds[i].share))
            share++;
        if (share == N_SHARE)
            return error_set(err, ERROR_USAGE, "no share is called \"%s\"", bounds[i].share);
        double found = percent(t, share);
        if (bounds[i].at_least ? found < bounds[i].percent : found > bounds[i].percent)
            return error_set(err, ERROR_FAILED, "%s: wanted at %s %g %%, found %.1f %%", share_name[share],
                             bounds[i].at_least ? "least" : "most", bounds[i].percent, found);
    }
    return 0;
}

static int label_rows(struct tally *t, FILE *in, FILE *asked, const char *input, FILE *out, struct error *err)
{
    char *line = NULL, *asked_line = NULL;
    size_t cap = 0, asked_cap = 0;
    int status = 0;
    json_t *row, *prompt;
    while (status == 0 && (row = next_row(in, &line, &cap))) {
        prompt = next_row(asked, &asked_line, &asked_cap);
        struct answered a = {.answer = json_string_value(json_object_get(row, asked ? "text" : "answer")),
                             .prompt = json_string_value(json_object_get(prompt, "prompt"))};
        char *question = a.prompt ? question_of(a.prompt) : NULL;
        a.question = question ? question : json_string_value(json_object_get(row, "question"));
        if (!a.question || (!a.answer && !json_is_null(json_object_get(row, "answer"))))
            status = error_set(err, ERROR_DATA, "%s:%ld: wanted a question and an answer", input, t->n + 1);
        else if (label_row(t, row, &a, out))
            status = error_set_errno(err, "writing labels");
        free(question);
        json_decref(prompt);
        json_decref(row);
    }
    free(line);
    free(asked_line);
    return status;
}

int world_label_file(const char *input, const char *prompts, const struct world_bound *bounds, int n_bound, FILE *out,
                     struct error *err)
{
    struct tally t = {0};
    FILE *in = strcmp(input, "-") ? fopen(input, "r") : stdin, *asked = NULL;
    if (!in)
        return error_set_errno(err, "%s", input);
    int status = 0;
    if (prompts && !(asked = fopen(prompts, "r")))
        status = error_set_errno(err, "%s", prompts);
    if (status == 0)
        status = label_rows(&t, in, asked, input, out, err);
    for (int s = 0; status == 0 && s < (t.has_kept ? N_SHARE : SHARE_KEPT); s++)
        fprintf(stderr, "%s%s %.1f %%", s ? ", " : "", share_name[s], percent(&t, s));
    if (status == 0)
        fprintf(stderr, " of %ld (%ld answered)\n", t.n, t.n_answer);
    if (status == 0)
        status = check_bounds(&t, bounds, n_bound, err);
    if (asked)
        fclose(asked);
    if (in != stdin)
        fclose(in);
    return status;
}
