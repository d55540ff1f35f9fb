/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a server, and what its errors look like. */
#include "serve/http.h"

#include "io/jsontext.h"

#include <string.h>

static const struct field rows[] = {
    {FIELD("host", FIELD_STRING, struct http_options, host), .argument = "NAME", .initial = "127.0.0.1",
     .help = "address or name to listen on; 0.0.0.0: all"},
    {FIELD("port", FIELD_INT, struct http_options, port), .argument = "N", .high = 65535, .initial = "8077",
     .help = "port to listen on, 0 = any that is free"},
    {FIELD("api-key", FIELD_STRING, struct http_options, api_key), .argument = "KEY",
     .help = "what clients have to send as Authorization: Bearer KEY [none is asked for; also ISARA_API_KEY]"},
    {FIELD("allow-origin", FIELD_TEXTS, struct http_options, allow_origin), .argument = "ORIGIN",
     .count = offsetof(struct http_options, n_allow_origin), .capacity = HTTP_MAX_NAMES, .size = HTTP_NAME_BYTES,
     .help = "a page of this origin (https://example.org) may call from a browser, * = all; may be given again [none]"},
    {FIELD("allow-host", FIELD_TEXTS, struct http_options, allow_host), .argument = "NAME",
     .count = offsetof(struct http_options, n_allow_host), .capacity = HTTP_MAX_NAMES, .size = HTTP_NAME_BYTES,
     .help = "a name by which clients may call besides addresses, localhost and --host; may be given again [none]"},
    {FIELD("max-body", FIELD_INT, struct http_options, max_body), .argument = "MIB", .low = 1, .high = 1024,
     .initial = "8", .help = "size of a request's body at most; four times as much of all that are being read"},
    {FIELD("max-connections", FIELD_INT, struct http_options, max_connections), .argument = "N", .low = 1,
     .high = 65536, .initial = "512", .help = "connections at once; more wait"},
    {FIELD("patience", FIELD_INT, struct http_options, patience), .argument = "SECONDS", .low = 1, .high = 86400,
     .initial = "60", .help = "for a request to arrive whole, and for a client that does not read its answer"},
};
const struct field_table http_fields = {rows, sizeof rows / sizeof *rows};

void http_options_default(struct http_options *o)
{
    memset(o, 0, sizeof *o);
    fields_default(&http_fields, FIELD_PLAIN, o);
}

static const struct {
    int status;
    const char *type, *code;
} kinds[] = {
    {401, "invalid_request_error", "invalid_api_key"},   {403, "permission_error", "forbidden"},
    {404, "invalid_request_error", "not_found"},         {405, "invalid_request_error", "method_not_allowed"},
    {413, "invalid_request_error", "request_too_large"}, {429, "rate_limit_error", "rate_limit_exceeded"},
    {431, "invalid_request_error", "header_too_large"},  {500, "server_error", "internal_error"},
    {503, "server_error", "service_unavailable"},
};

void http_error_json(struct buf *out, int status, const char *param, const char *message)
{
    const char *type = "invalid_request_error", *code = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].status == status) {
            type = kinds[i].type;
            code = kinds[i].code;
        }
    json_t *all = json_pack("{s:{s:s?, s:s, s:s?, s:s?}}", "error", "message", message, "type", type, "param", param,
                            "code", code);
    if (!all) /* not UTF-8: a client's own bytes are in it */
        all = json_pack("{s:{s:s, s:s, s:n, s:s?}}", "error", "message", "the request is not UTF-8", "type", type,
                        "param", "code", code);
    if (jsontext_dump(out, all, 0, NULL))
        out->failed = 1;
    json_decref(all);
}
