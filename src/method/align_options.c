/* SPDX-License-Identifier: Apache-2.0 */
/* align's options: defaults, ranges, and their form in config.resolved.json, which is what a later start is compared
 * with. */
#include "method/parts.h"

#include "answer/fields.h"
#include "base/build.h"
#include "base/clock.h"
#include "base/threads.h"
#include "crew/crew.h"
#include "generate/fields.h"
#include "io/checkpoint.h"
#include "io/jsontext.h"
#include "method/fields.h"
#include "train/fields.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static const struct field rows[] = {
    {FIELD("recipe", FIELD_STRING, struct align_options, recipe), .argument = "NAME", .values = ALIGN_RECIPES,
     .initial = "isara", .bits = FIELD_BITS,
     .help = "named set of values of these options, which those given go over: " ALIGN_RECIPES},
    {FIELD("principles", FIELD_STRING, struct align_options, principles), .argument = "FILE",
     .help = "a text that stands before the examples when a question is answered, and nowhere else"},
    {FIELD("rounds", FIELD_INT, struct align_options, rounds), .argument = "T", .low = 1, .high = 1000, .initial = "2",
     .bits = FIELD_BITS, .help = "rounds of ask, answer, sift, tune"},
    {FIELD("attempts", FIELD_INT, struct align_options, attempts), .argument = "N", .high = 1e7, .initial = "512",
     .bits = FIELD_BITS, .help = "questions asked in a round; 0: none, the seeds alone are tuned on"},
    {FIELD("seed-rounds", FIELD_INT, struct align_options, seed_rounds), .argument = "S", .high = 999, .initial = "0",
     .bits = FIELD_BITS,
     .help = "the first S rounds ask nothing and tune on the seeds alone: who asks and answers then knows them"},
    {FIELD("count", FIELD_CHOICE, struct align_options, count), .argument = "attempts|kept", .initial = "attempts",
     .bits = FIELD_BITS, .help = "what --attempts counts; kept: blocks of N are made until N are kept, ten at most"},
    {FIELD("stop-novelty", FIELD_DOUBLE, struct align_options, stop_novelty), .argument = "ALPHA", .high = 1,
     .initial = "0.1", .bits = FIELD_BITS, .help = "stop when a smaller share of a round's attempts is kept"},
    {FIELD("ask-contexts", FIELD_CHOICE, struct align_options, ask_contexts), .argument = "random|anchor",
     .initial = "random", .bits = FIELD_BITS,
     .help = "pairs before an asked question: drawn at random, or a random one and its nearest"},
    {FIELD("answer-contexts", FIELD_CHOICE, struct align_options, answer_contexts), .argument = "nearest|none",
     .initial = "nearest", .bits = FIELD_BITS,
     .help = "pairs before a question that is answered: its nearest, or none, for a model that was tuned on them"},
    {FIELD("generated-contexts", FIELD_INT, struct align_options, generated_contexts), .argument = "N",
     .high = ALIGN_MOST_K, .initial = "0", .bits = FIELD_BITS,
     .help = "with --pool grown: so many of the K pairs before an asked question are generated ones (when there are), "
             "the others seeds [0: all from one pool]"},
    {FIELD("answers-per-question", FIELD_INT, struct align_options, answers), .argument = "N", .low = 1,
     .high = ALIGN_MOST_ANSWERS, .initial = "1", .bits = FIELD_BITS,
     .help = "answers sampled for each question, an attempt each; more than one wants --answer-do-sample"},
    {FIELD("score", FIELD_CHOICE, struct align_options, score), .argument = ALIGN_SCORES, .initial = "none",
     .bits = FIELD_BITS,
     .help = "an answer's score: by --reward, by the model's own rating, its mean log-probability a token, or how much "
             "likelier its contexts make it"},
    {FIELD("reward", FIELD_STRING, struct align_options, reward), .argument = "DIR",
     .help = "reward model for --score reward"},
    {FIELD("keep-best", FIELD_INT, struct align_options, keep_best), .argument = "N", .high = ALIGN_MOST_ANSWERS,
     .initial = "1", .bits = FIELD_BITS,
     .help = "of a question's answers, those with the best scores; 0: all that pass"},
    {FIELD("min-score", FIELD_STRING, struct align_options, min_score), .argument = "X[,X...]", .bits = FIELD_BITS,
     .help = "reject an answer with a lower score, by round [none]"},
    {FIELD("min-score-rank", FIELD_STRING, struct align_options, min_rank), .argument = "P[,P...]", .bits = FIELD_BITS,
     .help = "reject the share P of a round's answers that have the lowest scores, by round [none]"},
    {FIELD("improve-steps", FIELD_INT, struct align_options, improve_steps), .argument = "N", .low = 1, .high = 1000,
     .initial = "1", .bits = FIELD_BITS,
     .help = "rounds that take the attempts of one asking, each with its own least score and tuned from there"},
    {FIELD("pool", FIELD_CHOICE, struct align_options, pool), .argument = "seeds|grown", .initial = "seeds",
     .bits = FIELD_BITS, .help = "what context pairs are drawn from"},
    {FIELD("start", FIELD_CHOICE, struct align_options, start), .argument = "pretrained|last", .initial = "pretrained",
     .bits = FIELD_BITS, .help = "the weights each tune step starts from"},
    {FIELD("tune-loss", FIELD_CHOICE, struct align_options, tune_loss), .argument = "hard|soft", .initial = "hard",
     .bits = FIELD_BITS,
     .help = "what a tuned token is held against: itself, or the distribution of the model that answered with its "
             "context pairs"},
    {FIELD("on-policy", FIELD_FLAG, struct align_options, on_policy), .initial = "false", .bits = FIELD_BITS,
     .help = "with --tune-loss soft: the model that is tuned writes the answers, from the bare question, and the one "
             "with context pairs grades them"},
    {FIELD("tune-on", FIELD_CHOICE, struct align_options, tune_on), .argument = "all|newest", .initial = "all",
     .bits = FIELD_BITS,
     .help = "what a round tunes on: the seeds and all that was kept so far, or what it kept itself and nothing else"},
    {FIELD("keep-test-overlap", FIELD_FLAG, struct align_options, keep_test_overlap), .initial = "false",
     .bits = FIELD_BITS,
     .help = "keep seeds that are test questions and generated questions near one (ROUGE-L F1 above "
             "--sift-threshold), which are left out else"},
    {FIELD("holdout", FIELD_INT, struct align_options, holdout), .argument = "N", .low = -1, .high = 1e6,
     .initial = "-1", .bits = FIELD_BITS,
     .help = "seeds kept out of the method to measure it on [one in eight; none with --test]"},
    {FIELD("samples", FIELD_INT, struct align_options, samples), .argument = "N", .high = 1e6, .initial = "10",
     .bits = FIELD_BITS, .help = "questions answered side by side at the end"},
    {FIELD("k", FIELD_INT, struct align_options, k), .argument = "K", .low = 1, .high = ALIGN_MOST_K, .initial = "5",
     .bits = FIELD_BITS, .help = "context pairs in a prompt"},
    {FIELD("retriever", FIELD_CHOICE, struct align_options, retriever), .argument = SPEAKER_RETRIEVERS,
     .initial = "model", .bits = FIELD_BITS,
     .help = "how an answer's context pairs are found [$: its own mean-pooled states]"},
    ANSWER_FILE_ROWS(struct align_options),
    {FIELD("review", FIELD_FLAG, struct align_options, review),
     .help = "stop before tune and export what was kept, to be struck by hand"},
    {FIELD("resume", FIELD_FLAG, struct align_options, resume),
     .help = "go on after --review with the lines that are left"},
    {FIELD("attempts-from", FIELD_STRING, struct align_options, attempts_from), .argument = "RUN",
     .help = "take the first round's questions and answers from a run that asked and answered in the same way"},
    {FIELD("answerer-endpoint", FIELD_STRING, struct align_options, who[ALIGN_ANSWERER].endpoint), .argument = "URL",
     .help = "a model behind an OpenAI-compatible endpoint, http://HOST/v1, answers in the model's place: that is not "
             "self-alignment; its key from ISARA_ANSWERER_API_KEY or OPENAI_API_KEY"},
    {FIELD("answerer-model", FIELD_STRING, struct align_options, who[ALIGN_ANSWERER].model), .argument = "NAME",
     .help = "the answerer's name at --answerer-endpoint"},
    {FIELD("asker-endpoint", FIELD_STRING, struct align_options, who[ALIGN_ASKER].endpoint), .argument = "URL",
     .help = "the same for asking; its key from ISARA_ASKER_API_KEY or OPENAI_API_KEY"},
    {FIELD("asker-model", FIELD_STRING, struct align_options, who[ALIGN_ASKER].model), .argument = "NAME",
     .help = "the asker's name at --asker-endpoint"},
    {FIELD("endpoint-api", FIELD_CHOICE, struct align_options, there.api), .argument = ELSEWHERE_APIS,
     .initial = "chat",
     .help =
         "how they are asked: examples as turns of a conversation, or the text that the model itself would be given"},
    {FIELD("endpoint-requests", FIELD_INT, struct align_options, there.at_once), .argument = "N", .low = 1, .high = 256,
     .initial = "8", .help = "requests to them in flight at a time"},
    {FIELD("endpoint-timeout", FIELD_DOUBLE, struct align_options, there.timeout), .argument = "S", .low = 0.01,
     .high = 86400, .initial = "120", .help = "seconds a request to them may take"},
    {FIELD("endpoint-tries", FIELD_INT, struct align_options, there.tries), .argument = "N", .low = 1, .high = 1000,
     .initial = "6", .help = "tries for one text of theirs"},
    {FIELD("endpoint-pause", FIELD_DOUBLE, struct align_options, there.pause), .argument = "S", .high = 3600,
     .initial = "1", .help = "seconds before the second try, doubled for each further one"},
    {FIELD("endpoint-rate", FIELD_DOUBLE, struct align_options, there.per_minute), .argument = "N", .high = 1e6,
     .initial = "0", .help = "requests to them a minute at most, 0 = no limit"},
    {FIELD("accept-different-bits", FIELD_FLAG, struct align_options, accept_different_bits),
     .help = "continue a run begun with another instruction set or build"},
    {FIELD("baselines", FIELD_FLAG, struct align_options, baselines), .initial = "false", .bits = FIELD_BITS,
     .help = "with --test: also ICL-kNN and fine-tuning on the seeds, plain and with as many steps"},
    {FIELD("general", FIELD_STRING, struct align_options, general), .argument = "FILE",
     .help = "text of no concern, on which the perplexity of every arm's model is measured: what it cost elsewhere"},
    {FIELD("over-refusal", FIELD_STRING, struct align_options, over_refusal), .argument = "FILE",
     .help = "prompts that only sound harmful (XSTest's CSV), which every arm's model is asked"},
    {FIELD("threshold", FIELD_DOUBLE, struct align_options, threshold), .argument = "P", .high = 1, .initial = "0.5",
     .bits = FIELD_BITS, .help = "a judge's label counts above this probability"},
};
const struct field_table align_fields = {rows, sizeof rows / sizeof *rows};

