/* SPDX-License-Identifier: Apache-2.0 */
/* The machine: a stack, a memo and marks, as Python's pickle documents them in Lib/pickletools.py. What an opcode pops
 * must lie above the last mark. A value never holds another one that is made later, but for dictionaries, which are
 * only ever looked at one level deep: nothing here can go round in circles. */
#include "io/pickle_parts.h"

#include "base/mem.h"

#include <string.h>

struct machine {
    struct pickle_maker *maker;
    const unsigned char *bytes;
    size_t size, next; /* next: the byte after what was read */
    struct pickle_value **stack;
    size_t n_stack, cap_stack;
    size_t *marks; /* heights of the stack */
    size_t n_mark, cap_mark;
    struct pickle_value **memo;
    size_t n_memo, used_memo; /* used_memo: after the last entry */
    int stopped;
};

#define wrong(m, ...) pickle_wrong((m)->maker, __VA_ARGS__)

static const unsigned char *take_bytes(struct machine *m, uint64_t n)
{
    if (n > m->size - m->next) {
        wrong(m, "is cut off: wanted %llu bytes more, found %zu", (unsigned long long)n, m->size - m->next);
        return NULL;
    }
    const unsigned char *p = m->bytes + m->next;
    m->next += (size_t)n;
    return p;
}

/* A little-endian number of so many bytes. */
static int take_number(struct machine *m, int n, uint64_t *out)
{
    const unsigned char *p = take_bytes(m, (uint64_t)n);
    *out = 0;
    for (int i = n; p && i-- > 0;)
        *out = *out << 8 | p[i];
    return p ? 0 : ERROR_DATA;
}

static int push_value(struct machine *m, struct pickle_value *v)
{
    if (m->n_stack == m->cap_stack) {
        size_t cap = m->cap_stack * 2 + 64;
        struct pickle_value **more = mem_resize(m->stack, cap * sizeof(struct pickle_value *));
        if (!more)
            return pickle_nomem(m->maker, cap * sizeof(struct pickle_value *));
        m->stack = more;
        m->cap_stack = cap;
    }
    m->stack[m->n_stack++] = v;
    return 0;
}

static size_t floor_of(const struct machine *m)
{
    return m->n_mark ? m->marks[m->n_mark - 1] : 0;
}

/* Whether n values lie above the last mark. */
static int need_values(struct machine *m, size_t n)
{
    return m->n_stack - floor_of(m) >= n
               ? 0
               : wrong(m, "wanted %zu values on the stack, found %zu", n, m->n_stack - floor_of(m));
}

/* Takes the last mark away; the values above it are *first .. n_stack. */
static int pop_mark(struct machine *m, size_t *first)
{
    if (!m->n_mark)
        return wrong(m, "wanted a mark on the stack, found none");
    *first = m->marks[--m->n_mark];
    return 0;
}

static int push_new(struct machine *m, enum pickle_kind kind, struct pickle_value **out)
{
    int rc = pickle_new(m->maker, kind, out);
    return rc ? rc : push_value(m, *out);
}

static int op_proto(struct machine *m, int n)
{
    uint64_t version;
    int rc = take_number(m, n, &version);
    if (!rc && version > 5)
        rc = wrong(m, "protocol %d, wanted 2 to 5", (int)version);
    return rc;
}

/* What a frame claims need not be true: it is there for reading ahead. */
static int op_frame(struct machine *m, int n)
{
    uint64_t length;
    return take_number(m, n, &length);
}

static int op_stop(struct machine *m, int n)
{
    (void)n;
    m->stopped = 1;
    if (m->n_mark || m->n_stack != 1)
        return wrong(m, "ends with %zu values on the stack and %zu marks, wanted one value", m->n_stack, m->n_mark);
    return m->next == m->size ? 0 : wrong(m, "%zu bytes follow its end", m->size - m->next);
}

