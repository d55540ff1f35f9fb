/* SPDX-License-Identifier: Apache-2.0 */
/* Recipes: named sets of values of the loop's own options, each as its authors have it. A recipe has no code. */
#include "method/fields.h"

#include "generate/fields.h"
#include "train/fields.h"

#include <stdio.h>
#include <string.h>

#define COUNT(list) (int)(sizeof(list) / sizeof *(list))

/* Wang et al., arXiv 2212.10560: six of people's and two of the model's own questions before an asked one. */
static const struct recipe_setting self_instruct[] = {
    {"k", "8"},
    {"pool", "grown"},
    {"generated-contexts", "2"},
    {"sift-threshold", "0.7"},
    {"question-min-words", "3"},
    {"question-max-words", "150"},
    {"ask-num-beams", "1"},
    {"ask-do-sample", "true"},
    {"ask-temperature", "0.7"},
    {"ask-top-p", "0.5"},
};
/* Sun et al., arXiv 2305.03047: principles before the examples when answering, absent when tuning; a question is asked
 * by sampling. The principles are the user's. */
static const struct recipe_setting self_align[] = {
    {"rounds", "1"},      {"ask-num-beams", "1"}, {"ask-do-sample", "true"}, {"ask-temperature", "0.7"},
    {"ask-top-p", "0.5"},
};
/* Zhou et al., arXiv 2305.11206: people's pairs and nothing else. */
static const struct recipe_setting lima[] = {
    {"rounds", "1"},
    {"attempts", "0"},
};
/* After arXiv 2601.19897 (SDFT): what the examples in the prompt did is learnt, not only the answer's words. */
static const struct recipe_setting distill[] = {
    {"tune-loss", "soft"},
};
/* Zhao et al., arXiv 2407.12874: inputs, then outputs, filters of noise and of length (two deviations), one round. */
static const struct recipe_setting self_guide[] = {
    {"rounds", "1"},        {"ask-num-beams", "1"},          {"ask-do-sample", "true"},
    {"sift-noise", "true"}, {"sift-length-deviations", "2"},
};
/* Gulcehre et al., arXiv 2308.08998: many answers a question, those that a reward model likes are learnt, in improve
 * steps with a threshold that rises, each from the model of the step before. */
static const struct recipe_setting rest[] = {
    {"answers-per-question", "4"}, {"answer-num-beams", "1"}, {"answer-do-sample", "true"},
    {"score", "reward"},           {"keep-best", "0"},        {"min-score-rank", "0.25,0.5,0.75,0.9"},
    {"improve-steps", "2"},        {"start", "last"},
};
/* Liang et al., arXiv 2408.08072: the model's own score decides what is kept, and each round starts from the base on
 * the newest pairs alone. */
static const struct recipe_setting i_sheep[] = {
    {"ask-num-beams", "1"},    {"ask-do-sample", "true"}, {"score", "self"},
    {"min-score-rank", "0.5"}, {"start", "pretrained"},   {"tune-on", "newest"},
};
/* Xie et al., arXiv 1911.04252, as far as it is a matter of this loop: who was taught by people labels what nobody
 * has, and a student begins anew on both. */
static const struct recipe_setting self_training[] = {
    {"rounds", "2"},        {"seed-rounds", "1"},      {"answer-contexts", "none"},
    {"ask-num-beams", "1"}, {"ask-do-sample", "true"},
};
/* Furlanello et al., arXiv 1805.04770: the same, and the student learns its teacher's distributions. */
static const struct recipe_setting born_again[] = {
    {"rounds", "2"},        {"seed-rounds", "1"},      {"answer-contexts", "none"},
    {"ask-num-beams", "1"}, {"ask-do-sample", "true"}, {"tune-loss", "soft"},
};
static const struct recipe_setting sampled[] = {
    {"ask-num-beams", "1"},
    {"ask-do-sample", "true"},
};

