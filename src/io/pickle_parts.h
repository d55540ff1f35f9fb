/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the unpickler share; seen by io/pickle*.c only. */
#ifndef IO_PICKLE_PARTS_H
#define IO_PICKLE_PARTS_H

#include "base/arena.h"
#include "io/pickle.h"

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_FLOAT,
    PICKLE_TEXT,
    PICKLE_BYTES,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_GLOBAL,
    PICKLE_STORAGE,
    PICKLE_TENSOR,
    PICKLE_KIND_COUNT
};

/* A class or function of Python that may be named; what calling it makes is pickle_torch.c's. */
struct pickle_global {
    const char *module, *name;
    int role; /* enum role of pickle_torch.c */
    enum storage storage;
};
struct pickle_value;
struct pickle_pair {
    struct pickle_value *key, *value;
    struct pickle_pair *next;
};
struct pickle_storage_value {
    struct pickle_storage public;
    enum storage type;
    int untyped; /* plain bytes; the tensor says what they are */
};
struct pickle_value {
    enum pickle_kind kind;
    union {
        int64_t integer; /* and booleans */
        struct {
            const char *bytes; /* the pickle's own, no NUL at the end */
            size_t n;
        } text;
        struct {
            struct pickle_value **items;
            size_t n;
        } tuple;
        struct {
            struct pickle_pair *first, *last;
        } dict;
        const struct pickle_global *global;
        const struct pickle_storage_value *storage;
        const struct pickle_tensor *tensor;
    };
};

/* Makes values and says where in the pickle something went wrong. */
struct pickle_maker {
    struct arena arena;
    const char *name;   /* of the file */
    const char *opcode; /* that is run, by its name in Python's pickletools */
    size_t at;          /* its place */
    size_t n_value;
    struct error *err;
};

/* --- pickle_value.c */
const char *pickle_kind_name(const struct pickle_value *v); /* "a tuple", ... */
int pickle_wrong(struct pickle_maker *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
int pickle_nomem(struct pickle_maker *m, size_t bytes);
int pickle_new(struct pickle_maker *m, enum pickle_kind kind, struct pickle_value **out);
int pickle_put(struct pickle_maker *m, struct pickle_value *dict, struct pickle_value *key, struct pickle_value *value);
/* As a string of its own, for a name or a key: UTF-8 without NUL, at most 4096 bytes. */
int pickle_string(struct pickle_maker *m, const struct pickle_value *v, const char *what, const char **out);

/* --- pickle_torch.c */
int pickle_find_global(struct pickle_maker *m, const char *module, size_t n_module, const char *name, size_t n_name,
                       struct pickle_value **out);
/* What calling a global with a tuple of arguments makes. */
int pickle_call(struct pickle_maker *m, const struct pickle_value *callable, const struct pickle_value *arguments,
                struct pickle_value **out);
/* What a persistent identifier stands for: ('storage', class, key, place, number of elements). */
int pickle_find_storage(struct pickle_maker *m, const struct pickle_value *id, struct pickle_value **out);

/* --- pickle_machine.c: runs the pickle to its end; *root is what it leaves. */
int pickle_run(struct pickle_maker *m, const void *bytes, size_t size, struct pickle_value **root);

#endif
