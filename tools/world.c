/* SPDX-License-Identifier: Apache-2.0 */
/* The program around the world: writes everything that models/ is made of, and labels answers.
 *
 *     world corpus --docs 32000 --output train.jsonl        {"text"}: documents to pretrain on; --carry 60: how
 *     questions follow each other world tokenizer --input train.jsonl --output DIR      tokenizer.json of 2048 tokens
 *     world seeds --n 64 --output seeds.jsonl               {"question","answer"}: careful pairs of nine topics world
 *     test --n 200 --output test.jsonl                {"question","answer"}: questions on all topics, careful
 *     references world dev --n 200 --output dev.jsonl                  the same from another share of the questions
 *     world judge-text --n 40000 --output text.jsonl        {"prompt","completion"}: sound answers in the judge's
 *     template world judge-data --n 20000 --output judge.jsonl       {"prompt","response","labels"}: for the
 *     classifier; a careful one has none world prompts --examples 5 --manner careful           {"id","prompt"}: for
 *     isara generate
 *     world label --input answers.jsonl                     {"question","answer"} -> {"id","label","reason"}, shares on
 *     stderr world label --prompts prompts.jsonl --input out.jsonl  the same for what isara generate wrote
 *
 * label --at-least careful:95 --at-most broken:5 fails (exit code 1) when a share, in percent, is out of its bounds.
 */
#include "world.h"

#include "base/mem.h"
#include "measure/rouge.h"
#include "train/train.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct options {
    uint64_t seed;
    long n;
    int n_vocab, examples, carry, domain; /* domain -1: both */
    enum world_manner manner;
    const char *input, *output, *seeds, *prompts;
    struct world_bound bounds[WORLD_MAX_BOUND];
    int n_bound;
};

/* Questions kept so far. */
struct question_set {
    struct rouge_vocab *vocab;
    struct rouge_text *item;
    size_t n, cap;
};

static void set_deinit(struct question_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        rouge_text_deinit(&set->item[i]);
    rouge_vocab_free(set->vocab);
    mem_free(set->item);
}

/* Adds the question unless its ROUGE-L F1 with one of them is above 0.7; returns 1 when it was added, 0 when not. */
static int set_add(struct question_set *set, const char *question, struct error *err)
{
    if (set->n == set->cap) {
        size_t cap = set->cap ? 2 * set->cap : 256;
        struct rouge_text *item = mem_resize(set->item, cap * sizeof *item);
        if (!item)
            return error_set_nomem(err, cap * sizeof *item, "questions");
        set->item = item;
        set->cap = cap;
    }
    struct rouge_text *mine = &set->item[set->n];
    int status = rouge_text_init(mine, set->vocab, question, strlen(question), err);
    if (status)
        return status;
    struct rouge_score score = {0};
    for (size_t i = 0; status == 0 && i < set->n && score.f <= 0.7; i++)
        status = rouge_l(&set->item[i], mine, &score, err);
    if (status || score.f > 0.7) {
        rouge_text_deinit(mine);
        return status;
    }
    set->n++;
    return 1;
}

static int set_load(struct question_set *set, const char *path, struct error *err)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return error_set_errno(err, "%s", path);
    char *line = NULL;
    size_t cap = 0;
    int status = 0;
    for (long n = 1; status >= 0 && getline(&line, &cap, file) > 0; n++) {
        json_t *row = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        const char *question = json_string_value(json_object_get(row, "question"));
        status = question ? set_add(set, question, err)
                          : error_set(err, ERROR_DATA, "%s:%ld: wanted a string \"question\"", path, n);
        json_decref(row);
    }
    free(line);
    fclose(file);
    return status < 0 ? status : 0;
}

