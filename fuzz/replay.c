/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one target over the files named on the command line, each copied to memory of exactly its size so that
 * sanitizers see a step past the end; then over every file cut short at a few places. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void feed(const unsigned char *bytes, size_t n)
{
    unsigned char *exact = malloc(n ? n : 1);
    if (!exact)
        abort();
    memcpy(exact, bytes, n);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
}

int main(int argc, char **argv)
{
    enum { MAX = 1 << 24 };
    unsigned char *bytes = malloc(MAX);
    for (int i = 1; bytes && i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (!f) {
            perror(argv[i]);
            return 1;
        }
        size_t n = fread(bytes, 1, MAX, f);
        fclose(f);
        printf("%s: %zu bytes\n", argv[i], n);
        fflush(stdout);
        feed(bytes, n);
        for (size_t k = 1; k < 8; k++)
            feed(bytes, n * k / 8);
    }
    free(bytes);
    return 0;
}
