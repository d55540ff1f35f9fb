/* SPDX-License-Identifier: Apache-2.0 */
/* Opening what an alignment needs and checking it before any long work: tokenizer, template, seeds, test set; and
 * having one model in memory at a time. Tuned weights are always read back from the file they were saved to, so that a
 * run that was broken there and one that was not go on with the same bits. */
#include "method/parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "judge/harm.h"
#include "method/lint.h"

#include <string.h>

static void warn(void *user, const char *line)
{
    (void)user;
    log_line(LOG_WARNING, "%s", line);
}

/* Every seed must fit into the context beside a question of its own. */
static int check_lengths(struct align *a, const struct seeds *s, const char *path, struct error *err)
{
    struct tokens ids = TOKENS_INIT;
    int rc = 0;
    for (int i = 0; i < s->n && !rc; i++) {
        struct buf text = BUF_INIT;
        struct text_spans people = {0};
        struct example e = {s->items[i].question, s->items[i].answer ? s->items[i].answer : ""};
        rc = template_write(a->speaker.template, &(struct template_prompt){NULL, &e, 1, ""}, &text, &people, err);
        rc = rc ? rc : speaker_encode(&a->speaker, &text, &people, &ids, err);
        if (!rc && (int)ids.n + 16 > a->speaker.desc.n_ctx)
            rc = error_set(
                err, ERROR_DATA,
                "%s:%ld: the pair has %zu tokens and does not fit into the model's context of %d; shorten or strike it",
                path, s->items[i].line, ids.n, a->speaker.desc.n_ctx);
        buf_free(&text);
        text_spans_free(&people);
    }
    tokens_free(&ids);
    return rc;
}

/* What a run has tuned on that was begun without a test set cannot be left out any more. */
static int check_added_test(const struct align *a, struct error *err)
{
    int tuned = 0;
    for (int i = 0; i < a->n_given && a->untested; i++)
        tuned += a->in_test[a->given[i]];
    if (!tuned || a->o.keep_test_overlap)
        return 0;
    return error_set(err, ERROR_DATA,
                     "%s: %d of its questions are seeds that %s tuned on, as it was begun without a test set; take "
                     "another test set, or say --keep-test-overlap",
                     a->o.test, tuned, a->o.output);
}

int align_draw_held(const struct align_options *o, int n, int holdout, unsigned char *held, struct error *err)
{
    int *drawn = mem_calloc((size_t)n + 1, sizeof *drawn);
    if (!drawn)
        return error_set_nomem(err, (size_t)n * sizeof *drawn, "seeds");
    int n_drawn = retrieve_random(&(struct rng_stream){o->seed, STREAM_CONTEXTS, UINT64_MAX}, n, holdout, drawn);
    for (int i = 0; i < n_drawn; i++)
        held[drawn[i]] = 1;
    mem_free(drawn);
    return 0;
}

/* Which seeds are kept out of the method: one in eight by the run's seed, or as many as asked. */
static int split_seeds(struct align *a, struct error *err)
{
    int n = a->seeds.n, usual = a->o.test && !a->untested ? 0 : n / ALIGN_HELD_SHARE,
        holdout = a->o.holdout < 0 ? usual : a->o.holdout;
    a->given = mem_calloc((size_t)n + 1, sizeof *a->given);
    a->held = mem_calloc((size_t)n + 1, sizeof *a->held);
    unsigned char *held = mem_calloc((size_t)n + 1, 1);
    int rc = a->given && a->held && held ? 0 : error_set_nomem(err, (size_t)n * sizeof *a->held, "seeds");
    int leaves_out = !a->o.keep_test_overlap && !a->untested, left_out = leaves_out ? a->overlap.seeds : 0;
    if (!rc && left_out && n - holdout - left_out < a->o.k + 1)
        rc = error_set(err, ERROR_DATA,
                       "%s: %d of %d pairs are questions of %s and left out; wanted at least %d others (k and one "
                       "more); take others, or say --keep-test-overlap",
                       a->o.seeds, left_out, n, a->o.test, a->o.k + 1);
    else if (!rc && n - holdout < a->o.k + 1)
        rc = error_set(err, ERROR_DATA,
                       "%s: %d pairs, %d of them held out; wanted at least %d for the method (k and one more); give "
                       "more seeds or a smaller --k",
                       a->o.seeds, n, holdout, a->o.k + 1);
    rc = rc ? rc : align_draw_held(&a->o, n, holdout, held, err);
    for (int i = 0; i < n && !rc; i++) {
        if (a->in_test[i] && leaves_out)
            continue;
        if (held[i])
            a->held[a->n_held++] = i;
        else
            a->given[a->n_given++] = i;
    }
    mem_free(held);
    return rc ? rc : check_added_test(a, err);
}

