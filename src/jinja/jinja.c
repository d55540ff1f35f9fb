/* SPDX-License-Identifier: Apache-2.0 */
/* Statements: running the tree. Names live in scopes: a loop's body and a macro's have their own, if has none. */
#include "jinja/parts.h"

#include "base/mem.h"

#include <string.h>

enum flow { GO_ON, BREAK, CONTINUE };
static enum flow render_nodes(struct jrun *r, const struct jnodes *body);

int jinja_parse(struct jinja **out, const char *text, size_t n, const char *name, struct error *err)
{
    struct jinja *t = mem_calloc(1, sizeof *t);
    *out = NULL;
    if (!t)
        return error_set_nomem(err, sizeof *t, "a template");
    t->name = arena_strdup(&t->arena, name);
    struct jsource s = {.arena = &t->arena, .name = t->name, .err = err};
    int rc = t->name ? jinja_lex(&s, text, n) : error_set_nomem(err, 64, "a template");
    if (!rc)
        rc = jinja_build(t, &s);
    if (rc)
        jinja_free(t);
    else
        *out = t;
    return rc;
}

void jinja_free(struct jinja *t)
{
    if (!t)
        return;
    arena_free(&t->arena);
    mem_free(t);
}

static struct jscope *push_scope(struct jrun *r, struct jscope *up)
{
    struct jscope *s = jalloc(r, sizeof *s);
    if (s) {
        *s = (struct jscope){.up = up};
        r->scope = s;
    }
    return s;
}

static void add_span(struct jrun *r, size_t begin)
{
    struct jinja_spans *s = r->spans;
    if (!s || r->capturing || r->rc)
        return;
    if (s->n == r->cap_span) {
        int cap = r->cap_span ? 2 * r->cap_span : 8;
        struct jinja_span *more = mem_resize(s->items, (size_t)cap * sizeof *more);
        if (!more) {
            r->rc = error_set_nomem(r->err, (size_t)cap * sizeof *more, "rendering a chat template");
            return;
        }
        s->items = more;
        r->cap_span = cap;
    }
    s->items[s->n++] = (struct jinja_span){begin, r->out->len};
}

static void assign(struct jrun *r, const struct jnode *to, struct jvalue v)
{
    if (r->rc)
        return;
    if (to->kind == JN_NAME) {
        jset(r, &r->scope->vars, to->s, to->n, v);
        return;
    }
    if (to->kind == JN_LIST) {
        struct jlist *parts = jiterate(r, v);
        if (parts && parts->n != to->kids.n)
            jfail(r, "%d names for %d values", to->kids.n, parts->n);
        for (int i = 0; !r->rc && i < to->kids.n; i++)
            assign(r, to->kids.items[i], parts->items[i]);
        return;
    }
    struct jvalue space = jeval(r, to->a);
    if (!r->rc && space.kind != J_NAMESPACE)
        jfail(r, "only attributes of a namespace can be set");
    if (!r->rc && to->n && to->s[0] == '_')
        jfail(r, "a namespace keeps no attribute that begins with \"_\"");
    if (!r->rc)
        jset(r, space.dict, to->s, to->n, v);
}

/* What the loop runs over, filtered by its condition. */
static struct jlist *loop_items(struct jrun *r, const struct jnode *n, struct jvalue of)
{
    struct jvalue kept;
    struct jlist *all = jiterate(r, of);
    if (!all || !n->b)
        return all;
    kept = jlist(r, JF_LIST);
    struct jscope *outer = r->scope;
    for (int i = 0; i < all->n && !r->rc; i++) {
        if (!push_scope(r, outer))
            break;
        assign(r, n->c, all->items[i]);
        if (!r->rc && jtrue(jeval(r, n->b)))
            jpush(r, kept.list, all->items[i]);
    }
    r->scope = outer;
    return r->rc ? NULL : kept.list;
}

/* The loop over these items, its names on top of `outer`. */
static enum flow run_loop(struct jrun *r, const struct jnode *n, struct jvalue of, struct jscope *outer, int depth)
{
    struct jscope *before = r->scope;
    r->scope = outer;
    struct jlist *items = loop_items(r, n, of);
    struct jloop *loop = items ? jalloc(r, sizeof *loop) : NULL;
    int count = loop ? items->n : 0;
    if (loop)
        *loop = (struct jloop){.node = n, .outer = outer, .items = items, .depth = depth, .changed = jmissing()};
    for (int i = 0; i < count && !r->rc; i++) {
        if (!push_scope(r, outer))
            break;
        loop->at = i;
        assign(r, n->c, items->items[i]);
        jset(r, &r->scope->vars, "loop", 4, (struct jvalue){.kind = J_LOOP, .loop = loop});
        if (render_nodes(r, &n->kids) == BREAK)
            break;
    }
    if (!count && !r->rc && push_scope(r, outer))
        render_nodes(r, &n->more);
    r->scope = before;
    return GO_ON;
}

