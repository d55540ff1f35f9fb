/* SPDX-License-Identifier: Apache-2.0 */
/* isara view RUN: a page on a run, until a signal comes. */
#include "cli/parts.h"

#include "serve/view.h"

#include <string.h>

int verb_view(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    struct view *view = NULL;
    const struct http_options h = v->http;
    if (options->n_rest != 1)
        return error_set(err, ERROR_USAGE, "wanted one run directory: isara view RUN [--port N]");
    http_block_signals();
    int rc = view_open(&view, options->rest[0], &h, err);
    if (rc)
        return rc;
    cli_show_address(&h, view_port(view), "/");
    while (!http_wait_signal(0.1))
        view_tend(view);
    view_close(view);
    return 0;
}
