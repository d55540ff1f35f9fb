/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka with its headers in the right order, and how a test names what it lacks. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

/* Skips the running test, saying why on a line that tools/run-tests repeats. */
#define SKIP_TEST(...)       \
    do {                     \
        printf("skipped: "); \
        printf(__VA_ARGS__); \
        printf("\n");        \
        skip();              \
    } while (0)
/* Path of a file below the reference data ($ISARA_DATA, else ../shared/data), or NULL when it is absent. Static
 * storage. */
const char *check_data(const char *name);
/* The SmolLM2 GGUF ($ISARA_SMOLLM2, else models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf), or NULL. */
const char *check_smollm2(void);
/* The same of Gemma 3 270M: $ISARA_GEMMA3, else models/gemma3/gemma-3-270m-q4_k_m.gguf. */
const char *check_gemma3(void);
/* A fresh directory below the build directory's tmp/, removed first if it was there. Static storage. */
const char *check_tmpdir(const char *name);

#endif
