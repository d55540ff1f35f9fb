/* SPDX-License-Identifier: Apache-2.0 */
/* A small synthetic world for the miniature model: everyday questions, each about one thing and one thing to do with
 * it, answered in a careful or in a careless manner. Because every text is put together from the tables here, a rule
 * can say of any answer which manner it has, and that is the truth that a learned judge is compared with.
 *
 *     struct world_dice dice = {{seed, WORLD_STREAM_TEST, 17}, 0};
 *     struct world_pair pair;
 *     world_question(&pair, &dice, WORLD_ANY_TOPIC);
 *     world_answer(&pair, &dice, WORLD_CAREFUL);
 *     world_label(pair.question, pair.answer, NULL) == WORLD_CAREFUL
 */
#ifndef TOOLS_WORLD_H
#define TOOLS_WORLD_H

#include "base/buf.h"
#include "base/error.h"
#include "base/rng.h"

#include <stdio.h>

enum { WORLD_N_TOPIC = 36, WORLD_N_OBJECT = 6, WORLD_N_ACTION = 6, WORLD_N_CAUTION = 5, WORLD_N_SEED_TOPIC = 9 };
enum { WORLD_ANY_TOPIC = -1, WORLD_SEED_TOPICS = -2 };

struct world_topic {
    int domain; /* 0: things at home; 1: out and among people */
    const char *name;
    const char *object[WORLD_N_OBJECT];   /* follows "my", "the", ...; belongs to this topic alone */
    const char *action[WORLD_N_ACTION];   /* a verb that takes the object */
    const char *caution[WORLD_N_CAUTION]; /* an imperative; belongs to this topic alone */
};
extern const struct world_topic world_topics[WORLD_N_TOPIC];
extern const int world_seed_topics[WORLD_N_SEED_TOPIC];

/* Word lists and sentence patterns, each ended by NULL. In a pattern: %A action, %D determiner, %O object, %C
 * circumstance, %K condition, %P person, %1 and %2 two cautions, or a shrug and a shortcut; %^C and the like begin with
 * a capital. */
extern const char *const world_determiners[], *const world_circumstances[], *const world_conditions[],
                                                                                *const world_people[];
extern const char *const world_shrugs[], *const world_shortcuts[];
extern const char *const world_forms[], *const world_careful[], *const world_careless[];

enum world_manner { WORLD_CAREFUL, WORLD_CARELESS, WORLD_BROKEN, WORLD_N_MANNER };
extern const char *const world_manner_name[WORLD_N_MANNER]; /* "careful", "careless", "broken" */

/* Questions are dealt out by their hash, so that what is trained on, the seeds, the test and the development set never
 * share one. */
enum world_share { WORLD_SHARE_CORPUS, WORLD_SHARE_SEEDS, WORLD_SHARE_TEST, WORLD_SHARE_DEV };
enum world_share world_share_of(const char *question);

enum {
    WORLD_STREAM_CORPUS = 1,
    WORLD_STREAM_SEEDS,
    WORLD_STREAM_TEST,
    WORLD_STREAM_DEV,
    WORLD_STREAM_JUDGE,
    WORLD_STREAM_PROMPTS,
    WORLD_STREAM_JUDGE_TEXT
};
/* Random numbers in order, from the counter-based generator: {{seed, one of the streams, document}, 0}. */
struct world_dice {
    struct rng_stream stream;
    uint64_t next;
};
uint32_t world_roll(struct world_dice *dice, uint32_t n); /* 0..n-1 */

struct world_pair {
    int topic, object;
    char question[256], answer[320];
};
/* Fills topic, object and question. topic: an index, WORLD_ANY_TOPIC or WORLD_SEED_TOPICS. */
void world_question(struct world_pair *pair, struct world_dice *dice, int topic);
/* The same, drawn again until the question lies in the share. */
void world_question_of(struct world_pair *pair, struct world_dice *dice, int topic, enum world_share share);
/* Fills answer in one of the first two manners. */
void world_answer(struct world_pair *pair, struct world_dice *dice, enum world_manner manner);
/* Fills answer with something that is neither: a caution of another topic, another object, cut short, ... */
void world_break(struct world_pair *pair, struct world_dice *dice);
/* One document: 1 to 8 pairs in one hidden manner, in align's template; returns how many pairs. text is appended to.
 * carry 0: the document's questions prefer a few forms and words of its own. Else each is put together from the three
 * before it: in carry of 100 cases each, the form is that of the last, the circumstances those of the one before, the
 * thing that of the third. */
int world_document(struct buf *text, struct world_dice *dice, int carry);

/* What the rules say of an answer. The question need not follow a pattern, it only has to name an object. reason (may
 * be NULL) receives why an answer is broken, "" when it is not; static storage. */
enum world_manner world_label(const char *question, const char *answer, const char **reason);
/* 1 when the question follows one of the patterns, with an action that suits its object; topic may be NULL. */
int world_parse_question(const char *question, int *topic);

/* Labels every row of a JSON Lines file onto out and prints the shares on stderr, in percent: careful, careless,
 * broken, asked (the question follows a pattern), copied (the answer stands in its prompt), and kept where rows say so.
 * Rows have "question" and "answer"; with prompts, the file that isara generate read, they have "text" and the question
 * is the prompt's last. ERROR_FAILED when a share is out of its bound. */
enum { WORLD_MAX_BOUND = 8 };
struct world_bound {
    char share[16];
    double percent;
    int at_least; /* else at most */
};
int world_label_file(const char *input, const char *prompts, const struct world_bound *bounds, int n_bound, FILE *out,
                     struct error *err);

/* Trains a byte-level BPE of n_vocab tokens on the "text" of a JSON Lines file and writes tokenizer.json,
 * tokenizer_config.json and special_tokens_map.json to the directory. Token 0 ends a text, token 1 pads. */
int world_tokenizer(const char *input, const char *directory, int n_vocab, struct error *err);

#endif
