#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The report's page, with hostile texts in it, before a browser: no violation that axe-core finds, nothing that scrolls sideways, no request.
# Needs what tools/check-report needs; $ISARA_REPORT_PYTHON: the Python that has it.
set -u
BUILD=${BUILD:-build}
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
"$BUILD/tests/test_report_html" "$tmp/report.html" || { echo "the page could not be written"; exit 1; }
exec "${ISARA_REPORT_PYTHON:-python3}" tools/check-report "$tmp/report.html"
