/* SPDX-License-Identifier: Apache-2.0 */
/* A hub's answers from untrusted bytes: its list of files, and header lines. Whatever is wanted has a path that stays
 * where it is put. */
#include "fuzz/fuzz.h"

#include "io/fetch.h"
#include "io/hub_list.h"

#include <stdlib.h>
#include <string.h>

static void read_list(const char *bytes, size_t size)
{
    static const char *const pattern[] = {"*"};
    struct hub_list l;
    struct error err = {0};
    if (hub_list_parse(&l, bytes, size, "fuzz", &err) && (err.code == 0 || !err.message[0]))
        abort();
    if (!err.code) {
        hub_list_choose(&l, NULL, 0, "fuzz", &err);
        hub_list_choose(&l, pattern, 1, "fuzz", &err);
        for (size_t i = 0; i < l.n; i++)
            if (!hub_path_is_safe(l.files[i].path) || strstr(l.files[i].path, "/../") || l.files[i].path[0] == '/')
                abort();
    }
    hub_list_free(&l);
}

static void read_headers(const char *bytes, size_t size)
{
    struct fetch_answer a;
    fetch_answer_begin(&a);
    while (size) {
        const char *end = memchr(bytes, '\n', size);
        size_t n = end ? (size_t)(end - bytes) + 1 : size;
        fetch_header(&a, bytes, n, 1700000000);
        bytes += n;
        size -= n;
    }
    if (a.from < -1 || !(a.retry_after >= -1) || strlen(a.code) >= sizeof a.code ||
        strlen(a.message) >= sizeof a.message)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_list((const char *)data, size);
    read_headers((const char *)data, size);
    return 0;
}