static int op_mark(struct machine *m, int n)
{
    (void)n;
    if (m->n_mark == m->cap_mark) {
        size_t cap = m->cap_mark * 2 + 64;
        size_t *more = mem_resize(m->marks, cap * sizeof *more);
        if (!more)
            return pickle_nomem(m->maker, cap * sizeof *more);
        m->marks = more;
        m->cap_mark = cap;
    }
    m->marks[m->n_mark++] = m->n_stack;
    return 0;
}

static int op_pop(struct machine *m, int n)
{
    (void)n;
    if (m->n_stack == floor_of(m) && m->n_mark) {
        m->n_mark--;
        return 0;
    }
    int rc = need_values(m, 1);
    if (!rc)
        m->n_stack--;
    return rc;
}

static int op_pop_mark(struct machine *m, int n)
{
    (void)n;
    return pop_mark(m, &m->n_stack);
}

static int op_dup(struct machine *m, int n)
{
    (void)n;
    int rc = need_values(m, 1);
    return rc ? rc : push_value(m, m->stack[m->n_stack - 1]);
}

static int op_empty(struct machine *m, int kind)
{
    struct pickle_value *v;
    return push_new(m, (enum pickle_kind)kind, &v);
}

static int op_bool(struct machine *m, int value)
{
    struct pickle_value *v;
    int rc = push_new(m, PICKLE_BOOL, &v);
    if (!rc)
        v->integer = value;
    return rc;
}

/* n: its bytes; of four or more it is signed. */
static int push_integer(struct machine *m, int n, uint64_t bits)
{
    struct pickle_value *v;
    int rc = push_new(m, PICKLE_INT, &v), shift = 64 - 8 * n;
    if (!rc)
        v->integer = n < 4 ? (int64_t)bits : (int64_t)(bits << shift) >> shift;
    return rc;
}

static int op_int(struct machine *m, int n)
{
    uint64_t bits;
    int rc = take_number(m, n, &bits);
    return rc ? rc : push_integer(m, n, bits);
}

static int op_long(struct machine *m, int n)
{
    uint64_t length, bits = 0;
    int rc = take_number(m, n, &length);
    if (rc)
        return rc;
    if (length > 8)
        return wrong(m, "an integer of %d bytes, more than 64 bits", (int)length);
    if ((rc = take_number(m, (int)length, &bits)))
        return rc;
    int spare = length ? 64 - 8 * (int)length : 0;
    return push_integer(m, 8, (uint64_t)((int64_t)(bits << spare) >> spare));
}

static int op_float(struct machine *m, int n)
{
    struct pickle_value *v;
    return take_bytes(m, (uint64_t)n) ? push_new(m, PICKLE_FLOAT, &v) : ERROR_DATA;
}

/* A string or bytes after a length of n bytes. */
static int push_text(struct machine *m, int n, enum pickle_kind kind)
{
    uint64_t length;
    struct pickle_value *v;
    int rc = take_number(m, n, &length);
    if (rc)
        return rc;
    const unsigned char *bytes = take_bytes(m, length);
    if (!bytes)
        return ERROR_DATA;
    if (!(rc = push_new(m, kind, &v))) {
        v->text.bytes = (const char *)bytes;
        v->text.n = (size_t)length;
    }
    return rc;
}

static int op_text(struct machine *m, int n)
{
    return push_text(m, n, PICKLE_TEXT);
}

static int op_bytes(struct machine *m, int n)
{
    return push_text(m, n, PICKLE_BYTES);
}

/* What is above `first` becomes a tuple. */
static int tuple_of(struct machine *m, size_t first)
{
    struct pickle_value *v;
    size_t n = m->n_stack - first;
    struct pickle_value **items = arena_alloc(&m->maker->arena, (n + 1) * sizeof(struct pickle_value *));
    if (!items)
        return pickle_nomem(m->maker, n * sizeof(struct pickle_value *));
    if (n)
        memcpy(items, m->stack + first, n * sizeof(struct pickle_value *));
    m->n_stack = first;
    int rc = push_new(m, PICKLE_TUPLE, &v);
    if (!rc) {
        v->tuple.items = items;
        v->tuple.n = n;
    }
    return rc;
}

static int op_tuple(struct machine *m, int n)
{
    (void)n;
    size_t first = 0;
    int rc = pop_mark(m, &first);
    return rc ? rc : tuple_of(m, first);
}

