#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/characters.json, which characters the tokenizers library has in its classes (ranges [first, last] of code points), and
src/text/old_tables.h: where its tables, which are of Unicode 8 and 9, differ from today's. Made with tokenizers 0.23.3 and regex 2026.11.19.

    tools/golden_characters.py"""
import json
import os

import regex
from tokenizers import normalizers, pre_tokenizers

ROOT = os.path.join(os.path.dirname(__file__), "..")
ALL = [c for c in range(0x80, 0x110000) if not 0xd800 <= c < 0xe000]


def bert(**on):
    return normalizers.BertNormalizer(**dict(dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False), **on))


def dropped(n):
    out = set()
    for i in range(0, len(ALL), 4096):
        kept = set(n.normalize_str("a".join(map(chr, ALL[i:i + 4096]))))
        out.update(c for c in ALL[i:i + 4096] if chr(c) not in kept)
    return out


def isolated(p):
    out = set()
    for i in range(0, len(ALL), 4096):
        words = {w for w, _ in p.pre_tokenize_str("a".join(map(chr, ALL[i:i + 4096])) + "a")}
        out.update(c for c in ALL[i:i + 4096] if chr(c) in words)
    return out


def words():
    out = set()
    for i in range(0, len(ALL), 4096):
        found = {w for w, _ in pre_tokenizers.Whitespace().pre_tokenize_str(" ".join("a" + chr(c) for c in ALL[i:i + 4096]))}
        out.update(c for c in ALL[i:i + 4096] if "a" + chr(c) in found)
    return out


def now(pattern):
    one = regex.compile(pattern)
    return {c for c in ALL if one.match(chr(c))}


def ranges(numbers):
    out = []
    for c in sorted(numbers):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def main():
    decomposed = {c for c in ALL if normalizers.NFD().normalize_str(chr(c)) != chr(c)}
    spaces = now(r"\p{White_Space}")
    classes = {"punctuation": (isolated(pre_tokenizers.Punctuation()), now(r"\p{P}")), "mark": (dropped(normalizers.StripAccents()), now(r"\p{M}")),
               "nonspacing": (dropped(bert(strip_accents=True)) - decomposed, now(r"\p{Mn}") - decomposed),
               "other": (dropped(bert(clean_text=True)) - spaces - {0xfffd}, now(r"[\p{Cc}\p{Cf}\p{Co}]") - spaces)}
    with open(os.path.join(ROOT, "tests/golden/characters.json"), "w") as f:
        json.dump(dict({k: ranges(v[0]) for k, v in classes.items()}, word=ranges(words())), f, separators=(",", ":"))
        f.write("\n")
    with open(os.path.join(ROOT, "src/text/old_tables.h"), "w") as f:
        f.write("/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by tools/golden_characters.py: where the tokenizers library's tables, of Unicode 8 and 9, differ from today's. */\n"
                "#ifndef TEXT_OLD_TABLES_H\n#define TEXT_OLD_TABLES_H\n\n#include <stdint.h>\n")
        for name, (theirs, today) in classes.items():
            for what, diff in (("lost", theirs - today), ("new", today - theirs)):
                if not diff:
                    diff = {0x110000}  # no character
                rows = ["{0x%x, 0x%x}" % tuple(r) for r in ranges(diff)]
                f.write(f"\nstatic const uint32_t {name}_{what}[][2] = {{\n")
                for i in range(0, len(rows), 6):
                    f.write("    " + ", ".join(rows[i:i + 6]) + ",\n")
                f.write("};\n")
        f.write("\n#endif\n")


if __name__ == "__main__":
    main()
