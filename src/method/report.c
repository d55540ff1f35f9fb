/* SPDX-License-Identifier: Apache-2.0 */
/* What came out, in numbers that say how sure they are: metrics.json and a plain-text summary of the same. The table of arms is report_arms.c. */
#include "method/parts.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* Share of different word pairs among all of the kept questions. */
static double distinct_pairs(const struct align *a, struct error *err, int *rc)
{
    size_t cap = 0, n = 0;
    for (int i = 0; i < a->n_attempt; i++)
        cap += a->attempts[i].kept ? strlen(a->attempts[i].question.text) / 2 + 2 : 0;
    const char **starts = mem_calloc(cap + 1, sizeof *starts);
    if (!starts) {
        *rc = error_set_nomem(err, cap * sizeof *starts, "word pairs");
        return NAN;
    }
    double different = 0;
    for (int i = 0; i < a->n_attempt; i++)
        for (const char *s = a->attempts[i].kept ? a->attempts[i].question.text : ""; *s;) {
            size_t one = strcspn(s, " "), gap = strspn(s + one, " "), two = strcspn(s + one + gap, " "), same = 0;
            if (!two)
                break;
            size_t length = one + gap + two;
            for (size_t k = 0; k < n && !same; k++)
                same = !strncmp(starts[k], s, length) && (starts[k][length] == ' ' || !starts[k][length]);
            different += !same;
            starts[n++] = s;
            s += one + gap;
        }
    mem_free(starts);
    return n ? different / (double)n : NAN;
}

static int round_json(struct align *a, int t, const struct run_round *round, json_t *list, struct buf *text, struct error *err)
{
    int counts[SIFT_REASON_COUNT] = {0}, repeated = 0, rc = align_load_round(a, t, round->attempts, err);
    double f1 = 0;
    json_t *reasons = json_object();
    rc = rc ? rc : align_count_overlap(a, err);
    for (int i = 0; i < a->n_attempt && !rc; i++) {
        int reason = a->attempts[i].reason ? sift_reason_find(a->attempts[i].reason) : -1;
        if (reason >= 0)
            counts[reason]++;
        if (a->attempts[i].kept)
            f1 += a->attempts[i].f1;
        repeated += reason == SIFT_QUESTION_REPEAT;
    }
    int unparsed = counts[SIFT_ERROR] + counts[SIFT_QUESTION_EMPTY] + counts[SIFT_QUESTION_UNPARSED];
    struct stats_interval w = stats_wilson(round->kept, round->attempts, 0.95);
    buf_printf(text, "round %d: %d of %d attempts kept, %.1f %% (95 %%: %.1f to %.1f)", t, round->kept, round->attempts, 100.0 * round->kept / round->attempts, 100 * w.low,
               100 * w.high);
    for (int i = 1; i < SIFT_REASON_COUNT; i++)
        if (counts[i]) {
            buf_printf(text, "; %d %s", counts[i], sift_reason_text((enum sift_reason)i));
            json_object_set_new(reasons, sift_reason_name((enum sift_reason)i), json_integer(counts[i]));
        }
    buf_putc(text, '\n');
    double pairs = distinct_pairs(a, err, &rc);
    json_array_append_new(list, json_pack("{s:i, s:i, s:i, s:i, s:o, s:o, s:i, s:o, s:o, s:i, s:s}", "round", t, "attempts", round->attempts, "questions_parsed", round->attempts - unparsed, "kept", round->kept, "share",
                                          real((double)round->kept / round->attempts), "reasons", reasons, "repeats", repeated, "mean_nearest_f1_of_kept",
                                          real(round->kept ? f1 / round->kept : NAN), "distinct_word_pairs_of_kept", real(pairs), "steps", (int)round->steps, "model_sha256",
                                          round->model_sha256));
    return rc;
}

static int rounds_json(struct align *a, json_t *list, struct buf *text, struct error *err)
{
    int rc = 0, kept = 0;
    for (int t = 1; t <= a->o.rounds && !rc; t++) {
        struct run_round round;
        if ((rc = run_get_round(a->run, t, &round, err)) || round.state != RUN_STATE_DONE)
            break;
        rc = round_json(a, t, &round, list, text, err);
        kept += round.model_sha256[0] ? round.kept : 0;
    }
    buf_printf(text, "scaling: %d kept pairs from %d seeds, %.2f times as many\n", kept, a->n_given, (double)kept / a->n_given);
    return rc;
}

