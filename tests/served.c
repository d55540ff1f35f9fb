/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "tests/served.h"

#include "io/file.h"
#include "io/jsontext.h"
#include "tests/http_client.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct served_test served;
static struct device *device;
static struct serve *server;
static pthread_t tender;
static _Atomic int over;

static void *tend(void *user)
{
    (void)user;
    while (!over) {
        serve_tend(server);
        usleep(5000);
    }
    return NULL;
}

void served_start(const struct served_options *o)
{
    struct error err = {0};
    struct http_options h;
    http_options_default(&h);
    h.port = 0;
    if (serve_open(&server, o, &h, device, &err))
        fail_msg("%s", err.message);
    served.port = serve_port(server);
    over = 0;
    assert_int_equal(pthread_create(&tender, NULL, tend, NULL), 0);
}

void served_stop(void)
{
    over = 1;
    pthread_join(tender, NULL);
    serve_close(server, 10);
    server = NULL;
}

void served_command(const char *format, ...)
{
    char rest[2000], line[2600];
    va_list args;
    va_start(args, format);
    vsnprintf(rest, sizeof rest, format, args);
    va_end(args);
    snprintf(line, sizeof line, "%s %s --log-level warning", getenv("ISARA") ? getenv("ISARA") : "build/isara", rest);
    if (system(line))
        fail_msg("%s", line);
}

/* The miniature with a chat template, an adapter for it, and both served. */
int served_set_up(void **state)
{
    struct error err = {0};
    struct served_options o;
    static char cwd[256];
    (void)state;
    assert_non_null(getcwd(cwd, sizeof cwd));
    snprintf(served.dir, sizeof served.dir, "%s", check_tmpdir("serve_model"));
    snprintf(served.model, sizeof served.model, "%s/chatty", served.dir);
    snprintf(served.adapter, sizeof served.adapter, "%s/other", served.dir);
    assert_int_equal(mkdir(served.model, 0777), 0);
    static const char *const files[] = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"};
    for (size_t i = 0; i < 4; i++) {
        char from[600], to[700];
        snprintf(from, sizeof from, "%s/models/miniature/%s", cwd, files[i]);
        snprintf(to, sizeof to, "%s/%s", served.model, files[i]);
        assert_int_equal(symlink(from, to), 0);
    }
    char path[700];
    static const char config[] = "{\"eos_token\": \"<|endoftext|>\", \"chat_template\": \"{% for m in messages %}{{ "
                                 "m.role }}: {{ m.content }}\\n"
                                 "{% endfor %}{% if add_generation_prompt %}Answer:{% endif %}\"}";
    snprintf(path, sizeof path, "%s/tokenizer_config.json", served.model);
    assert_int_equal(file_write(path, config, strlen(config), &err), 0);
    served_command(
        "train --model %s --data models/seeds.jsonl --output %s --lora-r 2 --lora-alpha 64 --learning-rate 0.05 "
        "--max-steps 1 --per-device-train-batch-size 4 --warmup-ratio 0 >/dev/null",
        served.model, served.adapter);
    assert_int_equal(device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = 2}, &err), 0);
    serve_options_default(&o);
    o.model = served.model;
    o.dtype = DTYPE_BF16;
    o.max_sequences = 12;
    fields_default(&generate_engine_fields, FIELD_PLAIN, &o.engine);
    snprintf(o.adapter[o.n_adapter++], SERVED_PATH_BYTES, "%s", served.adapter);
    served_start(&o);
    return 0;
}

int served_tear_down(void **state)
{
    (void)state;
    served_stop();
    device_close(device);
    return 0;
}

json_t *served_parse(const struct buf *text)
{
    struct error err = {0};
    json_t *out;
    if (jsontext_parse(&out, jsontext_whole(buf_text(text), text->len, "answer"), NULL, &err))
        fail_msg("%s in %.500s", err.message, buf_text(text));
    return out;
}

/* The answer to a body, with this status. */
json_t *served_ask(const char *path, const char *body, int status)
{
    struct client_answer a;
    char line[100];
    snprintf(line, sizeof line, "%s %s", body ? "POST" : "GET", path);
    if (client_call(served.port, line, "", body, &a) != status)
        fail_msg("%s %.300s: wanted %d, found %d: %.500s", line, body ? body : "", status, a.status, buf_text(&a.body));
    json_t *out = served_parse(&a.body);
    client_free(&a);
    return out;
}

json_t *served_choice(const json_t *answer, size_t i)
{
    return json_array_get(json_object_get(answer, "choices"), i);
}

/* "text", or the text of a message or a delta; "" when there is none. */
const char *served_text(const json_t *c)
{
    const json_t *t = json_object_get(c, "text"), *m = json_object_get(c, "message");
    m = m ? m : json_object_get(c, "delta");
    t = t ? t : json_object_get(m, "content");
    return t ? json_string_value(t) : "";
}

double served_metric(const char *name)
{
    struct client_answer a;
    char line[200];
    assert_int_equal(client_call(served.port, "GET /metrics", "", NULL, &a), 200);
    snprintf(line, sizeof line, "\nisara_%s ", name);
    const char *at = strstr(buf_text(&a.body), line);
    assert_non_null(at);
    double value = strtod(at + strlen(line), NULL);
    client_free(&a);
    return value;
}

void served_wait(void)
{
    for (int i = 0; i < 1000 && (served_metric("texts_pending") > 0 || served_metric("kv_pages_reserved") > 0); i++)
        usleep(10000);
    assert_true(served_metric("texts_pending") == 0);
    assert_true(served_metric("kv_pages_reserved") == 0);
}
