/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a request as JSON, and the model that it names. */
#include "serve/parts.h"

#include "io/jsontext.h"

int request_body(struct http_exchange *x, json_t **body)
{
    struct error err = {0};
    size_t n;
    const char *text = http_body(x, &n);
    int rc = jsontext_check_tree(text, n, "body", &err);
    rc = rc ? rc : jsontext_parse(body, jsontext_whole(text, n, "body"), NULL, &err);
    if (!rc && json_is_object(*body))
        return 0;
    if (rc)
        http_error(x, status_of(rc), NULL, "%s", err.message);
    else
        http_error(x, 400, NULL, "body: wanted a JSON object");
    if (!rc)
        json_decref(*body);
    return -1;
}

struct served *request_model(struct api *api, struct http_exchange *x, const json_t *body)
{
    const json_t *name = json_object_get(body, "model");
    struct served *s = NULL;
    if (name && !json_is_null(name) && !json_is_string(name)) {
        http_error(x, 400, "model", "model: wanted a string");
        return NULL;
    }
    s = served_find(api->models, api->n_model, json_string_value(name));
    if (!s)
        http_error(x, 404, "model", "model: there is none named \"%.200s\"; /v1/models lists those that there are",
                   json_string_value(name));
    return s;
}

int request_flag(const json_t *body, const char *name)
{
    const json_t *v = json_object_get(body, name);
    return json_is_true(v) || (json_is_number(v) && json_number_value(v) != 0);
}