void align_options_default(struct align_options *o)
{
    *o = (struct align_options){.dtype = DTYPE_BF16};
    fields_default(&align_fields, FIELD_PLAIN, o);
    sift_options_default(&o->sift);
    generate_options_default(&o->ask);
    o->answer = o->ask;
    fields_default(&generate_fields, FIELD_ASK, &o->ask);
    fields_default(&generate_fields, FIELD_ANSWER, &o->answer);
    train_options_default(&o->train);
}

struct record_source align_source(const struct align_options *o, const char *path)
{
    return (struct record_source){path, o->question_field, o->answer_field, 0};
}

int align_options_check(const struct align_options *o, struct error *err)
{
    if (!o->model || !o->seeds)
        return error_set(err, ERROR_USAGE, "align: --model and --seeds are needed");
    if (!o->output && !o->preview)
        return error_set(err, ERROR_USAGE, "align: --output is needed: the run directory");
    if (o->retriever == RETRIEVER_ENCODER && !o->encoder)
        return error_set(err, ERROR_USAGE, "align: --retriever encoder needs --encoder DIR");
    if (o->judge && !o->test)
        return error_set(err, ERROR_USAGE, "align: --judge needs --test FILE, the questions whose answers it judges");
    if (o->ask.num_return_sequences > 1 || o->answer.num_return_sequences > 1)
        return error_set(err, ERROR_USAGE, "align: num-return-sequences: wanted 1");
    if (o->on_policy && o->tune_loss != ALIGN_LOSS_SOFT)
        return error_set(err, ERROR_USAGE, "--on-policy wants --tune-loss soft: who grades a student's answer");
    int rc = fields_check(&align_fields, o, err);
    if (!rc && o->generated_contexts &&
        (o->pool != ALIGN_POOL_GROWN || o->ask_contexts != ALIGN_CONTEXTS_RANDOM || o->generated_contexts > o->k))
        rc = error_set(err, ERROR_USAGE,
                       "generated_contexts: %d wants --pool grown, --ask-contexts random and at least as many --k",
                       o->generated_contexts);
    if (!rc && o->tune_on == ALIGN_TUNE_NEWEST && !o->attempts)
        rc = error_set(err, ERROR_USAGE, "tune_on: newest wants --attempts above 0, else there is nothing to tune on");
    if (!rc && o->seed_rounds && (o->seed_rounds >= o->rounds || o->improve_steps > 1 || !o->attempts))
        rc = error_set(err, ERROR_USAGE,
                       "seed_rounds: %d wants more --rounds than that, --attempts above 0 and --improve-steps 1",
                       o->seed_rounds);
    rc = rc ? rc : align_elsewhere_check(o, err);
    rc = rc ? rc : align_score_check(o, err);
    rc = rc ? rc : sift_options_check(&o->sift, err);
    if (!rc && (rc = generate_options_check(&o->ask, err)))
        error_prefix(err, "ask");
    if (!rc && (rc = generate_options_check(&o->answer, err)))
        error_prefix(err, "answer");
    rc = rc ? rc : train_options_check(&o->train, err);
    return rc ? rc : crew_check_train(&o->train, err);
}

