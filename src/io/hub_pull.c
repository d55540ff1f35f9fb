/* SPDX-License-Identifier: Apache-2.0 */
#include "io/hub_pull.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/hub.h"
#include "io/hub_blob.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

static const size_t MAX_LIST = (size_t)64 << 20;

struct pull {
    const struct hub_pull_options *o;
    struct hub_pulled *out;
    struct hub_client client;
    struct hub_list list;
    struct hub_name name;
    char *repo; /* "org/name" */
    char *cache;
    char *folder, *locks;
    struct error *err;
};

static char *print_path(const char *format, const char *a, const struct hub_name *n)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, format, a, n->n_org, n->org, n->n_name, n->name);
    return buf_take(&b);
}

static int set_up(struct pull *p)
{
    int rc = hub_name_parse(&p->name, p->o->name, p->err);
    if (rc)
        return rc;
    p->cache = hub_cache();
    if (!p->cache)
        return error_set(p->err, ERROR_CONFIG, "no Hugging Face cache: set HF_HOME, or HOME");
    p->repo = print_path("%s%.*s/%.*s", "", &p->name);
    p->folder = print_path("%s/models--%.*s--%.*s", p->cache, &p->name);
    p->locks = print_path("%s/.locks/models--%.*s--%.*s", p->cache, &p->name);
    return p->repo && p->folder && p->locks ? 0 : error_set_nomem(p->err, 256, "a path");
}

/* Offline: what is there is there. */
static int look_in_cache(struct pull *p)
{
    int rc = hub_resolve(&p->out->path, p->o->name, p->err);
    return rc ? error_set(p->err, ERROR_UNAVAILABLE,
                          "%s: HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set, so nothing is downloaded, and %s does "
                          "not have it",
                          p->o->name, p->cache)
              : 0;
}

static int read_list(struct pull *p)
{
    struct buf path = BUF_INIT, answer = BUF_INIT;
    char where[400];
    buf_printf(&path, "/api/models/%s/revision/", p->repo);
    hub_encode(&path, p->name.revision);
    buf_puts(&path, "?blobs=true");
    int rc = path.failed ? error_set_nomem(p->err, path.len, "an address")
                         : hub_client_read(&p->client, path.data, MAX_LIST, &answer, p->err);
    snprintf(where, sizeof where, "%.200s (list of files from %.150s)", p->repo, p->client.shown);
    if (!rc)
        rc = hub_list_parse(&p->list, answer.data ? answer.data : "", answer.len, where, p->err);
    if (!rc)
        rc = hub_list_choose(&p->list, p->o->include, p->o->n_include, p->repo, p->err);
    buf_free(&path);
    buf_free(&answer);
    return rc;
}

/* Counts what there is to do, and asks the disk for room. */
static int measure_work(struct pull *p, const struct hub_place *place, struct hub_progress *progress)
{
    struct statvfs disk;
    uint64_t missing = 0, room;
    for (size_t i = 0; i < p->list.n; i++) {
        const struct hub_file *f = &p->list.files[i];
        int whole;
        if (!f->wanted)
            continue;
        uint64_t size = f->size > 0 ? (uint64_t)f->size : 0, have = hub_blob_have(place, f, &whole);
        missing += have < size ? size - have : 0;
        if (__builtin_add_overflow(p->out->bytes, size, &p->out->bytes) || missing > INT64_MAX)
            return error_set(p->err, ERROR_DATA, "%s: the sizes in the hub's list make more than any disk", p->repo);
        p->out->n_file++;
    }
    progress->total = p->out->bytes;
    if (statvfs(p->folder, &disk))
        return error_set_errno(p->err, "%s", p->folder);
    room = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (missing > room)
        return error_set(p->err, ERROR_IO,
                         "%s: %.1f GB are still to come, and the disk of %s has room for %.1f; make room, or set "
                         "HF_HUB_CACHE to a folder on another disk",
                         p->repo, (double)missing * 1e-9, p->cache, (double)room * 1e-9);
    return 0;
}

static int fetch_files(struct pull *p, const struct hub_place *place)
{
    struct hub_progress progress = {.started = clock_now(), .shown = hub_shows_progress()};
    int rc = measure_work(p, place, &progress);
    for (size_t i = 0; !rc && i < p->list.n; i++) {
        const struct hub_file *f = &p->list.files[i];
        uint64_t fetched;
        if (!f->wanted)
            continue;
        progress.file = f->path;
        rc = hub_blob_get(&p->client, place, f, &progress, &fetched, p->err);
        progress.before += f->size > 0 ? (uint64_t)f->size : 0;
        p->out->fetched += fetched;
    }
    long mb = (long)(progress.total / 1000000) + 1;
    if (!rc && progress.shown && p->out->fetched >= 1000000)
        progress_show(
            &(struct progress){.stage = "pull", .unit = "MB", .done = mb, .total = mb, .started = progress.started});
    return rc;
}

/* The name of the revision; a commit needs none. */
static int write_ref(struct pull *p)
{
    struct buf path = BUF_INIT;
    if (!strcmp(p->name.revision, p->list.commit))
        return 0;
    buf_printf(&path, "%s/refs", p->folder);
    int rc = path.failed ? error_set_nomem(p->err, path.len, "a path") : dirs_make(path.data, p->err);
    buf_printf(&path, "/%s", p->name.revision);
    if (!rc)
        rc = path.failed ? error_set_nomem(p->err, path.len, "a path")
                         : file_write(path.data, p->list.commit, strlen(p->list.commit), p->err);
    buf_free(&path);
    return rc;
}

static int pull_all(struct pull *p)
{
    struct buf blobs = BUF_INIT, snapshot = BUF_INIT;
    int rc = hub_client_open(&p->client, p->repo, p->o->clock, p->err);
    if (!rc)
        rc = read_list(p);
    buf_printf(&blobs, "%s/blobs", p->folder);
    buf_printf(&snapshot, "%s/snapshots/%s", p->folder, p->list.commit);
    if (!rc && (blobs.failed || snapshot.failed))
        rc = error_set_nomem(p->err, snapshot.len, "a path");
    if (!rc && !(rc = dirs_make(blobs.data, p->err)) && !(rc = dirs_make(snapshot.data, p->err)))
        rc = dirs_make(p->locks, p->err);
    if (!rc)
        rc = fetch_files(p, &(struct hub_place){p->locks, p->folder, snapshot.data});
    if (!rc)
        rc = write_ref(p);
    memcpy(p->out->commit, p->list.commit, sizeof p->out->commit);
    buf_free(&blobs);
    if (rc)
        buf_free(&snapshot);
    else
        p->out->path = buf_take(&snapshot);
    hub_list_free(&p->list);
    hub_client_close(&p->client);
    return rc;
}

int hub_pull(struct hub_pulled *out, const struct hub_pull_options *o, struct error *err)
{
    struct pull p = {.o = o, .out = out, .err = err, .list = {.arena = ARENA_INIT}};
    *out = (struct hub_pulled){0};
    int rc = set_up(&p);
    if (!rc)
        rc = hub_is_offline() ? look_in_cache(&p) : pull_all(&p);
    mem_free(p.repo);
    mem_free(p.cache);
    mem_free(p.folder);
    mem_free(p.locks);
    return rc;
}
