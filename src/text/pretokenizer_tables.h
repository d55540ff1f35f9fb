/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-tokenizers of published byte-level tokenizers, as tokenizer.json spells them. */
#ifndef TEXT_PRETOKENIZER_TABLES_H
#define TEXT_PRETOKENIZER_TABLES_H

/* clang-format off */
#define SPLIT(regex)                                                                                               \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"Isolated\",\"invert\":false}"
#define BYTES(use_regex)                                                                                           \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":" use_regex "}"
#define SEQUENCE(a, b) "{\"type\":\"Sequence\",\"pretokenizers\":[" a "," b "]}"
#define WORDS_LIKE_LLAMA3(digits)                                                                                  \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|" digits                                 \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define PRE_GPT2 BYTES("true")
#define PRE_QWEN2 SEQUENCE(SPLIT(WORDS_LIKE_LLAMA3("\\\\p{N}")), BYTES("false"))
/* clang-format on */

#endif