static int put_row(FILE *out, json_t *row)
{
    if (!row)
        return -1;
    int status = json_dumpf(row, out, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(row);
    return status || fputc('\n', out) == EOF ? -1 : 0;
}

static int write_corpus(const struct options *o, FILE *out, struct error *err)
{
    int status = 0;
    struct buf text = BUF_INIT;
    for (long i = 0; status == 0 && i < o->n; i++) {
        struct world_dice dice = {{o->seed, WORLD_STREAM_CORPUS, (uint64_t)i}, 0};
        buf_reset(&text);
        world_document(&text, &dice, o->carry);
        status = text.failed ? -1 : put_row(out, json_pack("{s:s}", "text", text.data));
    }
    buf_free(&text);
    return status ? error_set_errno(err, "writing the corpus") : 0;
}

/* Careful pairs, each at most 0.7 in ROUGE-L from every question before it and from those of --seeds. */
static int write_pairs(const struct options *o, FILE *out, uint64_t stream, int topics, enum world_share share,
                       struct error *err)
{
    struct question_set set = {0};
    int status = rouge_vocab_new(&set.vocab, err);
    if (status == 0 && o->seeds)
        status = set_load(&set, o->seeds, err);
    uint64_t draw = 0;
    for (long written = 0; status == 0 && written < o->n; draw++) {
        struct world_pair pair;
        struct world_dice dice = {{o->seed, stream, draw}, 0};
        world_question_of(&pair, &dice, topics, share);
        if (o->domain >= 0 && world_topics[pair.topic].domain != o->domain)
            continue;
        world_answer(&pair, &dice, WORLD_CAREFUL);
        int added = set_add(&set, pair.question, err);
        status = added < 0 ? added : 0;
        if (added == 1 && put_row(out, json_pack("{s:s, s:s}", "question", pair.question, "answer", pair.answer)))
            status = error_set_errno(err, "writing pairs");
        written += added == 1;
    }
    set_deinit(&set);
    return status;
}

static int write_judge_data(const struct options *o, FILE *out, struct error *err)
{
    int status = 0;
    for (long i = 0; status == 0 && i < o->n; i++) {
        struct world_pair pair;
        struct world_dice dice = {{o->seed, WORLD_STREAM_JUDGE, (uint64_t)i}, 0};
        world_question_of(&pair, &dice, WORLD_ANY_TOPIC, WORLD_SHARE_CORPUS);
        uint32_t roll = world_roll(&dice, 20); /* 35 % careful, 15 % careless, 50 % broken */
        enum world_manner manner = roll < 10 ? WORLD_CARELESS : WORLD_BROKEN;
        if (roll < 7)
            manner = WORLD_CAREFUL;
        if (manner == WORLD_BROKEN)
            world_break(&pair, &dice);
        else
            world_answer(&pair, &dice, manner);
        json_t *labels = manner == WORLD_CAREFUL ? json_array() : json_pack("[s]", world_manner_name[manner]);
        status = put_row(
            out, json_pack("{s:s, s:s, s:o}", "prompt", pair.question, "response", pair.answer, "labels", labels));
    }
    return status ? error_set_errno(err, "writing the judge's data") : 0;
}

/* Sound answers in the judge's own template: what it reads before it learns to judge. Mostly careful ones: they say
 * what belongs together. */
static int write_judge_text(const struct options *o, FILE *out, struct error *err)
{
    int status = 0;
    struct buf prompt = BUF_INIT;
    for (long i = 0; status == 0 && i < o->n; i++) {
        struct world_pair pair;
        struct world_dice dice = {{o->seed, WORLD_STREAM_JUDGE_TEXT, (uint64_t)i}, 0};
        world_question_of(&pair, &dice, WORLD_ANY_TOPIC, WORLD_SHARE_CORPUS);
        world_answer(&pair, &dice, world_roll(&dice, 8) ? WORLD_CAREFUL : WORLD_CARELESS);
        buf_reset(&prompt);
        status = train_classify_text(&prompt, pair.question, "")
                     ? -1
                     : put_row(out, json_pack("{s:s, s:s}", "prompt", prompt.data, "completion", pair.answer));
    }
    buf_free(&prompt);
    return status ? error_set_errno(err, "writing the judge's text") : 0;
}

/* A prompt of n examples in one manner and a question: what the gates of models/README.md are measured on. */
static void put_prompt(struct buf *prompt, struct world_dice *dice, int n, enum world_manner manner)
{
    struct world_pair pair;
    for (int i = 0; i < n; i++) {
        world_question_of(&pair, dice, WORLD_ANY_TOPIC, WORLD_SHARE_CORPUS);
        world_answer(&pair, dice, manner);
        buf_printf(prompt, "Question: %s\nAnswer: %s\n\n", pair.question, pair.answer);
    }
    world_question_of(&pair, dice, WORLD_ANY_TOPIC, WORLD_SHARE_DEV);
    buf_printf(prompt, "Question: %s\nAnswer:", pair.question);
}

static int write_prompts(const struct options *o, FILE *out, struct error *err)
{
    int status = 0;
    struct buf prompt = BUF_INIT;
    for (long i = 0; status == 0 && i < o->n; i++) {
        struct world_dice dice = {{o->seed, WORLD_STREAM_PROMPTS, (uint64_t)i}, 0};
        buf_reset(&prompt);
        put_prompt(&prompt, &dice, o->examples, o->manner);
        status = prompt.failed ? -1 : put_row(out, json_pack("{s:I, s:s}", "id", (json_int_t)i, "prompt", prompt.data));
    }
    buf_free(&prompt);
    return status ? error_set_errno(err, "writing prompts") : 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: world corpus|tokenizer|seeds|test|dev|judge-text|judge-data|prompts|label [--seed N] "
                    "[--docs N | --n N] [--vocab N]\n"
                    "             [--input FILE] [--seeds FILE] [--prompts FILE] [--output FILE or DIR] [--examples N] "
                    "[--carry PERCENT] [--domain 0|1]\n"
                    "             [--manner careful|careless] [--at-least SHARE:PERCENT] [--at-most SHARE:PERCENT]\n");
    return 2;
}

