/* SPDX-License-Identifier: Apache-2.0 */
/* vocab.json with merges.txt, or vocab.txt, beside a tokenizer_config.json, from untrusted bytes. An input is four
 * parts with 0xff between: the config, vocab.json, merges.txt and vocab.txt, where an empty one is no file. */
#include "fuzz/fuzz.h"

#include "base/utf8.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/isara-fuzz-XXXXXX";

static void clear(void)
{
    static const char *const names[] = {"tokenizer_config.json", "vocab.json", "merges.txt", "vocab.txt"};
    char path[64];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
}

static void leave(void)
{
    clear();
    rmdir(dir);
}

static void write_part(const char *name, const uint8_t *data, size_t n)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = n ? fopen(path, "w") : NULL;
    if (f)
        fwrite(data, 1, n, f);
    if (f)
        fclose(f);
}

static void write_files(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"tokenizer_config.json", "vocab.json", "merges.txt", "vocab.txt"};
    clear();
    for (int i = 0; i < 4; i++) {
        const uint8_t *end = i < 3 ? memchr(data, 0xff, size) : NULL;
        size_t n = end ? (size_t)(end - data) : size;
        write_part(names[i], data, n);
        n = end ? n + 1 : n;
        data += n;
        size -= n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char hard[] = "ab It's e\xcc\x81 12 <s>\n \xe6\x97\xa5 <|endoftext|> [MASK] A\xc3\xa4";
    static int begun;
    struct tokenizer *tok;
    struct tokens ids = TOKENS_INIT;
    struct buf text = BUF_INIT;
    struct error err = {0};
    if (!begun && !mkdtemp(dir))
        abort();
    if (!begun)
        atexit(leave);
    begun = 1;
    write_files(data, size);
    if (tokenizer_open(&tok, dir, &err)) {
        if (err.code == 0 || !err.message[0] || tok)
            abort();
        return 0;
    }
    for (int flags = 0; flags < 4; flags++) {
        ids.n = 0;
        buf_reset(&text);
        if (tokenizer_encode(tok, hard, sizeof hard - 1, flags, &ids, &err) && !err.message[0])
            abort();
        if (tokenizer_decode(tok, ids.ids, ids.n, flags & 1, &text, &err) ||
            utf8_valid(text.data, text.len) != text.len)
            abort();
    }
    buf_reset(&text);
    if (tokenizer_export(tok, &text, NULL, NULL, &err) && !err.message[0])
        abort();
    tokens_free(&ids);
    buf_free(&text);
    tokenizer_close(tok);
    return 0;
}
