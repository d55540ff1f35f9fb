/* SPDX-License-Identifier: Apache-2.0 */
/* A YAML text of one document, through libyaml. */
#ifndef IO_YAML_TEXT_H
#define IO_YAML_TEXT_H

#include "base/error.h"

#include <yaml.h>

/* After 0 *out is the caller's (yaml_document_delete); an empty text has no root node. ERROR_CONFIG "NAME:LINE: ...":
 * not YAML, or a second document. */
int yaml_text_load(yaml_document_t *out, const char *text, size_t n, const char *name, struct error *err);
/* The same of a file ("-": standard input). */
int yaml_text_read(yaml_document_t *out, const char *path, struct error *err);

#endif