/* One line, cut. */
static void one_line(struct buf *b, const char *s, size_t most)
{
    for (size_t i = 0; s[i] && i < most; i++)
        buf_putc(b, s[i] == '\n' ? ' ' : s[i]);
    if (strlen(s) > most) {
        while (b->len && ((unsigned char)b->data[b->len - 1] & 0xc0) == 0x80)
            b->data[--b->len] = 0;
        if (b->len && (unsigned char)b->data[b->len - 1] >= 0xc0)
            b->data[--b->len] = 0;
        buf_puts(b, "...");
    }
}

static void samples(const struct align *a, const struct arms *arms, struct buf *text, json_t *list)
{
    int n = arms->n_text < a->o.samples ? arms->n_text : a->o.samples;
    for (int i = 0; i < n; i++) {
        json_t *row = json_pack("{s:s, s:s?}", "question", arms->items[i].question, "reference", arms->items[i].answer), *answers = json_object();
        buf_puts(text, i ? "\n" : "\nSide by side\n");
        buf_puts(text, "  ");
        one_line(text, arms->items[i].question, 150);
        buf_putc(text, '\n');
        for (int k = 0; k < arms->n; k++) {
            const char *answer = arms->list[k].results[i].text;
            json_object_set_new(answers, arms->list[k].name, answer ? json_string(answer) : json_null());
            if (k && k < arms->n - 1 && arms->list[k].round == 0) /* baselines are in the files */
                continue;
            buf_printf(text, "    %-12s ", arms->list[k].name);
            one_line(text, answer ? answer : "(none)", 150);
            buf_putc(text, '\n');
        }
        json_object_set_new(row, "answers", answers);
        json_array_append_new(list, row);
    }
}

static json_t *seconds_json(struct align *a, struct error *err)
{
    static const char *const phases[] = {"ask", "retrieve", "answer", "tune", "evidence"};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        char name[64];
        const char *value;
        snprintf(name, sizeof name, "seconds-%s", phases[i]);
        if (!run_get_fact(a->run, name, &value, &a->arena, err) && value)
            json_object_set_new(o, phases[i], json_real(strtod(value, NULL)));
    }
    return o;
}

static int write_out(struct align *a, json_t *metrics, struct align_result *r, struct error *err)
{
    char *path = path_join(a->o.output, "metrics.json"), *text = path_join(a->o.output, "summary.txt");
    int rc = path && text ? jsontext_dump(&r->json, metrics, 1, err) : error_set_nomem(err, 64, "path");
    if (!rc)
        rc = r->summary.failed ? error_set_nomem(err, r->summary.len, "summary") : jsontext_write(path, metrics, err);
    if (!rc)
        rc = file_write(text, r->summary.data, r->summary.len, err);
    mem_free(path), mem_free(text);
    return rc;
}

int align_report(struct align *a, struct arms *arms, struct align_result *r, struct error *err)
{
    json_t *rounds = json_array(), *side = json_array();
    struct arm_lists lists = {json_array(), json_array(), json_array()};
    int rc = rounds_json(a, rounds, &r->summary, err);
    if (r->novelty_ran_out)
        buf_printf(&r->summary, "round %d kept too few of its attempts (stop-novelty %g): nothing was tuned in it\n", r->novelty_ran_out, a->o.stop_novelty);
    align_overlap_text(a, &r->summary);
    if (!rc)
        rc = align_report_arms(a, arms, r, &lists, err);
    if (!rc)
        samples(a, arms, &r->summary, side);
    if (!rc && r->rounds)
        buf_printf(&r->summary, "\naligned model: %s/round-%d/model\nsha256 %s\n", a->o.output, r->rounds, r->arms[r->n_arm - 1].model_sha256);
    json_t *metrics = json_pack("{s:s, s:i, s:i, s:i, s:i, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:i}", "set", arms->set, "n", arms->n_item, "answered", arms->n_text, "seeds", a->seeds.n, "held_out",
                                a->n_held, "judge", arms->judge_name, "judge_sha256", arms->judge_sha256, "novelty_ran_out", r->novelty_ran_out, "rounds", rounds, "arms", lists.arms, "last_round_against",
                                lists.last_against, "first_round_against", lists.first_against, "samples", side,
                                "seconds", seconds_json(a, err), "threshold", a->o.threshold, "peak_resident_mib", (int)(clock_rss_peak() >> 20));
    json_object_set_new(metrics, "test_overlap", align_overlap_json(a));
    if (!rc)
        rc = align_overlap_manifest(a, err);
    if (!rc)
        rc = metrics ? write_out(a, metrics, r, err) : error_set_nomem(err, 4096, "metrics");
    json_decref(metrics);
    return rc;
}
