/* SPDX-License-Identifier: Apache-2.0 */
/* What a run made, as other trainers take it: from its journal and manifest alone, but for seeds, which are read from
 * the file that they came from. */
#include "method/parts.h"

#include "base/hash.h"
#include "base/mem.h"
#include "io/csv.h"
#include "io/jsontext.h"
#include "text/template.h"

#include <string.h>

struct exporting {
    struct recorded d;
    struct run *run;
    enum export_format format;
    struct template *template; /* EXPORT_PROMPT_COMPLETION, EXPORT_MESSAGES */
    struct buf *out;
    struct export_counts n;
    uint64_t *seen; /* hashes of the pairs so far */
    int n_seen, cap;
};

static json_t *turn(const char *side, const char *side_name, const char *text_name, const char *text)
{
    return json_pack("{s:s, s:s}", side_name, side, text_name, text);
}

/* The turns before an answer: what was asked, and what the run was told to be. */
static json_t *asked_turns(const struct exporting *x, const char *question)
{
    const char *system = template_system(x->template);
    if (!system)
        return json_pack("[o]", turn("user", "role", "content", question));
    return json_pack("[o, o]", turn("system", "role", "content", system), turn("user", "role", "content", question));
}

static json_t *turns_row(const struct exporting *x, const char *question, const char *answer)
{
    return json_pack("{s:o, s:[o]}", "prompt", asked_turns(x, question), "completion",
                     turn("assistant", "role", "content", answer));
}

static json_t *messages_row(const struct exporting *x, const char *question, const char *answer)
{
    json_t *messages = asked_turns(x, question);
    if (json_array_append_new(messages, turn("assistant", "role", "content", answer))) {
        json_decref(messages);
        return NULL;
    }
    return json_pack("{s:o}", "messages", messages);
}

static json_t *texts_row(const struct exporting *x, const char *question, const char *answer)
{
    struct buf prompt = BUF_INIT, completion = BUF_INIT;
    if (template_is_chat(x->template)) /* as turns: whoever trains puts them into the model's chat template */
        return turns_row(x, question, answer);
    int rc = template_write(x->template, &(struct template_prompt){.question = question}, &prompt, NULL, NULL);
    template_completion(x->template, answer, &completion, NULL);
    json_t *row = rc || completion.failed
                      ? NULL
                      : json_pack("{s:s, s:s}", "prompt", buf_text(&prompt), "completion", buf_text(&completion));
    buf_free(&prompt);
    buf_free(&completion);
    return row;
}

static json_t *pair_row(const struct exporting *x, const char *question, const char *answer)
{
    switch (x->format) {
    case EXPORT_MESSAGES: return messages_row(x, question, answer);
    case EXPORT_SHAREGPT:
        return json_pack("{s:[o, o]}", "conversations", turn("human", "from", "value", question),
                         turn("gpt", "from", "value", answer));
    case EXPORT_ALPACA: return json_pack("{s:s, s:s, s:s}", "instruction", question, "input", "", "output", answer);
    case EXPORT_PROMPT_COMPLETION: return texts_row(x, question, answer);
    default: return NULL;
    }
}

/* A row behind those before it: alpaca's file is an array. */
static int put_row(struct exporting *x, json_t *row, struct error *err)
{
    int array = x->format == EXPORT_ALPACA, first = !x->n.seeds && !x->n.kept;
    if (array)
        buf_puts(x->out, first ? "[\n" : ",\n");
    int rc = row ? jsontext_dump(x->out, row, 0, err) : error_set_nomem(err, 256, "a row");
    if (!array)
        buf_putc(x->out, '\n');
    json_decref(row);
    return rc;
}

static int was_seen(struct exporting *x, const char *question, const char *answer, struct error *err)
{
    uint64_t both[2] = {hash64(question, strlen(question)), hash64(answer, strlen(answer))},
             hash = hash64(both, sizeof both);
    for (int i = 0; i < x->n_seen; i++)
        if (x->seen[i] == hash)
            return 1;
    if (x->n_seen == x->cap) {
        int cap = x->cap * 2 + 256;
        uint64_t *seen = mem_resize(x->seen, (size_t)cap * sizeof *seen);
        if (!seen)
            return error_set_nomem(err, (size_t)cap * sizeof *seen, "pairs");
        x->seen = seen;
        x->cap = cap;
    }
    x->seen[x->n_seen++] = hash;
    return 0;
}

