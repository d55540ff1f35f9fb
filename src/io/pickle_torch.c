/* SPDX-License-Identifier: Apache-2.0 */
/* The classes and functions that a state dict of torch is made of, and what calling them makes. The names are those of
 * torch._utils, torch._tensor and torch.storage (torch 1.6 to 2.15). A name that is not in the table is refused before
 * anything is done with it. */
#include "io/pickle_parts.h"

#include <string.h>

enum role {
    ROLE_INERT, /* may stand there, is never called */
    ROLE_STORAGE,
    ROLE_UNTYPED_STORAGE,
    ROLE_DTYPE,
    ROLE_TENSOR_CLASS,
    ROLE_ORDERED_DICT,
    ROLE_SIZE,
    ROLE_REBUILD,
    ROLE_REBUILD_V2,
    ROLE_REBUILD_V3,
    ROLE_REBUILD_PARAMETER,
    ROLE_REBUILD_FROM_TYPE
};

static const struct pickle_global globals[] = {
    {"collections", "OrderedDict", ROLE_ORDERED_DICT, 0},
    {"torch._utils", "_rebuild_tensor", ROLE_REBUILD, 0},
    {"torch._utils", "_rebuild_tensor_v2", ROLE_REBUILD_V2, 0},
    {"torch._utils", "_rebuild_tensor_v3", ROLE_REBUILD_V3, 0},
    {"torch._utils", "_rebuild_parameter", ROLE_REBUILD_PARAMETER, 0},
    {"torch._utils", "_rebuild_parameter_with_state", ROLE_REBUILD_PARAMETER, 0},
    {"torch._tensor", "_rebuild_from_type_v2", ROLE_REBUILD_FROM_TYPE, 0},
    {"torch", "Tensor", ROLE_TENSOR_CLASS, 0},
    {"torch.nn.parameter", "Parameter", ROLE_TENSOR_CLASS, 0},
    {"torch", "Size", ROLE_SIZE, 0},
    {"torch.storage", "UntypedStorage", ROLE_UNTYPED_STORAGE, STORAGE_U8},
    {"torch", "UntypedStorage", ROLE_UNTYPED_STORAGE, STORAGE_U8},
    {"torch", "FloatStorage", ROLE_STORAGE, STORAGE_F32},
    {"torch", "HalfStorage", ROLE_STORAGE, STORAGE_F16},
    {"torch", "BFloat16Storage", ROLE_STORAGE, STORAGE_BF16},
    {"torch", "DoubleStorage", ROLE_STORAGE, STORAGE_F64},
    {"torch", "LongStorage", ROLE_STORAGE, STORAGE_I64},
    {"torch", "IntStorage", ROLE_STORAGE, STORAGE_I32},
    {"torch", "ShortStorage", ROLE_STORAGE, STORAGE_I16},
    {"torch", "CharStorage", ROLE_STORAGE, STORAGE_I8},
    {"torch", "ByteStorage", ROLE_STORAGE, STORAGE_U8},
    {"torch", "BoolStorage", ROLE_STORAGE, STORAGE_BOOL},
    {"torch", "ComplexFloatStorage", ROLE_STORAGE, STORAGE_C64},
    {"torch", "float32", ROLE_DTYPE, STORAGE_F32},
    {"torch", "float16", ROLE_DTYPE, STORAGE_F16},
    {"torch", "bfloat16", ROLE_DTYPE, STORAGE_BF16},
    {"torch", "float64", ROLE_DTYPE, STORAGE_F64},
    {"torch", "int64", ROLE_DTYPE, STORAGE_I64},
    {"torch", "int32", ROLE_DTYPE, STORAGE_I32},
    {"torch", "int16", ROLE_DTYPE, STORAGE_I16},
    {"torch", "int8", ROLE_DTYPE, STORAGE_I8},
    {"torch", "uint8", ROLE_DTYPE, STORAGE_U8},
    {"torch", "uint16", ROLE_DTYPE, STORAGE_U16},
    {"torch", "uint32", ROLE_DTYPE, STORAGE_U32},
    {"torch", "uint64", ROLE_DTYPE, STORAGE_U64},
    {"torch", "bool", ROLE_DTYPE, STORAGE_BOOL},
    {"torch", "complex64", ROLE_DTYPE, STORAGE_C64},
    {"torch", "float8_e4m3fn", ROLE_DTYPE, STORAGE_F8_E4M3},
    {"torch", "float8_e5m2", ROLE_DTYPE, STORAGE_F8_E5M2},
    {"torch", "float8_e4m3fnuz", ROLE_DTYPE, STORAGE_F8_E4M3FNUZ},
    {"torch", "float8_e5m2fnuz", ROLE_DTYPE, STORAGE_F8_E5M2FNUZ},
    {"torch", "device", ROLE_INERT, 0},
};