static int op_tuple_n(struct machine *m, int n)
{
    int rc = need_values(m, (size_t)n);
    return rc ? rc : tuple_of(m, m->n_stack - (size_t)n);
}

/* The values from `first` on go into the list below them, which keeps none: no list of a state dict matters. */
static int append_from(struct machine *m, size_t first)
{
    m->n_stack = first;
    int rc = need_values(m, 1);
    if (rc)
        return rc;
    const struct pickle_value *list = m->stack[first - 1];
    return list->kind == PICKLE_LIST ? 0 : wrong(m, "wanted a list to append to, found %s", pickle_kind_name(list));
}

static int op_append(struct machine *m, int n)
{
    (void)n;
    int rc = need_values(m, 2);
    return rc ? rc : append_from(m, m->n_stack - 1);
}

static int op_appends(struct machine *m, int n)
{
    (void)n;
    size_t first = 0;
    int rc = pop_mark(m, &first);
    return rc ? rc : append_from(m, first);
}

/* Pairs from `first` on go into the dictionary below them. */
static int set_from(struct machine *m, size_t first)
{
    size_t end = m->n_stack;
    m->n_stack = first;
    int rc = need_values(m, 1);
    if (rc)
        return rc;
    struct pickle_value *dict = m->stack[first - 1];
    if (dict->kind != PICKLE_DICT)
        return wrong(m, "wanted a dict to put items into, found %s", pickle_kind_name(dict));
    if ((end - first) % 2)
        return wrong(m, "a key without a value");
    for (size_t i = first; !rc && i < end; i += 2)
        rc = pickle_put(m->maker, dict, m->stack[i], m->stack[i + 1]);
    return rc;
}

static int op_setitem(struct machine *m, int n)
{
    (void)n;
    int rc = need_values(m, 3);
    return rc ? rc : set_from(m, m->n_stack - 2);
}

static int op_setitems(struct machine *m, int n)
{
    (void)n;
    size_t first = 0;
    int rc = pop_mark(m, &first);
    return rc ? rc : set_from(m, first);
}

/* Every entry of a pickler's memo takes more than a byte of the pickle, so that the array stays within its length. */
static int remember(struct machine *m, uint64_t at)
{
    int rc = need_values(m, 1);
    if (rc)
        return rc;
    if (at >= m->size)
        return wrong(m, "entry %llu of the memo of a pickle of %zu bytes", (unsigned long long)at, m->size);
    if (at >= m->n_memo) {
        size_t n = (size_t)at + 1 + m->n_memo / 2 + 64;
        struct pickle_value **more = mem_resize(m->memo, n * sizeof(struct pickle_value *));
        if (!more)
            return pickle_nomem(m->maker, n * sizeof(struct pickle_value *));
        memset(more + m->n_memo, 0, (n - m->n_memo) * sizeof(struct pickle_value *));
        m->memo = more;
        m->n_memo = n;
    }
    m->memo[at] = m->stack[m->n_stack - 1];
    if (at >= m->used_memo)
        m->used_memo = (size_t)at + 1;
    return 0;
}

static int op_put(struct machine *m, int n)
{
    uint64_t at;
    int rc = take_number(m, n, &at);
    return rc ? rc : remember(m, at);
}

/* At the number of entries so far, which is where Python's pickler, the only one that writes it, has its next one
 * free. */
static int op_memoize(struct machine *m, int n)
{
    (void)n;
    return remember(m, m->used_memo);
}

static int op_get(struct machine *m, int n)
{
    uint64_t at;
    int rc = take_number(m, n, &at);
    if (rc)
        return rc;
    if (at >= m->n_memo || !m->memo[at])
        return wrong(m, "entry %llu of the memo, which holds none", (unsigned long long)at);
    return push_value(m, m->memo[at]);
}

/* A line, without its end. */
static const char *take_line(struct machine *m, size_t *n)
{
    const unsigned char *p = m->bytes + m->next, *end = memchr(p, '\n', m->size - m->next);
    if (!end) {
        wrong(m, "is cut off in a line");
        return NULL;
    }
    *n = (size_t)(end - p);
    m->next += *n + 1;
    return (const char *)p;
}