/* What a person may set. */
static int put_options(json_t *s, const struct align_options *o)
{
    int rc = fields_put(&align_fields, "", o, s) | fields_put(&sift_fields, "", &o->sift, s);
    rc |= fields_put(&generate_fields, "ask-", &o->ask, s) | fields_put(&generate_fields, "answer-", &o->answer, s);
    return rc | fields_put(&train_fields, "train-", &o->train, s);
}

json_t *align_settings(const struct align *a)
{
    const struct align_options *o = &a->o;
    json_t *s = json_object();
    int rc = !s || put_options(s, o) || speaker_put_setting(s, "judge", o->judge) ||
             speaker_put_setting(s, "reward", o->reward);
    rc = rc || speaker_put_setting(s, "seeds-sha256", a->seeds.sha256) ||
         speaker_put_setting(s, "test-sha256", a->test.sha256) ||
         speaker_put_setting(s, "principles-sha256", a->principles_sha256) || speaker_settings(&a->speaker, s) ||
         align_put_elsewhere(s, o);
    if (rc) {
        json_decref(s);
        return NULL;
    }
    return s;
}

/* Which fields hold question and answer, where that was said. */
static json_t *put_fields(json_t *manifest, const struct align_options *o)
{
    if (!manifest || (!o->question_field && !o->answer_field) ||
        !json_object_set_new(manifest, "fields",
                             json_pack("{s:s*, s:s*}", "question", o->question_field, "answer", o->answer_field)))
        return manifest;
    json_decref(manifest);
    return NULL;
}

