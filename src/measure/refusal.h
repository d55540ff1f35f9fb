/* SPDX-License-Identifier: Apache-2.0 */
/* Does an answer refuse? A list of phrases, looked for where refusals begin: a rule that can be read and argued with,
 * not a judgement. */
#ifndef MEASURE_REFUSAL_H
#define MEASURE_REFUSAL_H

enum refusal { REFUSAL_NONE, REFUSAL_PHRASE, REFUSAL_EMPTY };
/* *phrase (may be NULL): which one was found, or NULL. Case does not matter, typographic apostrophes are plain ones. An
 * empty answer is neither. */
enum refusal refusal_of(const char *answer, const char **phrase);

#endif