struct jvalue jcall_loop(struct jrun *r, struct jloop *loop, struct jvalue items)
{
    struct buf b = BUF_INIT, *out = r->out;
    if (!loop->node->op)
        jfail(r, "loop(...) is called in a loop that is not recursive");
    if (++r->depth > 200)
        jfail(r, "a recursive loop is too deep");
    r->out = &b;
    r->capturing++;
    if (!r->rc)
        run_loop(r, loop->node, items, loop->outer, loop->depth + 1);
    r->capturing--;
    r->out = out;
    r->depth--;
    return jtake(r, &b);
}

static struct jvalue jcapture(struct jrun *r, const struct jnodes *body)
{
    struct buf b = BUF_INIT, *out = r->out;
    struct jscope *outer = r->scope;
    r->out = &b;
    r->capturing++;
    if (push_scope(r, outer))
        render_nodes(r, body);
    r->scope = outer;
    r->capturing--;
    r->out = out;
    return jtake(r, &b);
}

/* Is this the name of one of the macro's arguments that no positional one has filled? */
static int is_free_argument(const struct jnode *n, int n_given, struct jvalue key)
{
    for (int k = n_given; k < n->named.n; k++)
        if (n->named.items[k]->n == key.n && !memcmp(n->named.items[k]->s, key.s, key.n))
            return 1;
    return 0;
}

/* What the arguments leave over: varargs, kwargs and caller, for macros that use them. */
static void bind_rest(struct jrun *r, const struct jnode *n, const struct jargs *args)
{
    struct jdict *vars = &r->scope->vars;
    struct jvalue kwargs = jdict(r, J_DICT), varargs = jlist(r, JF_TUPLE);
    int caller = jfind_name(&args->named, "caller", 6),
        uses_caller = n->op & JUSES_CALLER && !is_free_argument(n, 0, jtext("caller"));
    if (args->n > n->named.n && !(n->op & JUSES_VARARGS))
        jfail(r, "macro %.*s: wanted at most %d arguments, found %d", JSHOW(*n), n->named.n, args->n);
    for (int i = n->named.n; i < args->n && !r->rc; i++)
        jpush(r, varargs.list, args->values[i]);
    for (int i = 0; i < args->named.n && !r->rc; i++) {
        struct jvalue key = args->named.keys[i];
        if (is_free_argument(n, args->n, key) || (uses_caller && i == caller))
            continue;
        if (n->op & JUSES_KWARGS)
            jput(r, kwargs.dict, key, args->named.values[i]);
        else
            jfail(r, "macro %.*s has no argument %.*s", JSHOW(*n), JSHOW(key));
    }
    if (uses_caller)
        jset(r, vars, "caller", 6,
             caller >= 0 && args->named.values[caller].kind != J_NONE ? args->named.values[caller]
                                                                      : jundefined("caller", 6));
    if (n->op & JUSES_KWARGS)
        jset(r, vars, "kwargs", 6, kwargs);
    if (n->op & JUSES_VARARGS)
        jset(r, vars, "varargs", 7, varargs);
}

struct jvalue jcall_macro(struct jrun *r, struct jvalue macro, const struct jargs *args)
{
    const struct jnode *n = macro.node;
    struct jscope *caller = r->scope;
    struct jvalue out = jundefined("", 0);
    if (!r->rc && push_scope(r, macro.scope)) {
        bind_rest(r, n, args);
        for (int i = 0; i < n->named.n && !r->rc; i++) {
            const struct jnode *name = n->named.items[i];
            int at = jfind_name(&args->named, name->s, name->n);
            struct jvalue v = jundefined(name->s, name->n);
            if (i < args->n)
                v = args->values[i];
            else if (at >= 0)
                v = args->named.values[at];
            else if (n->more.items[i])
                v = jeval(r, n->more.items[i]);
            jset(r, &r->scope->vars, name->s, name->n, v);
        }
        if (++r->depth > 200)
            jfail(r, "macros call each other too deeply");
        out = jcapture(r, &n->kids);
        r->depth--;
    }
    r->scope = caller;
    return out;
}

