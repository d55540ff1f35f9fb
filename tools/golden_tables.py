#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/tables.json: tables as Python's csv module writes them (delimiters, quoting, line ends, a BOM) and the records that its reader gets out of them again."""
import csv, io, json, os, platform, random

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "tables.json")
PIECES = ["a", "Why?", " ", ",", ";", "\t", '"', '""', "\n", "\r\n", "é", "日本", "'", "2+2", "\\", "{", "[1]", "#"]
QUOTING = {"minimal": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL, "nonnumeric": csv.QUOTE_NONNUMERIC}
rng = random.Random(17)
cases = []
for number in range(24):
    delimiter = ",;\t"[number % 3]
    quoting = list(QUOTING)[number // 3 % 3]
    end = ["\n", "\r\n"][number % 2]
    names = ["question", "Answer", "no;te" if delimiter != ";" else "no,te"][: 2 + number % 2]
    rows = [["x" + "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 9))) + "y" for _ in names] for _ in range(4)]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=QUOTING[quoting], lineterminator=end).writerows([names] + rows)
    read = [dict(r) for r in csv.DictReader(io.StringIO(text.getvalue(), newline=""), delimiter=delimiter)]
    assert [list(r.values()) for r in read] == rows
    cases.append({"name": ["t.csv", "t.txt", "t.tsv"][number % 3] if number % 5 else "t.csv", "text": ("\ufeff" if number % 4 == 3 else "") + text.getvalue(), "records": read})
with open(OUT, "w") as f:
    f.write('{"made by": "csv of Python %s",\n"tables": [\n' % platform.python_version())
    f.write(",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]}\n")