static int open_data(struct align *a, struct error *err)
{
    int rc = seeds_read_fields(&a->seeds, align_source(&a->o, a->o.seeds), 1, err), same, similar;
    a->untested = !a->o.preview && align_was_untested(a->o.output);
    long line;
    if (rc || (rc = seeds_lint(&a->seeds, a->o.seeds, a->o.k + 1, warn, NULL, err)) ||
        (rc = check_lengths(a, &a->seeds, a->o.seeds, err)))
        return rc;
    log_line(LOG_INFO, "%s: %d pairs (%s)", a->o.seeds, a->seeds.n, a->seeds.format);
    if (a->o.test) {
        if ((rc = seeds_read_fields(&a->test, align_source(&a->o, a->o.test), 0, err)) ||
            (rc = check_lengths(a, &a->test, a->o.test, err)) ||
            (rc = seeds_overlap(&a->seeds, &a->test, &same, &similar, &line, err)))
            return rc;
        if (same || similar)
            log_line(
                LOG_WARNING,
                "%s: %d test questions are seeds%s and %d are much like one (ROUGE-L above 0.7), first on line %ld",
                a->o.test, same, same && !a->o.keep_test_overlap ? ", which are left out," : "", similar, line);
    }
    rc = align_open_overlap(a, err);
    return rc ? rc : split_seeds(a, err);
}

/* What is used at the end only must be there at the beginning. */
static int check_model(const char *path, struct error *err)
{
    struct checkpoint *ck = NULL;
    int rc = path && *path ? checkpoint_open(&ck, path, err) : 0;
    checkpoint_close(ck);
    return rc;
}

static int check_judge(const char *path, enum model_task task, struct error *err)
{
    return path && *path ? harm_judge_check(&(struct harm_judge_options){.model = path, .task = task}, err) : 0;
}

static int open_speaker(struct align *a, struct device *device, struct error *err)
{
    const struct align_options *o = &a->o;
    const struct speaker_options options = {.model = o->model,
                                            .template_file = o->template_file,
                                            .system = o->system,
                                            .encoder = o->encoder,
                                            .retriever = o->retriever,
                                            .engine = o->engine,
                                            .dtype = o->dtype,
                                            .keep_blocks = o->train.lora_r > 0,
                                            .seed = o->seed};
    struct generate_options with_stop;
    int rc = speaker_open(&a->speaker, device, &options, err);
    if (!rc && o->judge)
        rc = speaker_hash_model(&a->speaker, o->judge, "judge/", err);
    if (!rc && o->reward)
        rc = speaker_hash_model(&a->speaker, o->reward, "reward/", err);
    rc = rc ? rc : speaker_decoding(&a->speaker, 1, &o->ask, &with_stop, err);
    rc = rc ? rc : speaker_decoding(&a->speaker, 0, &o->answer, &with_stop, err);
    if (rc)
        return rc;
    speaker_end_ids(&a->speaker, 1, &a->o.ask);
    speaker_end_ids(&a->speaker, 0, &a->o.answer);
    return 0;
}

int align_open_inputs(struct align *a, struct device *device, const struct align_options *o, struct error *err)
{
    *a = (struct align){.o = *o};
    a->o.train.dtype = o->dtype == DTYPE_Q8 ? DTYPE_BF16 : o->dtype; /* there is no gradient of whole numbers */
    a->o.train.seed = o->seed;
    int rc = align_recipe_check(o, err), ask = a->o.ask.max_new_tokens, answer = a->o.answer.max_new_tokens,
        longest = ask > answer ? ask : answer;
    rc = rc ? rc : open_speaker(a, device, err);
    rc = rc ? rc : open_data(a, err);
    rc = rc ? rc : align_open_principles(a, err);
    rc = rc ? rc : align_make_pool(a, 0, err);
    rc = rc ? rc : pairs_check_room(&a->pool, &a->speaker, a->o.k, longest, err);
    rc = rc ? rc : align_open_elsewhere(a, err);
    rc = rc ? rc : check_model(o->encoder, err);
    rc = rc ? rc : check_judge(o->reward, MODEL_REWARD, err);
    rc = rc ? rc : check_judge(o->judge, MODEL_CLASSIFY, err);
    rc = rc ? rc : align_check_tax(o, err);
    return rc ? rc : train_check_source(&a->o.train, a->speaker.source, &a->speaker.desc, err);
}

int align_open(struct align *a, struct device *device, const struct align_options *o, struct error *err)
{
    int rc = align_open_inputs(a, device, o, err);
    return rc ? rc : speaker_hash(&a->speaker, err);
}

void align_close(struct align *a)
{
    run_close(a->run);
    align_close_elsewhere(a);
    pairs_free(&a->pool);
    mem_free(a->kept);
    mem_free(a->given);
    mem_free(a->held);
    mem_free(a->in_test);
    sift_free(a->test_questions);
    mem_free(a->attempts);
    seeds_free(&a->seeds);
    seeds_free(&a->test);
    buf_free(&a->principles);
    speaker_close(&a->speaker);
    arena_free(&a->arena);
    arena_free(&a->round_arena);
    *a = (struct align){0};
}

char *align_round_file(const struct align *a, int round, const char *name)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s/round-%d%s%s", a->o.output, round, *name ? "/" : "", name);
    return buf_take(&b);
}

char *align_model_path(const struct align *a, int round)
{
    return round ? align_round_file(a, round, "model") : mem_strdup(speaker_pretrained(&a->speaker));
}
