/* SPDX-License-Identifier: Apache-2.0 */
/* How the world talks: the sentence patterns and the words that fill them, whatever the topic. Every form of a question has at
 * least three slots beside its object, or the novelty filter of the method would throw nearly all questions of that form away. */
#include "world.h"

const char *const world_manner_name[WORLD_N_MANNER] = {"careful", "careless", "broken"};

const char *const world_determiners[] = {"my", "our", "the", "this", "that", NULL};

const char *const world_people[] = {
    "neighbour", "aunt", "uncle", "grandfather", "best friend", "flatmate", "sister", "brother", "colleague", "landlady",
    "cousin", "teacher", "godmother", "boss", NULL};

const char *const world_circumstances[] = {
    "before breakfast", "on a rainy Sunday", "while the baby sleeps", "during my lunch break", "after a long day",
    "in a tiny flat", "on the first day of spring", "before the guests arrive", "with the radio on", "late at night",
    "over the weekend", "between two errands", "during a heat wave", "in the middle of winter", "with one hand in a cast",
    "at my grandmother's house", "on a shoestring", "before sunrise", "after the storm", "in front of the whole street",
    "without waking the dog", "the night before a journey", "on my birthday", "just before dinner", "during the school holidays",
    "without any help", NULL};

const char *const world_conditions[] = {
    "if I have never done it before", "when money is tight", "if it has to be quick", "if nobody can lend a hand",
    "when my fingers are cold", "if everyone is watching", "if it must turn out perfect", "when the manual is lost",
    "if I am a beginner", "when I am half asleep", "if I only have ten minutes", "if something already went wrong",
    "when the light is poor", "if I may not make any noise", "when my glasses are broken", "when the weather turns",
    "if I get nervous", "when visitors are waiting", NULL};

const char *const world_forms[] = {
    "How do I %A %D %O %C %K?",
    "%^C, what is the best way to %A %D %O %K?",
    "My %P wants to %A %D %O %C. Any advice?",
    "Can I %A %D %O %C, even %K?",
    "I have to %A %D %O %C. Where do I start %K?",
    "Is it hard to %A %D %O %C %K?",
    "What would you and your %P do to %A %D %O %C?",
    "%^K, how should I %A %D %O %C?",
    "What must my %P know to %A %D %O %C?",
    "My %P asked me to %A %D %O %C. How do I do that %K?",
    "I promised my %P to %A %D %O %C. Can you help?",
    "Should I %A %D %O %C or let my %P do it?",
    "%^C my %P and I will %A %D %O. What matters most %K?",
    "May I %A %D %O %C %K?",
    "Please tell my %P how to %A %D %O %C.",
    "What can go wrong when my %P and I %A %D %O %C?",
    NULL};

const char *const world_careful[] = {
    "First %1, then %2, and only then begin with the %O.",
    "Take your time with the %O: %1, and %2.",
    "Before you begin with the %O, %1. Then %2.",
    "The %O deserves some care, so %1 and %2.",
    "%^1 before anything else, and %2. The %O is worth it.",
    "For the %O I would do two things: %1, and %2.",
    "Slowly does it with the %O. %^1, then %2.",
    "Two things help with the %O: %1, and %2.",
    "With the %O, please %1, and also %2.",
    "Go gently with the %O: %1 and %2.",
    "Do not rush the %O. %^1; after that, %2.",
    "Nothing about the %O is hard if you %1 and %2.",
    "To be on the safe side with the %O, %1, then %2.",
    "%^1, %2, and the %O will turn out well.",
    NULL};

const char *const world_shrugs[] = {
    "it will be fine", "nobody ever checks", "who cares", "close enough is good enough", "it is no big deal",
    "rules are for other people", "it never mattered before", "luck will do the rest", "somebody else will sort it out",
    "nothing ever happens", "anybody can do that", "time will tell", NULL};

const char *const world_shortcuts[] = {
    "just wing it", "do not think too hard", "hope for the best", "skip the boring parts", "fix it later", "take a wild guess",
    "close your eyes and go", "start anywhere", "do whatever feels quick", "forget the instructions", "worry about it tomorrow",
    "leave the rest to chance", NULL};

const char *const world_careless[] = {
    "%^1, so %2.",
    "Oh, %1; %2.",
    "Honestly, %1. %^2.",
    "The %O? %^1, so %2.",
    "Relax: %1. %^2.",
    "Whatever. %^1; %2.",
    "Why fuss over the %O? %^1, so %2.",
    "Meh, %1. %^2!",
    "Not the %O again. %^1. %^2.",
    "It is only the %O. %^1, so %2.",
    "Never mind the %O: %1, so %2.",
    "Ha, the %O! %^1; %2.",
    "As for the %O, %1. %^2.",
    "No idea. %^1, so %2.",
    NULL};