json_t *align_manifest(const struct align *a)
{
    struct utsname u = {0};
    uname(&u);
    json_t *manifest = json_pack(
        "{s:s, s:{s:s, s:s, s:s, s:s, s:s}, s:{s:s, s:s, s:f}, s:{s:s, s:s, s:i, s:i, s:s}, s:{s:s?, s:s, "
        "s:i}, s:{s:s?, s:s}, s:{s:s, s:s, s:s, s:i, s:s}, s:f, s:o}",
        "program", "isara", "build", "version", build_version, "commit", build_commit, "compiler", __VERSION__, "isa",
        device_isa(a->speaker.device), "bits", speaker_bits(&a->speaker), "model", "path", a->o.model, "sha256",
        a->speaker.source_sha256, "parameters", a->speaker.desc.n_param, "seeds", "path", a->o.seeds, "sha256",
        a->seeds.sha256, "pairs", a->seeds.n, "held_out", a->n_held, "format", a->seeds.format, "test", "path",
        a->o.test, "sha256", a->test.sha256, "questions", a->test.n, "principles", "path", a->o.principles, "sha256",
        a->principles_sha256, "machine", "system", u.sysname, "release", u.release, "machine", u.machine, "processors",
        threads_available(), "host", u.nodename, "time", clock_wall(), "test_overlap", align_overlap_counts(a));
    return put_fields(manifest, &a->o);
}

static int read_dtype(const char *name, enum dtype *dtype)
{
    static const enum dtype known[] = {DTYPE_F32, DTYPE_BF16, DTYPE_Q8};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(dtype_name(known[i]), name)) {
            *dtype = known[i];
            return 0;
        }
    return -1;
}

int align_options_from(struct align_options *o, const json_t *s, const char *where, struct error *err)
{
    const char *dtype = json_string_value(json_object_get(s, "dtype")),
               *seed = json_string_value(json_object_get(s, "seed"));
    align_options_default(o);
    if (!dtype || !seed)
        return error_set(err, ERROR_DATA, "%s: the settings lack dtype or seed", where);
    if (read_dtype(dtype, &o->dtype))
        return error_set(err, ERROR_DATA, "%s: settings: dtype: wanted f32, bf16 or q8, found \"%s\"", where, dtype);
    o->seed = strtoull(seed, NULL, 10);
    align_elsewhere_from(o, s);
    int rc = fields_get(&align_fields, "", s, o, where, err);
    rc = rc ? rc : fields_get(&sift_fields, "", s, &o->sift, where, err);
    rc = rc ? rc : fields_get(&generate_fields, "ask-", s, &o->ask, where, err);
    rc = rc ? rc : fields_get(&generate_fields, "answer-", s, &o->answer, where, err);
    return rc ? rc : fields_get(&train_fields, "train-", s, &o->train, where, err);
}
