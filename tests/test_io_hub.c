/* SPDX-License-Identifier: Apache-2.0 */
/* What a hub answers, read without a connection: lists of files, which of them are wanted, names that are refused,
 * headers. tests/test_cli_pull.sh has the connection. */
#include "tests/check.h"

#include "io/authorities.h"
#include "io/fetch.h"
#include "io/hub.h"
#include "io/hub_client.h"
#include "io/hub_list.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int parse(struct hub_list *l, const char *files, struct error *err)
{
    struct buf json = BUF_INIT;
    buf_printf(&json, "{\"sha\": \"" COMMIT "\", \"siblings\": [%s]}", files);
    int rc = hub_list_parse(l, json.data, json.len, "hub", err);
    buf_free(&json);
    return rc;
}

static void a_list_says_sizes_and_hashes(void **state)
{
    (void)state;
    struct hub_list l;
    struct error err = {0};
    assert_int_equal(parse(&l,
                           "{\"rfilename\": \"config.json\", \"size\": 7, \"blobId\": \"" COMMIT "\"},"
                           "{\"rfilename\": \"model.safetensors\", \"size\": 1, \"blobId\": \"" COMMIT
                           "\", \"lfs\": {\"sha256\": \"" SHA "\", \"size\": 99}},"
                           "{\"rfilename\": \"a/b\", \"blobId\": \"not\"}",
                           &err),
                     0);
    assert_string_equal(l.commit, COMMIT);
    assert_int_equal(l.n, 3);
    assert_true(l.files[0].size == 7 && !l.files[0].sha256 && !strcmp(l.files[0].sha1, COMMIT));
    assert_true(l.files[1].size == 99 && !l.files[1].sha1 &&
                !strcmp(l.files[1].sha256, SHA)); /* blobId is the pointer's */
    assert_true(l.files[2].size == -1 && !l.files[2].sha1 && !l.files[2].sha256);
    hub_list_free(&l);
}

static void names_that_lead_out_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"../x", "a/../x", "/x",        "a//b", "",    ".",      "..",
                                      "a/.",  "a\\\\b", "a\\u0001b", "a/",   "...", "\\ud800"};
    static const char *const good[] = {"x",     "a/b/c.json",        "..x", "x..", ".gitattributes",
                                       "a b%c", "gr\xc3\xbc\xc3\x9f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct hub_list l;
        struct error err = {0};
        char file[200];
        snprintf(file, sizeof file, "{\"rfilename\": \"ok\"}, {\"rfilename\": \"%s\", \"size\": 1}", bad[i]);
        if (parse(&l, file, &err) != ERROR_DATA || !err.message[0])
            fail_msg("\"%s\" was taken", bad[i]);
        hub_list_free(&l);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(hub_path_is_safe(good[i]));
}

/* The names of what is wanted, each behind a blank. */
static int chosen(const char *files, const char *const *patterns, int n, char out[400], struct error *err)
{
    struct hub_list l;
    struct buf json = BUF_INIT;
    char copy[1000];
    snprintf(copy, sizeof copy, "%s", files);
    for (char *name = strtok(copy, " "); name; name = strtok(NULL, " "))
        buf_printf(&json, "%s{\"rfilename\": \"%s\"}", json.len ? "," : "", name);
    assert_int_equal(parse(&l, json.data, err), 0);
    int rc = hub_list_choose(&l, patterns, n, "org/name", err);
    *out = 0;
    for (size_t i = 0; i < l.n; i++)
        if (l.files[i].wanted)
            snprintf(out + strlen(out), 400 - strlen(out), " %s", l.files[i].path);
    hub_list_free(&l);
    buf_free(&json);
    return rc;
}

