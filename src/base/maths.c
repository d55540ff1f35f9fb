/* SPDX-License-Identifier: Apache-2.0 */
/* Argument reduction and Taylor or atanh series, long enough for double. Compiled with -ffp-contract=off like
 * everything. */
#include "base/maths.h"

#include <stdint.h>
#include <string.h>

static const double LN2_HIGH = 0x1.62e42fefa0000p-1,
                    LN2_LOW = 0x1.cf79abc9e3b3ap-40; /* ln 2, the high part has 21 zero bits */

static double round_even(double x)
{
    const double magic = 0x1.8p52;
    volatile double shifted = x + magic;
    return shifted - magic;
}

static double scale_by_power(double x, int power)
{
    while (power > 1000) {
        x *= 0x1p1000;
        power -= 1000;
    }
    while (power < -1000) {
        x *= 0x1p-1000;
        power += 1000;
    }
    uint64_t bits = (uint64_t)(power + 1023) << 52;
    double factor;
    memcpy(&factor, &bits, 8);
    return x * factor;
}

/* e^(x + low) with a small correction `low`. */
static double exp_sum(double x, double low)
{
    if (x > 709.8)
        return __builtin_inf();
    if (x < -745.2)
        return 0;
    if (x != x)
        return x;
    double k = round_even(x * 1.4426950408889634074);
    double r = ((x - k * LN2_HIGH) - k * LN2_LOW) + low;
    double sum = 0;
    for (int i = 17; i >= 1; i--)
        sum = (sum + 1) * (r / i);
    return scale_by_power(1 + sum, (int)k);
}

double maths_exp(double x)
{
    return exp_sum(x, 0);
}

/* log x = e ln 2 + 2 atanh(s), s = (m-1)/(m+1), m in [sqrt(1/2), sqrt 2); returned as high + low. */
static double log_parts(double x, double *low)
{
    int e = 0;
    while (x < 0x1p-1000) {
        x *= 0x1p100;
        e -= 100;
    }
    uint64_t bits;
    memcpy(&bits, &x, 8);
    e += (int)(bits >> 52) - 1023;
    bits = (bits & 0xFFFFFFFFFFFFFull) | (uint64_t)1023 << 52;
    double m;
    memcpy(&m, &bits, 8);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        e++;
    }
    double f = m - 1, s = f / (2 + f), z = s * s, sum = 0;
    for (int i = 27; i >= 3; i -= 2)
        sum = sum * z + 2.0 / i;
    /* log m = 2s + s z sum = f - (f*s - s z sum) exactly enough; f is exact */
    double tail = s * (f - z * sum), high = e * LN2_HIGH + f;
    double lost = f - (high - e * LN2_HIGH);
    *low = e * LN2_LOW - tail + lost;
    return high;
}

double maths_log(double x)
{
    double low, high = log_parts(x, &low);
    return high + low;
}

static double kernel_sin(double r)
{
    double z = r * r, sum = 0;
    for (int i = 19; i >= 3; i -= 2)
        sum = (1 + sum) * (-z / ((double)i * (i - 1)));
    return r + r * sum;
}

static double kernel_cos(double r)
{
    double z = r * r, sum = 0;
    for (int i = 20; i >= 2; i -= 2)
        sum = (1 + sum) * (-z / ((double)i * (i - 1)));
    return 1 + sum;
}

/* x = q pi/2 + r, |r| <= pi/4, pi/2 in three parts (33 bits, 33 bits, the rest: Cody and Waite). */
static double reduce_angle(double x, int *quadrant)
{
    double q = round_even(x * 0.63661977236758134308);
    double r = ((x - q * 0x1.921fb54400000p+0) - q * 0x1.0b4611a600000p-34) - q * 0x1.3198a2e037073p-69;
    *quadrant = (int)((int64_t)q & 3);
    return r;
}

double maths_sin(double x)
{
    int q;
    double r = reduce_angle(x, &q), v = q & 1 ? kernel_cos(r) : kernel_sin(r);
    return q & 2 ? -v : v;
}

double maths_cos(double x)
{
    int q;
    double r = reduce_angle(x, &q), v = q & 1 ? kernel_sin(r) : kernel_cos(r);
    return q == 1 || q == 2 ? -v : v;
}

/* Eight angles side by side, term by term as kernel_sin and kernel_cos: loops that compilers turn into vectors. */
enum { LANES = 8 };
static void series(const double *z, int last, double *sum)
{
    for (int k = 0; k < LANES; k++)
        sum[k] = 0;
    for (int i = last; i >= 2; i -= 2) {
        double d = (double)i * (i - 1);
        for (int k = 0; k < LANES; k++)
            sum[k] = (1 + sum[k]) * (-z[k] / d);
    }
}

static void sin_cos_lanes(const double *x, int n, double *sines, double *cosines)
{
    double r[LANES] = {0}, z[LANES], s[LANES], c[LANES];
    int quadrant[LANES];
    for (int k = 0; k < n; k++)
        r[k] = reduce_angle(x[k], &quadrant[k]);
    for (int k = 0; k < LANES; k++)
        z[k] = r[k] * r[k];
    series(z, 19, s);
    series(z, 20, c);
    for (int k = 0; k < n; k++) {
        double sine = r[k] + r[k] * s[k], cosine = 1 + c[k];
        int q = quadrant[k];
        sines[k] = q & 1 ? cosine : sine;
        sines[k] = q & 2 ? -sines[k] : sines[k];
        cosines[k] = q & 1 ? sine : cosine;
        cosines[k] = q == 1 || q == 2 ? -cosines[k] : cosines[k];
    }
}

void maths_sin_cos(const double *x, int n, double *sines, double *cosines)
{
    for (int i = 0; i < n; i += LANES)
        sin_cos_lanes(x + i, n - i < LANES ? n - i : LANES, sines + i, cosines + i);
}

double maths_pow(double x, double y)
{
    if (y == 0 || x == 1)
        return 1;
    double low, high = log_parts(x, &low);
    double sum = high + low, rest = (high - sum) + low;
    /* y * sum as product + error by Dekker's splitting, without fused operations */
    double p = y * sum, c = 134217729.0;
    double ty = c * y, yh = ty - (ty - y), yl = y - yh, ts = c * sum, sh = ts - (ts - sum), sl = sum - sh;
    double error = ((yh * sh - p) + yh * sl + yl * sh) + yl * sl;
    return exp_sum(p, error + y * rest);
}