static int push_global(struct machine *m, const char *module, size_t n_module, const char *name, size_t n_name)
{
    struct pickle_value *v;
    int rc = pickle_find_global(m->maker, module, n_module, name, n_name, &v);
    return rc ? rc : push_value(m, v);
}

static int op_global(struct machine *m, int n)
{
    (void)n;
    size_t n_module, n_name;
    const char *module = take_line(m, &n_module), *name = module ? take_line(m, &n_name) : NULL;
    return name ? push_global(m, module, n_module, name, n_name) : ERROR_DATA;
}

static int op_stack_global(struct machine *m, int n)
{
    (void)n;
    int rc = need_values(m, 2);
    if (rc)
        return rc;
    const struct pickle_value *module = m->stack[m->n_stack - 2], *name = m->stack[m->n_stack - 1];
    if (module->kind != PICKLE_TEXT || name->kind != PICKLE_TEXT)
        return wrong(m, "wanted a module's name and a name in it, found %s and %s", pickle_kind_name(module),
                     pickle_kind_name(name));
    m->n_stack -= 2;
    return push_global(m, module->text.bytes, module->text.n, name->text.bytes, name->text.n);
}

static int op_reduce(struct machine *m, int n)
{
    (void)n;
    struct pickle_value *v;
    int rc = need_values(m, 2);
    if (!rc)
        rc = pickle_call(m->maker, m->stack[m->n_stack - 2], m->stack[m->n_stack - 1], &v);
    if (rc)
        return rc;
    m->stack[--m->n_stack - 1] = v;
    return 0;
}

/* Attributes: _metadata of an OrderedDict, hooks of a parameter. None of them is a number of the model. */
static int op_build(struct machine *m, int n)
{
    (void)n;
    int rc = need_values(m, 2);
    if (rc)
        return rc;
    const struct pickle_value *v = m->stack[--m->n_stack - 1];
    return v->kind == PICKLE_DICT || v->kind == PICKLE_TENSOR
               ? 0
               : wrong(m, "sets the attributes of %s", pickle_kind_name(v));
}

static int op_binpersid(struct machine *m, int n)
{
    (void)n;
    struct pickle_value *v;
    int rc = need_values(m, 1);
    if (!rc)
        rc = pickle_find_storage(m->maker, m->stack[m->n_stack - 1], &v);
    if (!rc)
        m->stack[m->n_stack - 1] = v;
    return rc;
}