static int is_text(const char *wanted, const char *bytes, size_t n)
{
    return strlen(wanted) == n && !memcmp(wanted, bytes, n);
}

int pickle_find_global(struct pickle_maker *m, const char *module, size_t n_module, const char *name, size_t n_name,
                       struct pickle_value **out)
{
    const struct pickle_global *found = NULL;
    int cuda = is_text("torch.cuda", module, n_module); /* storages that were on a GPU, of old versions */
    for (size_t i = 0; i < sizeof globals / sizeof *globals && !found; i++) {
        int storage = globals[i].role == ROLE_STORAGE;
        if ((is_text(globals[i].module, module, n_module) || (cuda && storage)) &&
            is_text(globals[i].name, name, n_name))
            found = &globals[i];
    }
    if (!found)
        return pickle_wrong(m,
                            "names %.*s.%.*s, which no state dict needs; isara loads tensors, no classes or functions. "
                            "Where the file is trusted: "
                            "torch.save(model.state_dict(), ...) in Python, or save_pretrained of transformers",
                            (int)(n_module < 150 ? n_module : 150), module, (int)(n_name < 150 ? n_name : 150), name);
    int rc = pickle_new(m, PICKLE_GLOBAL, out);
    if (!rc)
        (*out)->global = found;
    return rc;
}

int pickle_find_storage(struct pickle_maker *m, const struct pickle_value *id, struct pickle_value **out)
{
    struct pickle_value **v = id->tuple.items;
    if (id->kind != PICKLE_TUPLE || id->tuple.n < 5 || v[0]->kind != PICKLE_TEXT ||
        !is_text("storage", v[0]->text.bytes, v[0]->text.n))
        return pickle_wrong(m, "wanted ('storage', class, key, device, elements), found %s", pickle_kind_name(id));
    int is_class = v[1]->kind == PICKLE_GLOBAL &&
                   (v[1]->global->role == ROLE_STORAGE || v[1]->global->role == ROLE_UNTYPED_STORAGE);
    if (!is_class || v[4]->kind != PICKLE_INT || v[4]->integer < 0)
        return pickle_wrong(m, "a storage of %s with %s elements, wanted a class of storages and a number",
                            pickle_kind_name(v[1]), pickle_kind_name(v[4]));
    struct pickle_storage_value *s = arena_alloc(&m->arena, sizeof *s);
    if (!s)
        return pickle_nomem(m, sizeof *s);
    s->type = v[1]->global->storage;
    s->untyped = v[1]->global->role == ROLE_UNTYPED_STORAGE;
    int rc = pickle_string(m, v[2], "a storage's key", &s->public.key);
    if (rc)
        return rc;
    if (storage_bytes(s->type, (uint64_t)v[4]->integer, &s->public.n_byte))
        return pickle_wrong(m, "a storage of %lld elements", (long long)v[4]->integer);
    if ((rc = pickle_new(m, PICKLE_STORAGE, out)))
        return rc;
    (*out)->storage = s;
    return 0;
}

static int read_shape(struct pickle_maker *m, const struct pickle_value *size, const struct pickle_value *stride,
                      struct pickle_tensor *t)
{
    if (size->kind != PICKLE_TUPLE || stride->kind != PICKLE_TUPLE || size->tuple.n != stride->tuple.n ||
        size->tuple.n > TENSOR_MAX_DIM)
        return pickle_wrong(m, "wanted a tensor's size and stride as tuples of the same length, at most %d",
                            TENSOR_MAX_DIM);
    t->info.n_dim = (int)size->tuple.n;
    for (int i = 0; i < t->info.n_dim; i++) {
        const struct pickle_value *n = size->tuple.items[i], *s = stride->tuple.items[i];
        if (n->kind != PICKLE_INT || s->kind != PICKLE_INT || n->integer < 0 || s->integer < 0)
            return pickle_wrong(m, "dimension %d of a tensor: wanted its size and stride to be non-negative integers",
                                i);
        t->info.shape[i] = n->integer;
        t->stride[i] = (uint64_t)s->integer;
    }
    if (tensor_info_complete(&t->info))
        return pickle_wrong(m, "a tensor's shape does not fit %s (too many elements)", storage_name(t->info.storage));
    return 0;
}