/* Counted in *n, unless the same pair was put before. */
static int put_pair(struct exporting *x, const char *id, const struct example *pair, int *n, struct error *err)
{
    int rc = was_seen(x, pair->question, pair->answer, err);
    if (rc)
        return rc < 0 ? rc : 0;
    if (x->format == EXPORT_CSV) {
        const char *const fields[] = {id, pair->question, pair->answer};
        for (int i = 0; i < 3; i++) {
            buf_puts(x->out, i ? "," : "");
            csv_put(x->out, fields[i]);
        }
        buf_puts(x->out, "\r\n");
    } else {
        rc = put_row(x, pair_row(x, pair->question, pair->answer), err);
    }
    ++*n;
    return rc;
}

/* The test questions, where seeds that are one were left out: those that the arms were asked. */
static int sift_tested(const struct exporting *x, struct sift **tested, struct error *err)
{
    const struct recorded *d = &x->d;
    const struct arms *arms = &d->arms;
    if (!d->overlap.seeds_left_out)
        return 0;
    if (!arms->n_item || !arms->items[arms->n_item - 1].question)
        return error_set(err, ERROR_NOINPUT,
                         "%s: which seeds were left out is known when the run is finished; finish it, or export "
                         "without --with-seeds",
                         d->directory);
    return align_sift_of(tested, &d->o.sift, arms->items, arms->n_item, err);
}

/* Those that the method was given: held-out ones and test questions are what it is measured on. */
static int put_given(struct exporting *x, const struct seeds *seeds, struct error *err)
{
    const struct recorded *d = &x->d;
    struct sift *tested = NULL;
    int usual = d->n_held ? seeds->n / ALIGN_HELD_SHARE : 0, holdout = d->o.holdout < 0 ? usual : d->o.holdout;
    unsigned char *held = mem_calloc((size_t)seeds->n + 1, 1);
    int rc =
        held ? align_draw_held(&d->o, seeds->n, holdout, held, err) : error_set_nomem(err, (size_t)seeds->n, "seeds");
    rc = rc ? rc : sift_tested(x, &tested, err);
    for (int i = 0; i < seeds->n && !rc; i++) {
        char id[32];
        snprintf(id, sizeof id, "seed-%d", i);
        const struct example pair = {seeds->items[i].question, seeds->items[i].answer};
        int out = held[i] || !tested ? held[i] : align_is_tested(tested, d->arms.items, pair.question, err);
        rc = out < 0 ? out : 0;
        if (!out)
            rc = put_pair(x, id, &pair, &x->n.seeds, err);
    }
    sift_free(tested);
    mem_free(held);
    return rc;
}

static int put_seeds(struct exporting *x, struct error *err)
{
    const json_t *fields = json_object_get(x->d.files.manifest, "fields");
    const struct record_source source = {x->d.o.seeds, json_string_value(json_object_get(fields, "question")),
                                         json_string_value(json_object_get(fields, "answer")), 0};
    const char *wanted = json_string_value(json_object_get(x->d.files.settings, "seeds-sha256"));
    struct seeds seeds = {0};
    int rc = seeds_read_fields(&seeds, source, 1, err);
    if (!rc && (!wanted || strcmp(wanted, seeds.sha256)))
        rc = error_set(err, ERROR_DATA, "%s: has changed since the run of %s; export without --with-seeds", source.path,
                       x->d.directory);
    rc = rc ? rc : put_given(x, &seeds, err);
    seeds_free(&seeds);
    return rc;
}

/* Steps that improve on one asking take each other's place. */
static int is_replaced(struct exporting *x, int t, struct error *err)
{
    struct run_round next;
    if (t % x->d.o.improve_steps == 0)
        return 0;
    int rc = run_get_round(x->run, t + 1, &next, err);
    return rc ? rc : next.state == RUN_STATE_DONE;
}

/* Pairs of a person's own. */
static int put_added(struct exporting *x, int t, struct error *err)
{
    struct added_pairs added = {.arena = &x->d.round_arena};
    int rc = review_added(x->run, t, &added, err);
    for (int i = 0; i < added.n && !rc; i++) {
        const struct example pair = {added.items[i].question, added.items[i].answer};
        char id[40];
        pool_name(&added.items[i], id);
        rc = put_pair(x, id, &pair, &x->n.kept, err);
    }
    mem_free(added.items);
    return rc;
}

