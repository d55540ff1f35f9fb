/* SPDX-License-Identifier: Apache-2.0 */
/* Two buffers: raw bytes as they come from the file, and the window that the caller peeks into, which is the raw buffer
 * itself for plain input and inflate's output for gzip. Several gzip members one after the other are one stream, as
 * gzip itself has it. */
#include "io/input.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { CHUNK = 1 << 16 };

struct input {
    int fd; /* -1: bytes of the caller */
    char *name;
    unsigned char *raw; /* CHUNK bytes, or NULL when the caller owns them */
    const unsigned char *next_raw;
    size_t n_raw;
    unsigned char *unpacked; /* CHUNK bytes, gzip only */
    const unsigned char *window;
    size_t n_window;
    uint64_t offset;
    int at_end, gzip, in_member;
    z_stream z;
};

static void *zlib_alloc(void *opaque, unsigned count, unsigned size)
{
    (void)opaque;
    return mem_calloc(count, size);
}

static void zlib_free(void *opaque, void *p)
{
    (void)opaque;
    mem_free(p);
}

/* Reads until at least `want` raw bytes are at hand or the file ends. */
static int fill_window(struct input *in, size_t want, struct error *err)
{
    if (in->fd >= 0 && in->n_raw && in->next_raw != in->raw)
        memmove(in->raw, in->next_raw, in->n_raw);
    if (in->fd >= 0)
        in->next_raw = in->raw;
    while (in->n_raw < want && !in->at_end) {
        if (in->fd < 0) {
            in->at_end = 1;
            break;
        }
        ssize_t got = read(in->fd, in->raw + in->n_raw, CHUNK - in->n_raw);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(err, "%s: reading", in->name);
        if (got == 0)
            in->at_end = 1;
        in->n_raw += (size_t)got;
    }
    return 0;
}

/* mend: with '@' for the file. */
static int no_text(const struct input *in, const char *what, const char *mend, struct error *err)
{
    struct buf line = BUF_INIT;
    for (; *mend; mend++)
        if (*mend == '@')
            buf_puts(&line, in->name);
        else
            buf_putc(&line, *mend);
    int rc = error_set(err, ERROR_DATA, "%s: wanted text, found %s; %s", in->name, what, buf_text(&line));
    buf_free(&line);
    return rc;
}

static int check_magic(struct input *in, struct error *err)
{
    static const struct {
        const char *magic;
        int n;
        const char *what, *mend;
    } others[] = {
        {"\x28\xb5\x2f\xfd", 4, "zstd-compressed data", "unpack it with zstd -d"},
        {"PAR1", 4, "a Parquet file",
         "convert it: python3 -c \"import pandas; pandas.read_parquet('@').to_json('@.jsonl', orient='records', "
         "lines=True)\""},
        {"PK\x03\x04", 4, "a zip archive or an Excel workbook",
         "unpack the one, convert the other: python3 -c \"import pandas; pandas.read_excel('@').to_json('@.jsonl', "
         "orient='records', lines=True)\""},
        {"\xd0\xcf\x11\xe0", 4, "an old Excel workbook",
         "convert it: python3 -c \"import pandas; pandas.read_excel('@').to_json('@.jsonl', orient='records', "
         "lines=True)\""},
        {"ARROW1", 6, "an Arrow file",
         "convert it: python3 -c \"import pandas; pandas.read_feather('@').to_json('@.jsonl', orient='records', "
         "lines=True)\""},
        {"\xff\xfe", 2, "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8 '@' > '@.utf8'"},
        {"\xfe\xff", 2, "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8 '@' > '@.utf8'"},
        {"\xfd"
         "7zXZ",
         5, "xz-compressed data", "unpack it with xz -d"},
        {"BZh", 3, "bzip2-compressed data", "unpack it with bzip2 -d"},
        {"SQLite format 3", 15, "an SQLite database", "export the table as JSON lines"},
    };
    int rc = fill_window(in, 16, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (in->n_raw >= (size_t)others[i].n && !memcmp(in->next_raw, others[i].magic, (size_t)others[i].n))
            return no_text(in, others[i].what, others[i].mend, err);
    if (in->n_raw < 2 || in->next_raw[0] != 0x1f || in->next_raw[1] != 0x8b)
        return 0;
    in->gzip = 1;
    in->z.zalloc = zlib_alloc;
    in->z.zfree = zlib_free;
    in->unpacked = mem_alloc(CHUNK);
    if (!in->unpacked || inflateInit2(&in->z, 15 + 16) != Z_OK)
        return error_set_nomem(err, CHUNK, in->name);
    in->in_member = 1;
    return 0;
}

static int open_common(struct input *in, const char *name, struct error *err)
{
    in->name = mem_strdup(name);
    if (!in->name || (in->fd >= 0 && !(in->raw = mem_alloc(CHUNK))))
        return error_set_nomem(err, CHUNK, name);
    if (in->fd >= 0)
        in->next_raw = in->raw;
    return check_magic(in, err);
}

int input_open(struct input **out, const char *path, struct error *err)
{
    *out = NULL;
    int standard = !strcmp(path, "-");
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, "%s", path);
    struct stat st;
    int rc = 0;
    struct input *in = NULL;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        rc = error_set(err, ERROR_DATA, "%s: wanted a file, found a directory", path);
    else if (!(in = mem_calloc(1, sizeof *in)))
        rc = error_set_nomem(err, sizeof *in, path);
    if (rc) {
        if (!standard)
            close(fd);
        return rc;
    }
    in->fd = fd;
    if ((rc = open_common(in, standard ? "standard input" : path, err))) {
        input_close(in);
        return rc;
    }
    *out = in;
    return 0;
}