const struct recipe align_recipes[] = {
    {"isara", "the defaults: the paper's loop", NULL, 0, NULL},
    {"self-instruct", "six seeds and two generated pairs before an asked question, which is sampled", self_instruct,
     COUNT(self_instruct), NULL},
    {"self-align", "one round answered by --principles FILE, which asking and tuning do not see", self_align,
     COUNT(self_align), "principles"},
    {"rest", "four answers a question under --reward, with a threshold that rises by round over the same answers", rest,
     COUNT(rest), "reward"},
    {"self-guide", "one round of questions, then answers; filters of noise and of lengths unlike the seeds'",
     self_guide, COUNT(self_guide), NULL},
    {"i-sheep", "the better half by the model's own rating; from the base on the newest round's pairs", i_sheep,
     COUNT(i_sheep), NULL},
    {"lima", "no question is asked: tuned on the seeds alone", lima, COUNT(lima), NULL},
    {"distill", "tuning learns the distributions of the model that answered with its context pairs", distill,
     COUNT(distill), NULL},
    {"self-training", "the model tuned on the seeds answers bare questions, and the base is tuned on both",
     self_training, COUNT(self_training), NULL},
    {"born-again", "self-training, and tuning learns the distributions of the model that answered", born_again,
     COUNT(born_again), NULL},
    {"sampled", "the defaults, but questions are sampled: for a model that beams lead to one question", sampled,
     COUNT(sampled), NULL},
};
const int align_n_recipe = COUNT(align_recipes);

const struct recipe *align_recipe_find(const char *name)
{
    for (int i = 0; i < align_n_recipe; i++)
        if (!strcmp(align_recipes[i].name, name))
            return &align_recipes[i];
    return NULL;
}

/* The row that an option's name means, and the struct that its value lies in. */
static const struct field *find_row(const char *option, struct align_options *o, void **object)
{
    const struct {
        const char *prefix;
        const struct field_table *table;
        void *object;
    } tables[] = {{"", &align_fields, o},
                  {"", &sift_fields, &o->sift},
                  {"ask-", &generate_fields, &o->ask},
                  {"answer-", &generate_fields, &o->answer},
                  {"train-", &train_fields, &o->train}};
    for (int i = 0; i < COUNT(tables); i++) {
        size_t n = strlen(tables[i].prefix);
        const struct field *f = strncmp(option, tables[i].prefix, n) ? NULL : field_find(tables[i].table, option + n);
        *object = tables[i].object;
        if (f)
            return f;
    }
    return NULL;
}

static int unknown_recipe(const char *name, struct error *err)
{
    char names[300] = "";
    size_t n = 0;
    for (int i = 0; i < align_n_recipe && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", align_recipes[i].name);
    return error_set(err, ERROR_USAGE, "--recipe: wanted one of %s, found \"%s\"", names, name);
}

int align_recipe_apply(struct align_options *o, const char *name, struct error *err)
{
    const struct recipe *r = align_recipe_find(name);
    int rc = r ? 0 : unknown_recipe(name, err);
    for (int i = 0; r && i < r->n && !rc; i++) {
        const struct recipe_setting *s = &r->settings[i];
        void *object;
        const struct field *f = find_row(s->option, o, &object);
        rc = f ? field_set(f, s->value, object, err)
               : error_set(err, ERROR_INTERNAL, "recipe %s: --%s: no such option", name, s->option);
    }
    if (!rc)
        o->recipe = r->name;
    return rc;
}

int align_recipe_check(const struct align_options *o, struct error *err)
{
    const struct recipe *r = align_recipe_find(o->recipe);
    struct align_options copy = *o;
    void *object;
    const struct field *f = r && r->needs ? find_row(r->needs, &copy, &object) : NULL;
    if (!f || *(const char *const *)(const void *)((const char *)object + f->offset))
        return 0;
    if (f == find_row("reward", &copy, &object) && o->score != SCORE_REWARD_MODEL)
        return 0; /* another score was given over the recipe's */
    return error_set(err, ERROR_USAGE, "--recipe %s: wanted --%s %s, found none; give one (%s)", r->name, f->name,
                     f->argument, f->help);
}

json_t *align_recipe_switches(const struct align_options *o)
{
    const struct recipe *r = align_recipe_find(o->recipe);
    struct align_options copy = *o;
    struct buf value = BUF_INIT;
    json_t *all = json_object();
    for (int i = 0; r && i < r->n && all; i++) {
        void *object;
        const struct field *f = find_row(r->settings[i].option, &copy, &object);
        value.len = 0;
        if (f && !field_print(f, object, &value, NULL))
            json_object_set_new(all, r->settings[i].option, json_stringn(buf_text(&value), value.len));
    }
    buf_free(&value);
    return all;
}
