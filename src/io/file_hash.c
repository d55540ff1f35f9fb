/* SPDX-License-Identifier: Apache-2.0 */
/* A mapped file's SHA-256, remembered for as long as the file is the same: each round of a method names its model by
 * the hash of the files below it, of which a base of gigabytes is one. */
#include "io/file.h"

#include "base/hash.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

/* A file written to this shortly before may be written to again within the clock's grain. */
enum { N_REMEMBERED = 32, SETTLED_SECONDS = 2 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    struct file_identity of;
    char hex[65];
} remembered[N_REMEMBERED];
static int next; /* place that is taken by the next one */

static int recall(const struct file_identity *id, char hex[65])
{
    int found = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < N_REMEMBERED && !found; i++)
        if (remembered[i].hex[0] && !memcmp(&remembered[i].of, id, sizeof *id)) {
            memcpy(hex, remembered[i].hex, sizeof remembered[i].hex);
            found = 1;
        }
    pthread_mutex_unlock(&lock);
    return found;
}

static void remember(const struct file_identity *id, const char hex[65])
{
    pthread_mutex_lock(&lock);
    remembered[next].of = *id;
    memcpy(remembered[next].hex, hex, sizeof remembered[next].hex);
    next = (next + 1) % N_REMEMBERED;
    pthread_mutex_unlock(&lock);
}

static int is_settled(const struct file_map *m, const char *path)
{
    struct file_identity now;
    return m->data && !file_identity_of(&now, path) && !memcmp(&now, &m->id, sizeof now) &&
           now.written / 1000000000 + SETTLED_SECONDS < (int64_t)time(NULL);
}

/* What has been hashed is given back: a model may be larger than what memory has left. */
static void hash_all(struct sha256 *h, const struct file_map *m)
{
    enum { STEP = 16 << 20 };
    for (size_t at = 0; at < m->size; at += STEP) {
        size_t n = m->size - at < STEP ? m->size - at : STEP;
        sha256_add(h, m->data + at, n);
        file_map_give_back(m, m->data + at, n);
    }
}

int file_map_sha256(const struct file_map *m, const char *path, char hex[65], struct error *err)
{
    if (is_settled(m, path) && recall(&m->id, hex))
        return 0;
    struct sha256 *h = sha256_new();
    if (!h)
        return error_set_nomem(err, 64, "SHA-256");
    hash_all(h, m);
    sha256_finish(h, hex);
    if (is_settled(m, path) && !file_map_is_cut(m))
        remember(&m->id, hex);
    return 0;
}