/* {% call %}: the macro is called with the body as its caller. */
static void run_call(struct jrun *r, const struct jnode *n)
{
    struct jvalue f = jeval(r, n->a->a);
    struct jargs args;
    if (r->rc)
        return;
    jeval_args(r, n->a, &args);
    if (jfind_name(&args.named, "caller", 6) >= 0)
        jfail(r, "the argument caller is given twice");
    jset(r, &args.named, "caller", 6, (struct jvalue){.kind = J_MACRO, .node = n, .scope = r->scope});
    if (!r->rc)
        jwrite(r, r->out, jcall(r, f, &args));
}

static struct jvalue chained(struct jrun *r, const struct jnode *n, struct jvalue v)
{
    r->hole = v;
    return n->a ? jeval(r, n->a) : v;
}

static enum flow run_with(struct jrun *r, const struct jnode *n)
{
    struct jscope *outer = r->scope, *inner = push_scope(r, outer);
    for (int i = 0; inner && i < n->named.n && !r->rc; i++) {
        r->scope = outer;
        struct jvalue v = jeval(r, n->more.items[i]);
        r->scope = inner;
        assign(r, n->named.items[i], v);
    }
    enum flow flow = r->rc ? GO_ON : render_nodes(r, &n->kids);
    r->scope = outer;
    return flow;
}

static void run_generation(struct jrun *r, const struct jnode *n)
{
    size_t begin = r->out->len;
    struct jscope *outer = r->scope;
    if (push_scope(r, outer))
        render_nodes(r, &n->kids);
    r->scope = outer;
    add_span(r, begin);
}

static enum flow run_one(struct jrun *r, const struct jnode *n)
{
    switch (n->kind) {
    case JN_DATA:
        if (!jcharge(r, n->n))
            buf_append(r->out, n->s, n->n);
        break;
    case JN_PRINT: jwrite(r, r->out, jeval(r, n->a)); break;
    case JN_IF: {
        int yes = jtrue(jeval(r, n->a));
        const struct jnodes *way = yes ? &n->kids : &n->more;
        return r->rc ? GO_ON : render_nodes(r, way);
    }
    case JN_FOR: {
        struct jvalue of = jeval(r, n->a);
        return r->rc ? GO_ON : run_loop(r, n, of, r->scope, 0);
    }
    case JN_SET: assign(r, n->c, jeval(r, n->a)); break;
    case JN_SETBLOCK: assign(r, n->c, chained(r, n, jcapture(r, &n->kids))); break;
    case JN_FILTERBLOCK: jwrite(r, r->out, chained(r, n, jcapture(r, &n->kids))); break;
    case JN_MACRO:
        jset(r, &r->scope->vars, n->s, n->n, (struct jvalue){.kind = J_MACRO, .node = n, .scope = r->scope});
        break;
    case JN_CALLBLOCK: run_call(r, n); break;
    case JN_WITH: return run_with(r, n);
    case JN_GENERATION: run_generation(r, n); break;
    case JN_BREAK: return BREAK;
    default: return CONTINUE;
    }
    return GO_ON;
}

static enum flow render_nodes(struct jrun *r, const struct jnodes *body)
{
    for (int i = 0; i < body->n && !jstep(r); i++) {
        r->line = body->items[i]->line;
        enum flow flow = run_one(r, body->items[i]);
        if (r->out->len > (size_t)256 << 20)
            jfail(r, "writes more than 256 MiB");
        if (flow != GO_ON)
            return flow;
    }
    return GO_ON;
}

int jinja_render(const struct jinja *t, const json_t *variables, int64_t now, struct buf *out,
                 struct jinja_spans *spans, struct error *err)
{
    struct buf text = BUF_INIT;
    struct jrun r = {.t = t, .out = &text, .now = now, .spans = spans, .err = err};
    const char *name;
    json_t *value;
    if (spans)
        *spans = (struct jinja_spans){0};
    if (push_scope(&r, NULL))
        json_object_foreach((json_t *)(uintptr_t)variables, name, value)
            jset(&r, &r.scope->vars, name, strlen(name), jfrom_json(&r, value));
    if (!r.rc && push_scope(&r, r.scope))
        render_nodes(&r, &t->body);
    if (!r.rc && text.failed)
        r.rc = error_set_nomem(err, text.len, "rendering a chat template");
    for (int i = 0; !r.rc && spans && i < spans->n; i++)
        spans->items[i] = (struct jinja_span){spans->items[i].begin + out->len, spans->items[i].end + out->len};
    if (!r.rc && text.len)
        buf_append(out, text.data, text.len);
    if (!r.rc && out->failed)
        r.rc = error_set_nomem(err, text.len, "rendering a chat template");
    if (r.rc && spans) {
        mem_free(spans->items);
        *spans = (struct jinja_spans){0};
    }
    buf_free(&text);
    json_decref(r.kept);
    arena_free(&r.arena);
    return r.rc;
}