int input_open_bytes(struct input **out, const void *bytes, size_t n, const char *name, struct error *err)
{
    *out = NULL;
    struct input *in = mem_calloc(1, sizeof *in);
    if (!in)
        return error_set_nomem(err, sizeof *in, name);
    in->fd = -1;
    in->next_raw = bytes;
    in->n_raw = n;
    int rc = open_common(in, name, err);
    if (rc) {
        input_close(in);
        return rc;
    }
    *out = in;
    return 0;
}

void input_close(struct input *in)
{
    if (!in)
        return;
    if (in->gzip)
        inflateEnd(&in->z);
    if (in->fd > STDIN_FILENO)
        close(in->fd);
    mem_free(in->unpacked);
    mem_free(in->raw);
    mem_free(in->name);
    mem_free(in);
}

const char *input_name(const struct input *in)
{
    return in->name;
}

int input_is_packed(const struct input *in)
{
    return in->gzip;
}

/* Takes at least one unpacked byte, or finds the end. */
static int inflate_some(struct input *in, struct error *err)
{
    while (!in->n_window) {
        int rc = in->n_raw ? 0 : fill_window(in, 1, err);
        if (rc)
            return rc;
        if (!in->n_raw)
            return in->in_member
                       ? error_set(err, ERROR_DATA,
                                   "%s: the gzip data ends early, after %llu unpacked bytes; the file is cut off",
                                   in->name, (unsigned long long)in->offset)
                       : 0;
        if (!in->in_member) {
            if (in->next_raw[0] != 0x1f) /* padding after the last member, as gzip ignores it */
                return 0;
            inflateReset(&in->z);
            in->in_member = 1;
        }
        in->z.next_in = (unsigned char *)in->next_raw;
        in->z.avail_in = (unsigned)(in->n_raw < CHUNK ? in->n_raw : CHUNK);
        unsigned offered = in->z.avail_in;
        in->z.next_out = in->unpacked;
        in->z.avail_out = CHUNK;
        int z = inflate(&in->z, Z_NO_FLUSH);
        in->next_raw += offered - in->z.avail_in;
        in->n_raw -= offered - in->z.avail_in;
        in->window = in->unpacked;
        in->n_window = CHUNK - in->z.avail_out;
        if (z == Z_MEM_ERROR)
            return error_set_nomem(err, CHUNK, in->name);
        if (z == Z_STREAM_END)
            in->in_member = 0;
        else if (z != Z_OK && z != Z_BUF_ERROR)
            return error_set(err, ERROR_DATA, "%s: bad gzip data after %llu unpacked bytes: %s", in->name,
                             (unsigned long long)in->offset, in->z.msg ? in->z.msg : "unknown");
    }
    return 0;
}

int input_peek(struct input *in, const char **bytes, size_t *n, struct error *err)
{
    int rc = 0;
    if (in->gzip) {
        rc = inflate_some(in, err);
    } else if (!in->n_window) {
        rc = in->n_raw ? 0 : fill_window(in, 1, err);
        in->window = in->next_raw;
        in->n_window = in->n_raw;
        in->next_raw += in->n_raw;
        in->n_raw = 0;
    }
    if (rc)
        return rc;
    *bytes = (const char *)in->window;
    *n = in->n_window;
    return in->n_window > 0;
}

int input_peek_line(struct input *in, const char **bytes, size_t *n, struct error *err)
{
    int rc = 0;
    while (!rc && !in->gzip && in->fd >= 0 && !in->n_window && !in->at_end && in->n_raw < CHUNK &&
           !memchr(in->next_raw, '\n', in->n_raw))
        rc = fill_window(in, in->n_raw + 1, err);
    return rc ? rc : input_peek(in, bytes, n, err);
}

void input_skip(struct input *in, size_t n)
{
    in->window += n;
    in->n_window -= n;
    in->offset += n;
}

int input_place(const struct input *in, long line, int rc, struct error *err)
{
    size_t n = strlen(in->name);
    if (!err || strncmp(err->message, in->name, n) || err->message[n] != ':')
        return rc;
    const struct error own = *err;
    return error_set(err, rc, "%s:%ld%s", in->name, line, own.message + n);
}