static int parse_bound(struct options *o, const char *value, int at_least)
{
    const char *colon = strchr(value, ':');
    if (!colon || o->n_bound == WORLD_MAX_BOUND)
        return -1;
    struct world_bound *b = &o->bounds[o->n_bound++];
    snprintf(b->share, sizeof b->share, "%.*s", (int)(colon - value), value);
    b->percent = strtod(colon + 1, NULL);
    b->at_least = at_least;
    return 0;
}

static int parse_option(struct options *o, const char *name, const char *value)
{
    if (strcmp(name, "--seed") == 0)
        o->seed = strtoull(value, NULL, 10);
    else if (strcmp(name, "--docs") == 0 || strcmp(name, "--n") == 0)
        o->n = strtol(value, NULL, 10);
    else if (strcmp(name, "--vocab") == 0)
        o->n_vocab = (int)strtol(value, NULL, 10);
    else if (strcmp(name, "--carry") == 0)
        o->carry = (int)strtol(value, NULL, 10);
    else if (strcmp(name, "--domain") == 0)
        o->domain = strcmp(value, "0") != 0;
    else if (strcmp(name, "--examples") == 0)
        o->examples = (int)strtol(value, NULL, 10);
    else if (strcmp(name, "--manner") == 0)
        o->manner = strcmp(value, "careful") ? WORLD_CARELESS : WORLD_CAREFUL;
    else if (strcmp(name, "--input") == 0)
        o->input = value;
    else if (strcmp(name, "--seeds") == 0)
        o->seeds = value;
    else if (strcmp(name, "--prompts") == 0)
        o->prompts = value;
    else if (strcmp(name, "--output") == 0)
        o->output = value;
    else if (strcmp(name, "--at-least") == 0)
        return parse_bound(o, value, 1);
    else if (strcmp(name, "--at-most") == 0)
        return parse_bound(o, value, 0);
    else
        return -1;
    return 0;
}

static int write_rows(const char *verb, const struct options *o, FILE *out, struct error *err)
{
    if (strcmp(verb, "corpus") == 0)
        return write_corpus(o, out, err);
    if (strcmp(verb, "seeds") == 0)
        return write_pairs(o, out, WORLD_STREAM_SEEDS, WORLD_SEED_TOPICS, WORLD_SHARE_SEEDS, err);
    if (strcmp(verb, "test") == 0)
        return write_pairs(o, out, WORLD_STREAM_TEST, WORLD_ANY_TOPIC, WORLD_SHARE_TEST, err);
    if (strcmp(verb, "dev") == 0)
        return write_pairs(o, out, WORLD_STREAM_DEV, WORLD_ANY_TOPIC, WORLD_SHARE_DEV, err);
    if (strcmp(verb, "judge-data") == 0)
        return write_judge_data(o, out, err);
    if (strcmp(verb, "judge-text") == 0)
        return write_judge_text(o, out, err);
    if (strcmp(verb, "prompts") == 0)
        return write_prompts(o, out, err);
    return world_label_file(o->input, o->prompts, o->bounds, o->n_bound, out, err);
}

int main(int argc, char **argv)
{
    static const char *const verbs[] = {"corpus",     "seeds",   "test",  "dev",       "judge-text",
                                        "judge-data", "prompts", "label", "tokenizer", NULL};
    struct options o = {.n = 64, .n_vocab = 2048, .domain = -1};
    struct error err = {0};
    int known = 0;
    for (int i = 0; argc > 1 && verbs[i]; i++)
        known |= strcmp(argv[1], verbs[i]) == 0;
    if (!known || argc % 2)
        return usage();
    for (int i = 2; i < argc; i += 2)
        if (parse_option(&o, argv[i], argv[i + 1]))
            return usage();
    if (o.carry < 0 || o.carry > 90)
        return usage(); /* at 100 a document would run out of questions */
    int tokenizer = strcmp(argv[1], "tokenizer") == 0, status;
    if ((tokenizer || strcmp(argv[1], "label") == 0) && !o.input)
        return usage();
    if (tokenizer) {
        if (!o.output)
            return usage();
        status = world_tokenizer(o.input, o.output, o.n_vocab, &err);
    } else {
        FILE *out = o.output && strcmp(o.output, "-") ? fopen(o.output, "w") : stdout;
        status = out ? write_rows(argv[1], &o, out, &err) : error_set_errno(&err, "%s", o.output);
        if (out && fclose(out) && status == 0)
            status = error_set_errno(&err, "%s", o.output ? o.output : "standard output");
    }
    if (status)
        fprintf(stderr, "world: %s\n", err.message);
    return error_exit_code(status);
}
