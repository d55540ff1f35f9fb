/* SPDX-License-Identifier: Apache-2.0 */
#include "report/svg_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The least of 1, 2, 5 times a power of ten that is not below x. */
static double round_up(double x)
{
    double power = pow(10, floor(log10(x)));
    double digit = x / power;
    if (digit <= 1 + 1e-9)
        return power;
    if (digit <= 2 + 1e-9)
        return 2 * power;
    return digit <= 5 + 1e-9 ? 5 * power : 10 * power;
}

/* What an axis covers when all values are the same, or none is. */
static void widen(double *low, double *high)
{
    if (!isfinite(*low) || !isfinite(*high) || !isfinite(*high - *low)) {
        *low = 0;
        *high = 1;
    }
    if (*high - *low > 1e-12 * fmax(fabs(*low), fabs(*high)) && *high - *low > 1e-300)
        return;
    double by = fmax(fabs(*low) / 2, 0.5);
    *low -= by;
    *high += by;
}

struct svg_ticks svg_ticks_of(double low, double high, int most, int whole)
{
    struct svg_ticks t;
    if (most < 2)
        most = 2;
    widen(&low, &high);
    double step = round_up((high - low) / (most - 1));
    if (whole && step < 1)
        step = 1;
    for (;; step = round_up(step * 1.5)) {
        double first = floor(low / step + 1e-9);
        double last = ceil(high / step - 1e-9);
        t.n = (int)(last - first) + 1;
        t.first = first * step;
        if (t.n <= most || most < 3)
            break;
    }
    t.step = step;
    t.decimals = (int)fmax(0, -floor(log10(step) + 1e-9));
    return t;
}

double svg_tick(const struct svg_ticks *t, int i)
{
    double v = t->first + i * t->step;
    return fabs(v) < t->step * 1e-6 ? 0 : v;
}

/* "1.5×10⁻⁵" */
static void put_power(char out[48], const char *sign, double v, const char *unit)
{
    static const char *const digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    int power = (int)floor(log10(v) + 1e-9);
    int size = abs(power);
    double mantissa = v / pow(10, power);
    snprintf(out, 48, "%s%.3g×10%s%s%s%s%.8s", sign, mantissa, power < 0 ? "⁻" : "",
             size > 99 ? digits[size / 100] : "", size > 9 ? digits[size / 10 % 10] : "", digits[size % 10], unit);
}

const char *svg_tick_text(char out[48], const struct svg_ticks *t, int i, const char *unit)
{
    double v = svg_tick(t, i);
    double most = fmax(fabs(svg_tick(t, 0)), fabs(svg_tick(t, t->n - 1)));
    const char *sign = v < 0 ? "−" : "";
    if (v != 0 && (t->decimals > 4 || most >= 1e6))
        put_power(out, sign, fabs(v), unit ? unit : "");
    else
        snprintf(out, 48, "%s%.*f%.8s", sign, v == 0 && t->decimals > 4 ? 0 : t->decimals, fabs(v), unit ? unit : "");
    return out;
}

double svg_place(const struct svg_scale *s, double v)
{
    double share = (v - s->low) / (s->high - s->low);
    return s->from + fmin(fmax(share, -0.02), 1.02) * (s->to - s->from);
}

struct svg_scale svg_scale_of(const struct svg_ticks *t, double from, double to)
{
    return (struct svg_scale){svg_tick(t, 0), svg_tick(t, t->n - 1), from, to};
}

void svg_range_add(struct svg_range *r, double v)
{
    if (!isfinite(v))
        return;
    r->low = fmin(r->low, v);
    r->high = fmax(r->high, v);
}
