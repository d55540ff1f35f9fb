/* SPDX-License-Identifier: Apache-2.0 */
/* Is a metrics.json what docs/FORMATS.md says one is? */
#ifndef TESTS_METRICS_SCHEMA_H
#define TESTS_METRICS_SCHEMA_H

#include <jansson.h>

/* Fails the test that runs with the first key that is not in the page's table, that is of another type than there, or
 * that is there, is not said to be optional and is missing. used, if not NULL: [metrics_schema_rows()], set where a row
 * was met. */
void metrics_schema_check(const json_t *metrics, unsigned char *used);
int metrics_schema_rows(void);
const char *metrics_schema_path(int row); /* "arms[].judge.rate" */

#endif
