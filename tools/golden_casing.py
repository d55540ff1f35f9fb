#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints src/jinja/case_tables.h: what Python's str methods know of characters beyond utf8proc's simple mappings and categories.
Made with Python 3.11 (Unicode 14)."""
import sys, unicodedata


def chars():
    return (chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000)


def ranges(test):
    out = []
    for c in chars():
        if test(c):
            if out and out[-1][1] == ord(c) - 1:
                out[-1][1] = ord(c)
            else:
                out.append([ord(c), ord(c)])
    return out


def table(name, rows):
    print("static const struct jrange %s[] = {" % name)
    line = "   "
    for a, b in rows:
        item = " {0x%x, 0x%x}," % (a, b)
        if len(line) + len(item) > 116:
            print(line)
            line = "   "
        line += item
    print(line + "\n};")


def special(name, f):
    print("static const struct jspecial %s[] = {" % name)
    line = "   "
    for c in chars():
        to = f(c)
        if len(to) == 1:
            continue
        item = " {0x%x, {%s}}," % (ord(c), ", ".join("0x%x" % ord(x) for x in to))
        if len(line) + len(item) > 116:
            print(line)
            line = "   "
        line += item
    print(line + "\n};")


cased = lambda c: c.islower() or c.isupper() or c.istitle()
print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Made by tools/golden_casing.py with Python %d.%d (Unicode %s). */" % (*sys.version_info[:2], unicodedata.unidata_version))
print("#ifndef JINJA_CASE_TABLES_H\n#define JINJA_CASE_TABLES_H\n\n#include <stdint.h>\n")
print("struct jrange { uint32_t from, to; };\nstruct jspecial { uint32_t from, to[3]; };")
print("/* Mappings to several characters. */")
special("special_upper", str.upper)
special("special_title", str.title)
print("/* Small and capital characters that are no letters of those categories. */")
table("other_lower", ranges(lambda c: c.islower() and unicodedata.category(c) != "Ll"))
table("other_upper", ranges(lambda c: c.isupper() and unicodedata.category(c) != "Lu"))
print("/* Digits (isdigit) and numerals (isnumeric) that their category does not tell. */")
table("other_digit", ranges(lambda c: c.isdigit() and unicodedata.category(c) != "Nd"))
table("other_numeric", ranges(lambda c: c.isnumeric() and unicodedata.category(c)[0] != "N"))
print("/* Zeros of the decimal digits; nine follow each. */")
table("decimal_zero", [[ord(c), ord(c)] for c in chars() if c.isdecimal() and int(c) == 0])
print("\n#endif")