/* (storage, offset, size, stride, requires_grad, hooks[, dtype][, metadata]) */
static int rebuild(struct pickle_maker *m, const struct pickle_value *arguments, int has_type,
                   struct pickle_value **out)
{
    struct pickle_value **v = arguments->tuple.items;
    size_t n = arguments->tuple.n, at_metadata = has_type ? 7 : 6;
    if (n < 4 || (has_type && n < 7) || v[0]->kind != PICKLE_STORAGE || v[1]->kind != PICKLE_INT || v[1]->integer < 0)
        return pickle_wrong(m, "wanted a tensor's storage, offset, size and stride");
    if (has_type && (v[6]->kind != PICKLE_GLOBAL || v[6]->global->role != ROLE_DTYPE))
        return pickle_wrong(m, "wanted a tensor's dtype, found %s", pickle_kind_name(v[6]));
    if (!has_type && v[0]->storage->untyped)
        return pickle_wrong(m, "a tensor without a dtype over an untyped storage");
    if (n > at_metadata && v[at_metadata]->kind != PICKLE_NONE &&
        (v[at_metadata]->kind != PICKLE_DICT || v[at_metadata]->dict.first))
        return pickle_wrong(m, "a tensor with metadata (conjugate or negative views); wanted one saved after "
                               ".resolve_conj().resolve_neg()");
    struct pickle_tensor *t = arena_alloc(&m->arena, sizeof *t);
    if (!t)
        return pickle_nomem(m, sizeof *t);
    t->info.storage = has_type ? v[6]->global->storage : v[0]->storage->type;
    t->storage = &v[0]->storage->public;
    t->offset = (uint64_t)v[1]->integer;
    int rc = read_shape(m, v[2], v[3], t);
    if (rc || (rc = pickle_new(m, PICKLE_TENSOR, out)))
        return rc;
    (*out)->tensor = t;
    return 0;
}

/* (tensor, requires_grad, hooks[, attributes]): the tensor itself. */
static int rebuild_parameter(struct pickle_maker *m, const struct pickle_value *arguments, struct pickle_value **out)
{
    if (!arguments->tuple.n || arguments->tuple.items[0]->kind != PICKLE_TENSOR)
        return pickle_wrong(m, "wanted a parameter's tensor");
    *out = arguments->tuple.items[0];
    return 0;
}

/* (function, class, its arguments, attributes), where the class changes nothing. */
static int rebuild_from_type(struct pickle_maker *m, const struct pickle_value *arguments, struct pickle_value **out)
{
    struct pickle_value **v = arguments->tuple.items;
    int fits = arguments->tuple.n >= 3 && v[0]->kind == PICKLE_GLOBAL && v[1]->kind == PICKLE_GLOBAL &&
               v[2]->kind == PICKLE_TUPLE;
    if (!fits || v[1]->global->role != ROLE_TENSOR_CLASS)
        return pickle_wrong(m, "wanted a function, torch.Tensor or torch.nn.parameter.Parameter, and arguments");
    switch (v[0]->global->role) {
    case ROLE_REBUILD_V2: return rebuild(m, v[2], 0, out);
    case ROLE_REBUILD_V3: return rebuild(m, v[2], 1, out);
    case ROLE_REBUILD_PARAMETER: return rebuild_parameter(m, v[2], out);
    default: return pickle_wrong(m, "%s.%s makes no tensor", v[0]->global->module, v[0]->global->name);
    }
}

int pickle_call(struct pickle_maker *m, const struct pickle_value *callable, const struct pickle_value *arguments,
                struct pickle_value **out)
{
    if (callable->kind != PICKLE_GLOBAL || arguments->kind != PICKLE_TUPLE)
        return pickle_wrong(m, "wanted a function and a tuple of arguments, found %s and %s",
                            pickle_kind_name(callable), pickle_kind_name(arguments));
    const struct pickle_global *g = callable->global;
    switch (g->role) {
    case ROLE_ORDERED_DICT:
        return arguments->tuple.n ? pickle_wrong(m, "collections.OrderedDict with arguments")
                                  : pickle_new(m, PICKLE_DICT, out);
    case ROLE_SIZE:
        if (arguments->tuple.n != 1 || arguments->tuple.items[0]->kind != PICKLE_TUPLE)
            return pickle_wrong(m, "wanted torch.Size of a tuple");
        *out = arguments->tuple.items[0];
        return 0;
    case ROLE_REBUILD: return rebuild(m, arguments, 0, out);
    case ROLE_REBUILD_V2: return rebuild(m, arguments, 0, out);
    case ROLE_REBUILD_V3: return rebuild(m, arguments, 1, out);
    case ROLE_REBUILD_PARAMETER: return rebuild_parameter(m, arguments, out);
    case ROLE_REBUILD_FROM_TYPE: return rebuild_from_type(m, arguments, out);
    default: return pickle_wrong(m, "calls %s.%s, which makes no tensor", g->module, g->name);
    }
}
