/* SPDX-License-Identifier: Apache-2.0 */
/* A fuzz target is one file fuzz/fuzz_NAME.c with the function below and seeds in fuzz/corpus/NAME/. Nothing is
 * registered: `make fuzz` runs every target under libFuzzer (clang) for FUZZ_SECONDS each, `make check` replays every
 * corpus with any compiler (tests/test_fuzz_corpus.sh). What fuzzing finds is fixed, cut small and kept in the
 * corpus. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Any bytes; must return 0. A finding is a crash, a leak, a sanitizer's report, a hang, or abort(). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
