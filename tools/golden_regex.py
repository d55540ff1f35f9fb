#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/regex.json: how the tokenizers library (which runs Oniguruma) cuts hard and random strings with patterns that use
one feature each. An entry is [pattern, [[text, cuts], ...]]: cuts are the byte offsets of the
ends of pieces of a Split with "isolated"; null in place of the texts: the pattern is refused.
Made with tokenizers 0.23.3. Characters are those of Unicode 14, which Debian's Oniguruma has.

    tools/golden_regex.py"""
import json
import os
import random
import unicodedata

from tokenizers import Regex, pre_tokenizers

HERE = os.path.join(os.path.dirname(__file__), "..", "tests", "golden")
PATTERNS = [
    r"\p{N}{1,3}+", r"a++b|a+", r"[ab]*+c?", r"a?+a|b", r"(?>a+|b)c|.",
    r"(?m).+", r"(?m:.)a|b$", r".+", r"^a|b$", r"\Aa|b\z|c\Z", r"\Ga",
    r"(?i)(?:ss|k|st|ff|i)", r"(?i)ſ+|Σ+|straße", r"(?i:'s|'t|'re)|\p{L}+", r"(?i)[a-f\u0131]+|[^a-z]", r"(?-i:A)|(?i:b)c",
    r"\w+", r"\W+", r"\b", r"\B", r"\b\w", r"\d+", r"\D+", r"\s+", r"\S+", r"\h+", r"\H+", r"\R", r"\X", r"\N+", r"\O\O", r"\y", r"\Y",
    r"\p{Han}+", r"\p{Hiragana}+|\p{Katakana}+", r"[^\p{Han}\p{Latin}]+", r"\p{^L}+", r"\P{Lu}+", r"\p{Alphabetic}+", r"\p{Punct}+", r"\p{P}+|\p{S}+", r"\p{M}+", r"\p{Arabic}+",
    r"\p{InBasic_Latin}+", r"\p{White_Space}+", r"\p{Emoji}+", r"\p{Lowercase}+|\p{Uppercase}+",
    *[rf"[[:{n}:]]+" for n in "alnum alpha ascii blank cntrl digit graph lower print punct space upper xdigit word".split()],
    r"[[:^punct:]]+", r"[^[:punct:]a]+", r"[a[:punct:]\]]+|[\[:punct:]+", r"[:punct:]+", r"[\w&&[^\d_]]+", r"[a-z&&[^aeiou]]+", r"[\p{L}--]+", r"[]a]+|[^]b]+", r"[a\-z]+", r"[\s\S]{2}",
    r"(?<=a)b+", r"(?<!a)b", r"(?=\p{Lu})", r"(?!^)(?=\p{L})", r"(?<=\p{Ll})(?=\p{Lu})", r"(?<=[^\s])\s|a\K1",
    r"(a|b)\1", r"(?<x>a|\d)\k<x>", r"(?<p>\((?:[^()]|\g<p>)*\))", r"a{2}|b{,2}|c{1,}", r"a{,2}+b", r"x*", r"|a", r"a*?b|\d+?", r"(?x) a  b # c", r"\u00e9|\x{1F600}|\x41|\t|\n",
    r"(?~ab)", r"a|(?i:É)|(?:)", r"\p{Cn}|\p{Co}", r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[b]|[:punct:]+",
]
PARTS = ["a", "b", "ab", "aa", "bb", "c", "A", "B", "abc", "hello", "World", "aB", "don't", "'S", "'\u017f", "'ll", "'RE", "\u017f", "ss", "SS", "ß", "\u1e9e", "st", "\ufb06", "\ufb00", "\ufb01", "k", "\u212a", "i", "I", "İ", "ı",
         " ", "  ", "\n", "\n\n", "\t", "\r\n", "\r", "\v", "\u0085", "\u2028", "\u00a0", "\u3000", "\u180e", "\u200b", "\u200c", "\u200d", "1", "12", "345", "6789", "3.14", "٣", "½", "²", "Ⅷ", "①", "㈠", "㆒", "〇", "々", "ー",
         "é", "e\u0301", "É", "日本語", "漢", "ひら", "カタ", "한국", "\u1112\u1161\u11ab", "🙂", "👩\u200d👧", "🇩🇪", "🇩", "ಾ", "\u0cbe", "ⅱ", "\u2170", "ⓐ", "\U0001f130", "_", "$", "€", "±", "...", "!!", "(a(b))", "(", ")", "-", "[", "]", ":", "^", "`", "~", "'", "\"", "Σ", "σ", "ς", "straße",
         "\u0300", "\u093e", "क्ष", "กำ", "\U00020000", "\U0001f600", "\ue000", "\u0378", "\x00", "\x7f"]


def cuts(pattern, text):
    out = []
    at = 0
    for piece, _ in pre_tokenizers.Split(Regex(pattern), "isolated").pre_tokenize_str(text):
        at += len(piece.encode())
        out.append(at)
    assert at == len(text.encode())
    return out


def main():
    rng = random.Random(13)
    known = [chr(c) for c in range(0x30000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    entries = []
    for pattern in PATTERNS:
        texts = ["".join(rng.choice(PARTS) if rng.random() < .9 else rng.choice(known) for _ in range(rng.randrange(3, 9))) for _ in range(14)]
        try:
            entries.append([pattern, [[t, cuts(pattern, t)] for t in texts]])
        except Exception as why:  # the library refuses it
            print(pattern, why)
            entries.append([pattern, None])
    with open(os.path.join(HERE, "regex.json"), "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(json.dumps(e, ensure_ascii=False, separators=(",", ":")) for e in entries) + "\n]\n")


if __name__ == "__main__":
    main()
