/* SPDX-License-Identifier: Apache-2.0 */
/* Texts to ids on one thread. Usage: bench_tokenize TOKENIZER TEXTS [REPEATS]; TEXTS is a JSON array of strings. One
 * JSON line a repeat: seconds, bytes, tokens, and a sum of all ids that a peer must have, too. With - for REPEATS it
 * runs once for each line of standard input. */
#include "base/buf.h"
#include "base/clock.h"
#include "text/tokenizer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int once(const struct tokenizer *tok, const json_t *texts, struct error *err)
{
    struct tokens ids = TOKENS_INIT;
    size_t bytes = 0, tokens = 0;
    unsigned long long sum = 0;
    double start = clock_now();
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *text = json_array_get(texts, i);
        ids.n = 0;
        if (tokenizer_encode(tok, json_string_value(text), json_string_length(text), TOKENIZER_PARSE_SPECIAL, &ids,
                             err))
            return -1;
        bytes += json_string_length(text);
        tokens += ids.n;
        for (size_t k = 0; k < ids.n; k++)
            sum += (unsigned long long)ids.ids[k] * (k + 1);
    }
    double seconds = clock_now() - start;
    printf("{\"seconds\":%.6f,\"bytes\":%zu,\"tokens\":%zu,\"sum\":%llu}\n", seconds, bytes, tokens, sum % 1000000007);
    fflush(stdout);
    tokens_free(&ids);
    return 0;
}

int main(int argc, char **argv)
{
    struct tokenizer *tok = NULL;
    struct error err = {0};
    json_error_t why;
    char line[64];
    if (argc < 3) {
        fprintf(stderr, "usage: bench_tokenize TOKENIZER TEXTS [REPEATS|-]\n");
        return 64;
    }
    json_t *texts = json_load_file(argv[2], 0, &why);
    if (!texts || tokenizer_open(&tok, argv[1], &err)) {
        fprintf(stderr, "bench_tokenize: %s\n", texts ? err.message : why.text);
        return 1;
    }
    int asked = argc > 3 && !strcmp(argv[3], "-"), repeats = argc > 3 ? atoi(argv[3]) : 1, rc = 0;
    while (!rc && (asked ? fgets(line, sizeof line, stdin) != NULL : repeats-- > 0))
        rc = once(tok, texts, &err);
    if (rc)
        fprintf(stderr, "bench_tokenize: %s\n", err.message);
    tokenizer_close(tok);
    json_decref(texts);
    return rc ? 1 : 0;
}