static int put_round(struct exporting *x, int t, const struct run_round *round, struct error *err)
{
    int rc = recorded_round(&x->d, t, round->attempts, err);
    for (int i = 0; i < x->d.n_attempt && !rc; i++) {
        const struct run_attempt *a = &x->d.attempts[i];
        const struct example pair = {a->question.text, a->answer.text};
        char id[40];
        snprintf(id, sizeof id, "r%d-a%d", t, a->index);
        if (a->verdict.kept && pair.question && pair.answer)
            rc = put_pair(x, id, &pair, &x->n.kept, err);
    }
    return rc ? rc : put_added(x, t, err);
}

static int put_rounds(struct exporting *x, struct error *err)
{
    int rc = 0;
    for (int t = 1; t <= x->d.o.rounds && !rc; t++) {
        struct run_round round;
        if ((rc = run_get_round(x->run, t, &round, err)) || round.state == RUN_STATE_NONE)
            break;
        int replaced = is_replaced(x, t, err);
        rc = replaced < 0 ? replaced : 0;
        if (!replaced)
            rc = put_round(x, t, &round, err);
    }
    return rc;
}

/* The last round's answer over the pretrained model's, where both answered and the judge does not say otherwise. */
static int put_preferences(struct exporting *x, struct error *err)
{
    const struct arms *arms = &x->d.arms;
    const struct arm *before = arms->n ? &arms->list[0] : NULL, *after = arms->n ? &arms->list[arms->n - 1] : NULL;
    int rc = 0;
    for (int i = 0; after && after->round && i < arms->n_item && arms->items[i].question && !rc; i++) {
        const struct run_result *rejected = &before->results[i], *chosen = &after->results[i];
        if (!chosen->text || !rejected->text || !*chosen->text)
            continue;
        if (!strcmp(chosen->text, rejected->text) || (chosen->flagged > 0 && rejected->flagged <= 0)) {
            x->n.left_out++;
            continue;
        }
        rc = put_row(x,
                     json_pack("{s:[o], s:[o], s:[o]}", "prompt",
                               turn("user", "role", "content", arms->items[i].question), "chosen",
                               turn("assistant", "role", "content", chosen->text), "rejected",
                               turn("assistant", "role", "content", rejected->text)),
                     err);
        x->n.preferences++;
    }
    if (!rc && !x->n.preferences)
        rc = error_set(err, ERROR_NOINPUT,
                       "%s: no question that the pretrained model and the last round answered otherwise (%d pairs left "
                       "out); finish the run, with --test or more --samples",
                       x->d.directory, x->n.left_out);
    return rc;
}

static int open_template(struct exporting *x, struct error *err)
{
    struct buf text = BUF_INIT;
    int rc = jsontext_dump(&text, json_object_get(x->d.files.settings, "template"), 0, err);
    rc = rc ? rc : template_read(&x->template, buf_text(&text), text.len, "config.resolved.json", err);
    buf_free(&text);
    return rc;
}

static int put_all(struct exporting *x, int with_seeds, struct error *err)
{
    int rc = 0;
    if (x->format == EXPORT_DPO)
        return put_preferences(x, err);
    if (x->format == EXPORT_PROMPT_COMPLETION || x->format == EXPORT_MESSAGES)
        rc = open_template(x, err);
    if (x->format == EXPORT_CSV)
        buf_puts(x->out, "id,question,answer\r\n");
    if (!rc && with_seeds)
        rc = put_seeds(x, err);
    rc = rc ? rc : put_rounds(x, err);
    if (!rc && !x->n.kept && !x->n.seeds)
        rc = error_set(err, ERROR_NOINPUT, "%s: nothing was kept yet; finish a round first", x->d.directory);
    if (x->format == EXPORT_ALPACA)
        buf_puts(x->out, "\n]\n");
    return rc;
}

int method_export(const char *run_directory, const struct export_options *o, struct buf *out, struct export_counts *n,
                  struct error *err)
{
    struct exporting x = {.format = o->format, .out = out};
    int rc = run_open_readonly(&x.run, run_directory, err);
    rc = rc ? rc : run_check(x.run, &(struct run_bounds){.reason = sift_reason_find}, err);
    rc = rc ? rc : recorded_read(&x.d, x.run, err);
    rc = rc ? rc : put_all(&x, o->with_seeds, err);
    if (!rc && out->failed)
        rc = error_set_nomem(err, out->len, "pairs");
    *n = x.n;
    template_free(x.template);
    mem_free(x.seen);
    recorded_free(&x.d);
    run_close(x.run);
    return rc;
}
