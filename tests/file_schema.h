/* SPDX-License-Identifier: Apache-2.0 */
/* Is a JSON file of ours what docs/FORMATS.md says one is? The page's table is the schema: no code of ours has a say.
 */
#ifndef TESTS_FILE_SCHEMA_H
#define TESTS_FILE_SCHEMA_H

#include <jansson.h>

/* The table behind the heading "### NAME". Its tests' own memory, for good. */
const struct file_schema *file_schema(const char *name);
/* Fails the test that runs with the first key that is not in the table, that is of another type than there, or that is
 * there, is not said to be optional and is missing. used, if not NULL: [file_schema_rows()], set where a row was met.
 */
void file_schema_check(const struct file_schema *s, const json_t *file, unsigned char *used);
/* What that would be, in static storage; NULL: nothing is wrong. */
const char *file_schema_fault(const struct file_schema *s, const json_t *file, unsigned char *used);
/* Fails with the first row that no file had. */
void file_schema_all_used(const struct file_schema *s, const unsigned char *used);
int file_schema_rows(const struct file_schema *s);

#endif
