#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The method from outside: tests/outside/ recomputes from the files of a few runs what docs/METHOD.md promises, by its own code (Python's standard library).
set -u
python3 -c 'import sqlite3, sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null || { echo "python3 (3.9 or later, with sqlite3) is not there"; exit 77; }
[ -f models/miniature/model.safetensors ] || { echo "models/miniature is not there"; exit 77; }
# in memory where that can be: thousands of commits wait for the disk otherwise
tmp=$(mktemp -d /dev/shm/isara-outside-XXXXXX 2>/dev/null || mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
parts=""; [ -z "${ISARA_REDUCED:-}" ] || parts="counted plain"
PYTHONDONTWRITEBYTECODE=1 python3 tests/outside/outside.py "$ISARA" models "$tmp" $parts
