#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recomputes a finished run from its files: check_run.py ISARA RUN. Paths in its manifest are read as they stand there."""
import sys
import tempfile

import evidence
import rounds
import rundir


def check_run(directory, isara, ledger, regenerate=True):
    run = rundir.Run(directory)
    r = rounds.Rounds(run, isara, ledger, regenerate)
    r.check()
    evidence.Evidence(r).check()
    return run


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        book = rundir.Ledger()
        check_run(sys.argv[2], rounds.Isara(sys.argv[1], scratch), book)
        print("\n".join(book.differences))
        print(f"{book.compared} values recomputed, {len(book.differences)} differ")
        sys.exit(1 if book.differences else 0)
