/* SPDX-License-Identifier: Apache-2.0 */
/* Classes of characters as the tokenizers library has them: some of its tables are of Unicode 8 and 9, so that a newer
 * accent is no accent there and a newer punctuation mark no punctuation. Ids depend on it. */
#ifndef TEXT_OLD_CLASSES_H
#define TEXT_OLD_CLASSES_H

#include <stdint.h>

int old_is_punctuation(uint32_t cp); /* ASCII's, and categories P* */
int old_is_mark(uint32_t cp);        /* M*: StripAccents */
int old_is_nonspacing(uint32_t cp);  /* Mn: BertNormalizer's strip_accents */
int old_is_other(uint32_t cp);       /* Cc, Cf, Co: its clean_text; not what is unassigned */
int old_is_plain(uint32_t cp);       /* neither decomposed nor moved by the normal forms there, though it is today */

#endif
