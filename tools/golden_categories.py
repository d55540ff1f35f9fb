#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/base/category_tables.h: the categories of characters that Unicode 14 does not have (Debian's Oniguruma 6.9.8 is of that version) and the
tokenizers library's Oniguruma does, and tests/golden/categories.json: the characters beyond ASCII of \\p{L}, \\p{Lu}, \\p{N}, \\p{P}, \\p{S} and \\p{M} there, and of its
Digits. Made with tokenizers 0.23.3 and Python 3.11 (whose unicodedata is of Unicode 14).

    tools/golden_categories.py"""
import json
import os
import unicodedata

from tokenizers import Regex, pre_tokenizers

ROOT = os.path.join(os.path.dirname(__file__), "..")
ALL = [c for c in range(0x80, 0x110000) if not 0xd800 <= c < 0xe000]
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Cf".split()


def isolated(p):
    out = set()
    for i in range(0, len(ALL), 4096):
        words = {w for w, _ in p.pre_tokenize_str("\n".join(map(chr, ALL[i:i + 4096])) + "\n")}
        out.update(c for c in ALL[i:i + 4096] if chr(c) in words)
    return out


def ranges(numbers):
    out = []
    for c in sorted(numbers):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def main():
    assert unicodedata.unidata_version.startswith("14."), unicodedata.unidata_version
    category = {}
    for g in CATEGORIES:
        for c in isolated(pre_tokenizers.Split(Regex(r"\p{%s}" % g), "isolated")):
            category[c] = g
    moved = [c for c in category if unicodedata.category(chr(c)) not in ("Cn", category[c])]
    print("characters of another category than in Unicode 14:", [hex(c) for c in moved])
    new = sorted((a, b, g) for g in CATEGORIES for a, b in ranges(c for c, k in category.items() if k == g and unicodedata.category(chr(c)) == "Cn"))
    with open(os.path.join(ROOT, "src/base/category_tables.h"), "w") as f:
        f.write("/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by tools/golden_categories.py: characters that came with Unicode 15 and 16, and their categories. */\n"
                "#ifndef BASE_CATEGORY_TABLES_H\n#define BASE_CATEGORY_TABLES_H\n\n#include <stdint.h>\n\n"
                "static const struct {\n    uint32_t first, last;\n    char category[3];\n} new_categories[] = {\n")
        rows = ['{0x%x, 0x%x, "%s"}' % r for r in new]
        for i in range(0, len(rows), 4):
            f.write("    " + ", ".join(rows[i:i + 4]) + ",\n")
        f.write("};\n\n#endif\n")
    golden = {k: ranges(c for c, g in category.items() if g.startswith(k)) for k in ("L", "Lu", "N", "P", "S", "M")}
    golden["digits"] = ranges(isolated(pre_tokenizers.Digits(individual_digits=True)) - {10})
    with open(os.path.join(ROOT, "tests/golden/categories.json"), "w") as f:
        json.dump(golden, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
