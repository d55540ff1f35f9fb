/* SPDX-License-Identifier: Apache-2.0 */
/* exp, log, sin, cos, pow in double from IEEE additions, products and divisions only, without fused operations: the
 * same bits with every compiler, C library and processor. Accurate to about 2 ulp; for tables, schedules and keys, not
 * for inner loops (the operators have their own single-precision forms in src/cpu). */
#ifndef BASE_MATHS_H
#define BASE_MATHS_H

double maths_exp(double x);
double maths_log(double x); /* x > 0, finite */
double maths_sin(double x); /* |x| < 2^30 */
double maths_cos(double x);
/* The same bits for n angles at once, several times faster. */
void maths_sin_cos(const double *x, int n, double *sines, double *cosines);
double maths_pow(double x, double y); /* x > 0; exp(y log x) with the product in double-double; 1 when y is 0 */

#endif
