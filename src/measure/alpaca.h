/* SPDX-License-Identifier: Apache-2.0 */
/* alpaca_eval's numbers from its annotations, and the order in which it shows the two outputs to a judge. */
#ifndef MEASURE_ALPACA_H
#define MEASURE_ALPACA_H

#include "base/error.h"

#include <jansson.h>

struct alpaca_metrics {
    double win_rate, standard_error, discrete_win_rate; /* per cent */
    int n_wins, n_wins_base, n_draws, n_total;          /* n_total: rows with a preference */
    int n_rows, n_missing;                              /* all rows; rows whose preference is null */
    int avg_length;                                     /* of output_2 in code points, over all rows that have one */
};
/* annotations: the array of annotations.json. preference in [1,2], 2 = the model (output_2) is better, 1.5 and 0 = a
 * draw, null = not parsed. ERROR_DATA names the row. No row with a preference is an error, not a zero. */
int alpaca_metrics_of(const json_t *annotations, const char *where, struct alpaca_metrics *out, struct error *err);

/* Length-controlled win rate. gamed NULL: formula length_controlled_minimal (tanh(std_delta_len) + not_gamed_baseline,
 * which is 1 for all rows), whose prediction at equal lengths is one number for all rows, so its standard error says
 * nothing; else length_controlled_v1 with alpaca_eval's df_gamed.csv, which also takes instructions by their row's
 * number. w: the weights in the formula's order (minimal: length, not gamed; v1: length, difficulty, not gamed).
 * ERROR_DATA: no lengths, too few rows. */
struct alpaca_controlled {
    double win_rate, standard_error, w[3], C;
    int n;
};
int alpaca_length_controlled(const json_t *annotations, const char *where, const char *gamed,
                             struct alpaca_controlled *out, struct error *err);
int alpaca_is_extreme(double raw, double controlled); /* alpaca_eval would warn */
long alpaca_code_points(const char *s);
/* A row's preference, NAN when it is null or absent; 0 (a draw) as 1.5. */
int alpaca_preference_of(const json_t *row, const char *where, size_t i, double *preference, struct error *err);

/* Whether alpaca_eval shows this instruction's outputs switched (Python's random.Random seeded with a string), and its
 * first random number. */
int alpaca_switched(const char *instruction, int *switched, double *random, struct error *err);

#endif
