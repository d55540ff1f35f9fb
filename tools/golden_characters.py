#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/characters.json, which characters the tokenizers library has in its classes (ranges [first, last] of code points), and
src/text/old_tables.h: where its tables, which are of Unicode 8 to 10, differ from today's. "changed" are the characters that NFKD changes, "ordered" those
that NFD changes places with a mark beside them. Made with tokenizers 0.23.3, regex 2026.11.19 and utf8proc 2.8 (libutf8proc.so.2).

    tools/golden_characters.py"""
import ctypes
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


LIB, LIBC = ctypes.CDLL("libutf8proc.so.2"), ctypes.CDLL(None)
LIB.utf8proc_map.restype = ctypes.c_ssize_t


def utf8proc(text, options):
    out = ctypes.c_void_p()
    data = text.encode()
    n = LIB.utf8proc_map(data, ctypes.c_ssize_t(len(data)), ctypes.byref(out), ctypes.c_int(options))
    result = ctypes.string_at(out, n).decode()
    LIBC.free(out)
    return result


def normal():
    """Characters that NFKD changes and NFD moves, and those that matter to utf8proc's forms but not to the library's."""
    forms = [(normalizers.NFC(), 10), (normalizers.NFD(), 18), (normalizers.NFKC(), 14), (normalizers.NFKD(), 22)]
    changed, ordered, new = set(), set(), set()
    for c in ALL:
        one = chr(c)
        changed.update([c] if forms[3][0].normalize_str(one) != one else [])
        pairs = ["\u0345" + one, one + "\u0334"]
        ordered.update([c] if any(forms[1][0].normalize_str(p) != p for p in pairs) and c not in changed else [])
        if any(f.normalize_str(t) != utf8proc(t, o) for f, o in forms for t in [one]) or any(forms[1][0].normalize_str(p) != utf8proc(p, 18) for p in pairs):
            new.add(c)
            parts = utf8proc(one, 18)
            new.update(map(ord, parts[1:] if c not in changed and parts != one else ""))
    return changed, ordered, new


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
    changed, ordered, new = normal()
    with open(os.path.join(ROOT, "tests/golden/characters.json"), "w") as f:
        json.dump(dict({k: ranges(v[0]) for k, v in classes.items()}, word=ranges(words()), changed=ranges(changed), ordered=ranges(ordered)), f, separators=(",", ":"))
        f.write("\n")
    with open(os.path.join(ROOT, "src/text/old_tables.h"), "w") as f:
        f.write("/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by tools/golden_characters.py: where the tokenizers library's tables, of Unicode 8 to 10, differ from today's. */\n"
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
        rows = ["{0x%x, 0x%x}" % tuple(r) for r in ranges(new)]
        f.write("\nstatic const uint32_t normal_new[][2] = {\n")
        for i in range(0, len(rows), 6):
            f.write("    " + ", ".join(rows[i:i + 6]) + ",\n")
        f.write("};\n\n#endif\n")


if __name__ == "__main__":
    main()
