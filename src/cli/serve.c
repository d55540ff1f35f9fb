/* SPDX-License-Identifier: Apache-2.0 */
/* isara serve: opens the model, listens until a signal comes, and lets what is in flight finish. */
#include "cli/parts.h"

#include "base/log.h"
#include "serve/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DRAIN_SECONDS = 30 };

static int decoding(void *options, struct generate_options *o, struct error *err)
{
    return options_apply(options, SCOPE_PLAIN, GROUP_DECODE, o, err);
}

static int is_loopback(const char *host)
{
    return !strncmp(host, "127.", 4) || !strcmp(host, "localhost") || !strcmp(host, "::1");
}

void cli_show_address(const struct http_options *h, int port, const char *path)
{
    int bracket = strchr(h->host, ':') != NULL;
    printf("http://%s%s%s:%d%s\n", bracket ? "[" : "", h->host, bracket ? "]" : "", port, path);
    fflush(stdout);
    if (!is_loopback(h->host) && !h->api_key)
        log_line(LOG_WARNING, "--host %s: everybody who reaches this machine may call; --api-key would ask for a key",
                 h->host);
}

struct http_options cli_http_options(const struct cli_values *v)
{
    struct http_options h = v->http;
    const char *key = getenv("ISARA_API_KEY");
    if (!h.api_key && key && *key)
        h.api_key = key;
    return h;
}

static int run(struct serve *s, const struct http_options *h)
{
    for (int i = 0; i < serve_n_model(s); i++)
        log_line(LOG_INFO, "model: %s", serve_model(s, i));
    cli_show_address(h, serve_port(s), "/v1");
    int signal_number;
    while (!(signal_number = http_wait_signal(0.1)))
        serve_tend(s);
    log_line(LOG_INFO, "ends when what is in flight has finished, at most %d s; a second signal ends it now",
             DRAIN_SECONDS);
    serve_close(s, DRAIN_SECONDS);
    return 0;
}

int verb_serve(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    struct cli_model parts = {0};
    struct serve *s = NULL;
    struct served_options o = v->serve;
    const struct http_options h = cli_http_options(v);
    o.model = v->model;
    o.engine = v->engine;
    o.decoding = decoding;
    o.user = options;
    http_block_signals();
    int rc = cli_dtype(v, DTYPE_BF16, &o.dtype, err);
    rc = rc ? rc : cli_open_device(&parts, v, err);
    rc = rc ? rc : serve_open(&s, &o, &h, parts.device, err);
    rc = rc ? rc : run(s, &h);
    cli_close(&parts);
    return rc;
}