static void one_form_of_the_weights_is_wanted(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"config.json README.md model.safetensors pytorch_model.bin tf_model.h5 onnx/model.onnx",
         " config.json README.md model.safetensors"},
        {"model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json "
         "consolidated.safetensors model.fp16.safetensors",
         " model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json"},
        {"pytorch_model-00001-of-00001.bin pytorch_model.bin.index.json training_args.bin vocab.json merges.txt",
         " pytorch_model-00001-of-00001.bin pytorch_model.bin.index.json vocab.json merges.txt"},
        {"adapter_config.json adapter_model.bin optimizer.pt", " adapter_config.json adapter_model.bin"},
        {"modules.json 1_Pooling/config.json other/config.json model.safetensors tokenizer.model chat_template.jinja "
         "additional_chat_templates/rag.jinja",
         " modules.json 1_Pooling/config.json model.safetensors tokenizer.model chat_template.jinja "
         "additional_chat_templates/rag.jinja"},
    };
    char out[400];
    struct error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(chosen(cases[i][0], NULL, 0, out, &err), 0);
        assert_string_equal(out, cases[i][1]);
    }
    assert_int_equal(chosen("a.Q4_0.gguf b.gguf config.json", NULL, 0, out, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "name it with --include: a.Q4_0.gguf b.gguf"));
    assert_int_equal(chosen("config.json tf_model.h5", NULL, 0, out, &err), ERROR_DATA);
    static const char *const patterns[] = {"*Q4*", "sub/"};
    assert_int_equal(chosen("a.Q4_0.gguf x/b.Q4_1.gguf sub/c subx/d", patterns, 2, out, &err), 0);
    assert_string_equal(out, " a.Q4_0.gguf x/b.Q4_1.gguf sub/c");
    assert_int_equal(chosen("config.json", patterns, 2, out, &err), ERROR_USAGE);
}

static void take(struct fetch_answer *a, const char *line)
{
    fetch_header(a, line, strlen(line), 784111777);
}

static void headers_are_read(void **state)
{
    (void)state;
    struct fetch_answer a;
    fetch_answer_begin(&a);
    assert_true(a.from == -1 && a.retry_after < 0 && !a.code[0]);
    take(&a, "content-range: bytes 500-999/1000\r\n");
    assert_int_equal(a.from, 500);
    take(&a, "Content-Range: bytes */1000\r\n");
    assert_int_equal(a.from, -1);
    take(&a, "Content-Range: lines 5-9/10\r\n");
    assert_int_equal(a.from, -1);
    take(&a, "Content-Range: bytes 99999999999999999999-/x\r\n");
    assert_int_equal(a.from, -1);
    take(&a, "Retry-After: 7\r\n");
    assert_true(a.retry_after == 7);
    take(&a, "Retry-After: Sun, 06 Nov 1994 08:49:47 GMT\r\n");
    assert_true(a.retry_after == 10);
    take(&a, "X-Error-Code:GatedRepo \r\n");
    assert_string_equal(a.code, "GatedRepo");
    take(&a, "X-Error-Message: a\x1b[31mb\r\n");
    assert_string_equal(a.message, "a?[31mb");
    take(&a, "HTTP/1.1 200 OK\r\n"); /* another answer */
    assert_true(a.from == -1 && a.retry_after < 0 && !a.code[0] && !a.message[0]);
}

static void names_and_addresses(void **state)
{
    (void)state;
    struct hub_name n;
    struct buf url = BUF_INIT;
    assert_int_equal(hub_name_parse(&n, "org/name@v1.0", NULL), 0);
    assert_true(n.n_org == 3 && n.n_name == 4 && !strncmp(n.name, "name", 4) && !strcmp(n.revision, "v1.0"));
    assert_int_equal(hub_name_parse(&n, "o/n", NULL), 0);
    assert_string_equal(n.revision, "main");
    static const char *const bad[] = {"name",    "a/b/c",  "../b",  "a/..", "a/b@",
                                      "a/b@x/y", "a/b@..", "a b/c", "",     "a/b\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hub_name_parse(&n, bad[i], NULL), ERROR_USAGE);
    hub_encode(&url, "a b/c%d?e#\xc3\xbc");
    assert_string_equal(url.data, "a%20b/c%25d%3Fe%23%C3%BC");
    buf_free(&url);
}

static void authorities_are_those_named_or_those_there(void **state)
{
    (void)state;
    unsetenv("REQUESTS_CA_BUNDLE");
    unsetenv("CURL_CA_BUNDLE");
    setenv("SSL_CERT_FILE", "/named", 1);
    assert_string_equal(authorities_file("/dev/null"), "/named");
    setenv("REQUESTS_CA_BUNDLE", "/first", 1);
    assert_string_equal(authorities_file(NULL), "/first");
    unsetenv("REQUESTS_CA_BUNDLE");
    setenv("SSL_CERT_FILE", "", 1);
    assert_null(authorities_file("/dev/null"));
    const char *found = authorities_file("/nowhere/at/all");
    assert_true(!found || !access(found, R_OK));
    unsetenv("SSL_CERT_FILE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_says_sizes_and_hashes),
        cmocka_unit_test(names_that_lead_out_are_refused),
        cmocka_unit_test(one_form_of_the_weights_is_wanted),
        cmocka_unit_test(headers_are_read),
        cmocka_unit_test(names_and_addresses),
        cmocka_unit_test(authorities_are_those_named_or_those_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
