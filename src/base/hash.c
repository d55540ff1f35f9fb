/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "base/mem.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

struct sha256 { /* or SHA-1 */
    EVP_MD_CTX *context;
};
enum algorithm { SHA256, SHA1, N_ALGORITHM };

/* A library context of our own: OpenSSL's default one, when memory runs out while it is set up, is left half made and
 * crashes later. NULL: no memory, now. */
static const EVP_MD *algorithm(enum algorithm which)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static OSSL_LIB_CTX *library;
    static EVP_MD *found[N_ALGORITHM];
    static const char *const names[N_ALGORITHM] = {"SHA256", "SHA1"};
    pthread_mutex_lock(&lock);
    if (!library)
        library = OSSL_LIB_CTX_new();
    if (library && !found[which])
        found[which] = EVP_MD_fetch(library, names[which], NULL);
    pthread_mutex_unlock(&lock);
    return found[which];
}

static struct sha256 *hash_new(enum algorithm which)
{
    struct sha256 *h = mem_alloc(sizeof *h);
    if (!h)
        return NULL;
    const EVP_MD *found = algorithm(which);
    h->context = found ? EVP_MD_CTX_new() : NULL;
    if (!h->context || EVP_DigestInit_ex(h->context, found, NULL) != 1) {
        EVP_MD_CTX_free(h->context);
        mem_free(h);
        return NULL;
    }
    return h;
}

struct sha256 *sha256_new(void)
{
    return hash_new(SHA256);
}

void sha256_add(struct sha256 *h, const void *bytes, size_t n)
{
    EVP_DigestUpdate(h->context, bytes, n);
}

static void finish_digest(struct sha256 *h, int n, char *hex)
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    EVP_DigestFinal_ex(h->context, digest, NULL);
    for (int i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    EVP_MD_CTX_free(h->context);
    mem_free(h);
}

void sha256_finish(struct sha256 *h, char hex[65])
{
    finish_digest(h, 32, hex);
}

void sha256_bytes(const void *bytes, size_t n, char hex[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    const EVP_MD *sha256 = algorithm(SHA256);
    if (sha256)
        EVP_Digest(bytes, n, digest, NULL, sha256, NULL);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static int hash_file(const char *path, enum algorithm which, char *hex, struct error *err)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return error_set_errno(err, "%s", path);
    struct stat st;
    char head[40];
    struct sha256 *h = hash_new(which);
    char *chunk = h ? mem_alloc(1 << 20) : NULL;
    int rc = 0;
    if (!chunk) {
        rc = error_set_nomem(err, 1 << 20, "hashing");
        goto out;
    }
    if (which == SHA1 && !fstat(fileno(f), &st)) /* git's way, with the end of the text */
        sha256_add(h, head, (size_t)snprintf(head, sizeof head, "blob %lld", (long long)st.st_size) + 1);
    for (size_t n; (n = fread(chunk, 1, 1 << 20, f)) > 0;)
        sha256_add(h, chunk, n);
    if (ferror(f))
        rc = error_set_errno(err, "%s: read", path);
out:
    if (h)
        finish_digest(h, which == SHA1 ? 20 : 32, hex);
    mem_free(chunk);
    fclose(f);
    return rc;
}

int sha256_file(const char *path, char hex[65], struct error *err)
{
    return hash_file(path, SHA256, hex, err);
}

int git_sha1_file(const char *path, char hex[41], struct error *err)
{
    return hash_file(path, SHA1, hex, err);
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