/* All opcodes of protocols 0 to 5; those without a function are refused by name. */
static const struct opcode {
    const char *name;
    int (*run)(struct machine *m, int argument);
    int argument;
} opcodes[256] = {
    ['I'] = {"INT", NULL, 0},
    ['J'] = {"BININT", op_int, 4},
    ['K'] = {"BININT1", op_int, 1},
    ['M'] = {"BININT2", op_int, 2},
    ['L'] = {"LONG", NULL, 0},
    [0x8a] = {"LONG1", op_long, 1},
    [0x8b] = {"LONG4", NULL, 0},
    ['S'] = {"STRING", NULL, 0},
    ['T'] = {"BINSTRING", op_text, 4},
    ['U'] = {"SHORT_BINSTRING", op_text, 1},
    ['B'] = {"BINBYTES", op_bytes, 4},
    ['C'] = {"SHORT_BINBYTES", op_bytes, 1},
    [0x8e] = {"BINBYTES8", op_bytes, 8},
    [0x96] = {"BYTEARRAY8", NULL, 0},
    [0x97] = {"NEXT_BUFFER", NULL, 0},
    [0x98] = {"READONLY_BUFFER", NULL, 0},
    ['N'] = {"NONE", op_empty, PICKLE_NONE},
    [0x88] = {"NEWTRUE", op_bool, 1},
    [0x89] = {"NEWFALSE", op_bool, 0},
    ['V'] = {"UNICODE", NULL, 0},
    [0x8c] = {"SHORT_BINUNICODE", op_text, 1},
    ['X'] = {"BINUNICODE", op_text, 4},
    [0x8d] = {"BINUNICODE8", op_text, 8},
    ['F'] = {"FLOAT", NULL, 0},
    ['G'] = {"BINFLOAT", op_float, 8},
    [']'] = {"EMPTY_LIST", op_empty, PICKLE_LIST},
    ['a'] = {"APPEND", op_append, 0},
    ['e'] = {"APPENDS", op_appends, 0},
    ['l'] = {"LIST", NULL, 0},
    [')'] = {"EMPTY_TUPLE", op_tuple_n, 0},
    ['t'] = {"TUPLE", op_tuple, 0},
    [0x85] = {"TUPLE1", op_tuple_n, 1},
    [0x86] = {"TUPLE2", op_tuple_n, 2},
    [0x87] = {"TUPLE3", op_tuple_n, 3},
    ['}'] = {"EMPTY_DICT", op_empty, PICKLE_DICT},
    ['d'] = {"DICT", NULL, 0},
    ['s'] = {"SETITEM", op_setitem, 0},
    ['u'] = {"SETITEMS", op_setitems, 0},
    [0x8f] = {"EMPTY_SET", NULL, 0},
    [0x90] = {"ADDITEMS", NULL, 0},
    [0x91] = {"FROZENSET", NULL, 0},
    ['0'] = {"POP", op_pop, 0},
    ['2'] = {"DUP", op_dup, 0},
    ['('] = {"MARK", op_mark, 0},
    ['1'] = {"POP_MARK", op_pop_mark, 0},
    ['g'] = {"GET", NULL, 0},
    ['h'] = {"BINGET", op_get, 1},
    ['j'] = {"LONG_BINGET", op_get, 4},
    ['p'] = {"PUT", NULL, 0},
    ['q'] = {"BINPUT", op_put, 1},
    ['r'] = {"LONG_BINPUT", op_put, 4},
    [0x94] = {"MEMOIZE", op_memoize, 0},
    [0x82] = {"EXT1", NULL, 0},
    [0x83] = {"EXT2", NULL, 0},
    [0x84] = {"EXT4", NULL, 0},
    ['c'] = {"GLOBAL", op_global, 0},
    [0x93] = {"STACK_GLOBAL", op_stack_global, 0},
    ['R'] = {"REDUCE", op_reduce, 0},
    ['b'] = {"BUILD", op_build, 0},
    ['i'] = {"INST", NULL, 0},
    ['o'] = {"OBJ", NULL, 0},
    [0x81] = {"NEWOBJ", NULL, 0},
    [0x92] = {"NEWOBJ_EX", NULL, 0},
    [0x80] = {"PROTO", op_proto, 1},
    ['.'] = {"STOP", op_stop, 0},
    [0x95] = {"FRAME", op_frame, 8},
    ['P'] = {"PERSID", NULL, 0},
    ['Q'] = {"BINPERSID", op_binpersid, 0},
};

static int run_program(struct machine *m)
{
    int rc = 0;
    while (!rc && !m->stopped) {
        m->maker->at = m->next;
        m->maker->opcode = "end of file";
        const unsigned char *code = take_bytes(m, 1);
        if (!code)
            return ERROR_DATA;
        const struct opcode *o = &opcodes[*code];
        m->maker->opcode = o->name ? o->name : "no opcode";
        if (!o->name)
            return wrong(m, "0x%02x is no opcode; the file is damaged, get it again", *code);
        if (!o->run)
            return wrong(m, "an opcode that no state dict needs, which isara does not run");
        rc = o->run(m, o->argument);
    }
    return rc;
}

int pickle_run(struct pickle_maker *maker, const void *bytes, size_t size, struct pickle_value **root)
{
    struct machine m = {.maker = maker, .bytes = bytes, .size = size};
    int rc = run_program(&m);
    if (!rc)
        *root = m.stack[0];
    mem_free(m.stack);
    mem_free(m.marks);
    mem_free(m.memo);
    return rc;
}
