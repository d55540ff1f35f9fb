/* SPDX-License-Identifier: Apache-2.0 */
#include "io/yaml_text.h"

#include "base/buf.h"
#include "io/file.h"

enum { MOST_BYTES = 1 << 22 };

static int not_yaml(const yaml_parser_t *parser, const char *name, struct error *err)
{
    return error_set(err, ERROR_CONFIG, "%s:%zu: not YAML: %s", name, parser->problem_mark.line + 1,
                     parser->problem ? parser->problem : "?");
}

static int no_second(yaml_parser_t *parser, const char *name, struct error *err)
{
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next))
        return not_yaml(parser, name, err);
    const yaml_node_t *root = yaml_document_get_root_node(&next);
    size_t line = root ? root->start_mark.line + 1 : 0;
    yaml_document_delete(&next);
    return line ? error_set(err, ERROR_CONFIG,
                            "%s:%zu: wanted one document a file, found a second document (after ---); make it a file "
                            "of its own",
                            name, line)
                : 0;
}

int yaml_text_load(yaml_document_t *out, const char *text, size_t n, const char *name, struct error *err)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return error_set_nomem(err, sizeof parser, name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    int rc = yaml_parser_load(&parser, out) ? 0 : not_yaml(&parser, name, err);
    if (!rc && yaml_document_get_root_node(out) && (rc = no_second(&parser, name, err)))
        yaml_document_delete(out);
    yaml_parser_delete(&parser);
    return rc;
}

int yaml_text_read(yaml_document_t *out, const char *path, struct error *err)
{
    struct buf text = BUF_INIT;
    int rc = file_read(&text, path, MOST_BYTES, err);
    rc = rc ? rc : yaml_text_load(out, buf_text(&text), text.len, path, err);
    buf_free(&text);
    return rc;
}
