/* SPDX-License-Identifier: Apache-2.0 */
/* x = preference - 1 is the model's share of a win; the win rate is its mean over the rows that have one. */
#include "measure/alpaca.h"

#include "base/mem.h"
#include "measure/mt19937.h"
#include "stats/stats.h"

#include <math.h>
#include <openssl/evp.h>
#include <string.h>

long alpaca_code_points(const char *s)
{
    long n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

int alpaca_preference_of(const json_t *row, const char *where, size_t i, double *preference, struct error *err)
{
    const json_t *p = json_object_get(row, "preference");
    if (!json_is_object(row))
        return error_set(err, ERROR_DATA, "%s: record %zu: wanted an object", where, i);
    *preference = NAN;
    if (!p || json_is_null(p))
        return 0;
    if (!json_is_number(p))
        return error_set(err, ERROR_DATA, "%s: record %zu: preference is not a number", where, i);
    double x = json_number_value(p);
    if (x == -1) /* how alpaca_eval's cache marks an answer that was not understood */
        return 0;
    if (x != 0 && !(x > 0.999 && x < 2.001)) /* the public files hold 1.0000004 and the like */
        return error_set(err, ERROR_DATA, "%s: record %zu: preference is %g; wanted 0 or 1 to 2", where, i, x);
    *preference = x == 0 ? 1.5 : x;
    return 0;
}

int alpaca_metrics_of(const json_t *annotations, const char *where, struct alpaca_metrics *out, struct error *err)
{
    *out = (struct alpaca_metrics){0};
    if (!json_is_array(annotations))
        return error_set(err, ERROR_DATA, "%s: wanted a JSON array of annotations", where);
    size_t rows = json_array_size(annotations);
    double *x = mem_alloc((rows + 1) * 2 * sizeof *x), *discrete = x + rows + 1;
    if (!x)
        return error_set_nomem(err, (rows + 1) * 2 * sizeof *x, "preferences");
    long length = 0, n_output = 0;
    int rc = 0, n = 0;
    for (size_t i = 0; i < rows && !rc; i++) {
        const json_t *row = json_array_get(annotations, i), *output = json_object_get(row, "output_2");
        double p;
        if ((rc = alpaca_preference_of(row, where, i, &p, err)))
            break;
        if (json_is_string(output)) {
            length += alpaca_code_points(json_string_value(output));
            n_output++;
        }
        out->n_rows++;
        if (isnan(p)) {
            out->n_missing++;
            continue;
        }
        out->n_draws += p == 1.5;
        out->n_wins += p > 1.5;
        out->n_wins_base += p < 1.5;
        discrete[n] = p == 1.5 ? 0.5 : p > 1.5;
        x[n++] = p - 1;
    }
    if (!rc && !n)
        rc = error_set(err, ERROR_DATA, "%s: no record has a preference; wanted at least one", where);
    if (!rc) {
        out->n_total = n;
        out->win_rate = 100 * stats_mean(x, n);
        out->standard_error = 100 * stats_sd(x, n) / sqrt(n);
        out->discrete_win_rate = 100 * stats_mean(discrete, n);
        out->avg_length = n_output ? (int)(length / n_output) : 0;
    }
    mem_free(x);
    return rc;
}

int alpaca_switched(const char *instruction, int *switched, double *random, struct error *err)
{
    static const char prefix[] = "is_switched_outputs";
    size_t n = sizeof prefix - 1 + strlen(instruction) + 1, all = n + 64;
    unsigned char *seed = mem_alloc(all);
    uint32_t *key = mem_calloc(all / 4 + 1, sizeof *key);
    struct mt19937 mt;
    unsigned int digest = 0;
    int rc = seed && key ? 0 : error_set_nomem(err, all * 2, "seed");
    if (!rc) {
        memcpy(seed, prefix, sizeof prefix - 1);
        memcpy(seed + sizeof prefix - 1, instruction, n - sizeof prefix);
        seed[n - 1] = '0';
        if (!EVP_Digest(seed, n, seed + n, &digest, EVP_sha512(), NULL) || digest != 64)
            rc = error_set(err, ERROR_UNAVAILABLE, "libcrypto has no SHA-512");
    }
    if (!rc) { /* seed || sha512(seed) as one big-endian number, its least word first */
        for (size_t i = 0; i < all; i++)
            key[i / 4] |= (uint32_t)seed[all - 1 - i] << 8 * (i % 4);
        int n_key = (int)((all + 3) / 4);
        while (n_key > 1 && !key[n_key - 1])
            n_key--;
        mt19937_seed_array(&mt, key, n_key);
        double high = (double)(mt19937_next(&mt) >> 5);
        *random = (high * 67108864 + (double)(mt19937_next(&mt) >> 6)) / 9007199254740992.0;
        *switched = *random >= 0.5;
    }
    mem_free(seed);
    mem_free(key);
    return rc;
}
