/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "base/mem.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>

struct sha256 {
    EVP_MD_CTX *context;
};

/* A library context of our own: OpenSSL's default one, when memory runs out while it is set up, is left half made and
 * crashes later. NULL: no memory, now. */
static const EVP_MD *algorithm(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static OSSL_LIB_CTX *library;
    static EVP_MD *found;
    pthread_mutex_lock(&lock);
    if (!library)
        library = OSSL_LIB_CTX_new();
    if (library && !found)
        found = EVP_MD_fetch(library, "SHA256", NULL);
    pthread_mutex_unlock(&lock);
    return found;
}

struct sha256 *sha256_new(void)
{
    struct sha256 *h = mem_alloc(sizeof *h);
    if (!h)
        return NULL;
    const EVP_MD *sha256 = algorithm();
    h->context = sha256 ? EVP_MD_CTX_new() : NULL;
    if (!h->context || EVP_DigestInit_ex(h->context, sha256, NULL) != 1) {
        EVP_MD_CTX_free(h->context);
        mem_free(h);
        return NULL;
    }
    return h;
}

void sha256_add(struct sha256 *h, const void *bytes, size_t n)
{
    EVP_DigestUpdate(h->context, bytes, n);
}

void sha256_finish(struct sha256 *h, char hex[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    EVP_DigestFinal_ex(h->context, digest, NULL);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    EVP_MD_CTX_free(h->context);
    mem_free(h);
}

void sha256_bytes(const void *bytes, size_t n, char hex[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    const EVP_MD *sha256 = algorithm();
    if (sha256)
        EVP_Digest(bytes, n, digest, NULL, sha256, NULL);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

int sha256_file(const char *path, char hex[65], struct error *err)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return error_set_errno(err, "%s", path);
    struct sha256 *h = sha256_new();
    char *chunk = h ? mem_alloc(1 << 20) : NULL;
    int rc = 0;
    if (!chunk) {
        rc = error_set_nomem(err, 1 << 20, "hashing");
        goto out;
    }
    for (size_t n; (n = fread(chunk, 1, 1 << 20, f)) > 0;)
        sha256_add(h, chunk, n);
    if (ferror(f))
        rc = error_set_errno(err, "%s: read", path);
out:
    if (h)
        sha256_finish(h, hex);
    mem_free(chunk);
    fclose(f);
    return rc;
}

uint64_t hash64(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}
