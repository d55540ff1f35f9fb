/* SPDX-License-Identifier: Apache-2.0 */
/* Statements: running the tree. Names live in scopes: a loop's body and a macro's have their own, if has none. */
#include "jinja/parts.h"

#include "base/mem.h"

#include <string.h>

enum flow { GO_ON, BREAK, CONTINUE };
static enum flow run(struct jrun *r, const struct jnodes *body);

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

static void assign(struct jrun *r, const struct jnode *to, struct jvalue v)
{
    if (r->rc)
        return;
    if (to->kind == JN_NAME) {
        jput(r, &r->scope->vars, to->s, to->n, v);
        return;
    }
    struct jvalue space = jeval(r, to->a);
    if (!r->rc && space.kind != J_NAMESPACE)
        jfail(r, "only attributes of a namespace can be set");
    if (!r->rc)
        jput(r, space.dict, to->s, to->n, v);
}

/* One value to one target, or a list taken apart. */
static void assign_all(struct jrun *r, const struct jnodes *to, struct jvalue v)
{
    if (to->n == 1) {
        assign(r, to->items[0], v);
        return;
    }
    struct jlist *parts = r->rc ? NULL : jiterate(r, v);
    if (parts && parts->n != to->n)
        jfail(r, "%d names for %d values", to->n, parts->n);
    for (int i = 0; !r->rc && i < to->n; i++)
        assign(r, to->items[i], parts->items[i]);
}

static void set_number(struct jrun *r, struct jvalue loop, const char *name, int64_t i)
{
    jput(r, loop.dict, name, strlen(name), jint(i));
}

static struct jvalue loop_value(struct jrun *r, const struct jlist *items, int i)
{
    struct jvalue loop = jdict(r, J_NAMESPACE);
    if (r->rc)
        return loop;
    set_number(r, loop, "index0", i), set_number(r, loop, "index", i + 1), set_number(r, loop, "length", items->n);
    set_number(r, loop, "revindex0", items->n - 1 - i), set_number(r, loop, "revindex", items->n - i);
    jput(r, loop.dict, "first", 5, jbool(i == 0)), jput(r, loop.dict, "last", 4, jbool(i == items->n - 1));
    if (i > 0)
        jput(r, loop.dict, "previtem", 8, items->items[i - 1]);
    if (i < items->n - 1)
        jput(r, loop.dict, "nextitem", 8, items->items[i + 1]);
    return loop;
}

/* What the loop runs over, filtered by its condition. */
static struct jlist *loop_items(struct jrun *r, const struct jnode *n)
{
    struct jvalue of = jeval(r, n->a), kept;
    struct jlist *all = r->rc ? NULL : jiterate(r, of);
    if (!all || !n->b)
        return all;
    kept = jlist(r, 0);
    struct jscope *outer = r->scope;
    for (int i = 0; i < all->n && !r->rc; i++) {
        if (!push_scope(r, outer))
            break;
        assign_all(r, &n->named, all->items[i]);
        if (!r->rc && jtrue(jeval(r, n->b)))
            jpush(r, kept.list, all->items[i]);
    }
    r->scope = outer;
    return r->rc ? NULL : kept.list;
}

static enum flow run_for(struct jrun *r, const struct jnode *n)
{
    struct jlist *items = loop_items(r, n);
    struct jscope *outer = r->scope;
    int count = items ? items->n : 0;
    for (int i = 0; i < count && !r->rc; i++) {
        if (!push_scope(r, outer))
            break;
        assign_all(r, &n->named, items->items[i]);
        jput(r, &r->scope->vars, "loop", 4, loop_value(r, items, i));
        if (run(r, &n->kids) == BREAK)
            break;
    }
    r->scope = outer;
    return count || r->rc ? GO_ON : run(r, &n->more);
}

struct jvalue jcapture(struct jrun *r, const struct jnodes *body)
{
    struct buf b = BUF_INIT, *out = r->out;
    r->out = &b;
    r->capturing++;
    run(r, body);
    r->capturing--;
    r->out = out;
    return jtake(r, &b);
}

struct jvalue jcall_macro(struct jrun *r, struct jvalue macro, const struct jargs *args)
{
    const struct jnode *n = macro.node;
    struct jscope *caller = r->scope;
    struct jvalue out = jundefined("", 0);
    if (args->n > n->named.n)
        jfail(r, "macro %.*s: wanted at most %d arguments, found %d", (int)(n->n < 60 ? n->n : 60), n->s, n->named.n, args->n);
    for (int i = 0; i < args->named.n && !r->rc; i++) {
        int known = 0;
        for (int k = 0; k < n->named.n; k++)
            known |= n->named.items[k]->n == args->named.key_n[i] && !memcmp(n->named.items[k]->s, args->named.keys[i], args->named.key_n[i]);
        if (!known)
            jfail(r, "macro %.*s has no argument %.*s", (int)(n->n < 60 ? n->n : 60), n->s, (int)(args->named.key_n[i] < 60 ? args->named.key_n[i] : 60), args->named.keys[i]);
    }
    if (!r->rc && push_scope(r, macro.scope)) {
        for (int i = 0; i < n->named.n && !r->rc; i++) {
            const struct jnode *name = n->named.items[i];
            int at = jfind(&args->named, name->s, name->n);
            struct jvalue v = i < args->n ? args->values[i] : at >= 0 ? args->named.values[at] : n->more.items[i] ? jeval(r, n->more.items[i]) : jundefined(name->s, name->n);
            jput(r, &r->scope->vars, name->s, name->n, v);
        }
        if (++r->depth > 200)
            jfail(r, "macros call each other too deeply");
        out = jcapture(r, &n->kids);
        r->depth--;
    }
    r->scope = caller;
    return out;
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
        s->items = more, r->cap_span = cap;
    }
    s->items[s->n++] = (struct jinja_span){begin, r->out->len};
}

static enum flow run_one(struct jrun *r, const struct jnode *n)
{
    size_t begin = r->out->len;
    enum flow flow;
    switch (n->kind) {
    case JN_DATA: buf_append(r->out, n->s, n->n); break;
    case JN_PRINT: {
        struct jvalue v = jeval(r, n->a);
        if (!r->rc)
            jwrite(r, r->out, v);
        break;
    }
    case JN_IF: {
        int yes = jtrue(jeval(r, n->a));
        return r->rc ? GO_ON : run(r, yes ? &n->kids : &n->more);
    }
    case JN_FOR: return run_for(r, n);
    case JN_SET: assign_all(r, &n->named, jeval(r, n->a)); break;
    case JN_SETBLOCK: assign_all(r, &n->named, jcapture(r, &n->kids)); break;
    case JN_MACRO: jput(r, &r->scope->vars, n->s, n->n, (struct jvalue){.kind = J_MACRO, .node = n, .scope = r->scope}); break;
    case JN_GENERATION:
        flow = run(r, &n->kids);
        add_span(r, begin);
        return flow;
    case JN_BREAK: return BREAK;
    default: return CONTINUE;
    }
    return GO_ON;
}

static enum flow run(struct jrun *r, const struct jnodes *body)
{
    for (int i = 0; i < body->n && !jstep(r); i++) {
        r->line = body->items[i]->line;
        enum flow flow = run_one(r, body->items[i]);
        if (r->out->len > (size_t)64 << 20)
            jfail(r, "writes too much");
        if (flow != GO_ON)
            return flow;
    }
    return GO_ON;
}

int jinja_render(const struct jinja *t, const json_t *variables, int64_t now, struct buf *out, struct jinja_spans *spans, struct error *err)
{
    struct buf text = BUF_INIT;
    struct jrun r = {.t = t, .out = &text, .now = now, .spans = spans, .err = err};
    const char *name;
    json_t *value;
    if (spans)
        *spans = (struct jinja_spans){0};
    if (push_scope(&r, NULL))
        json_object_foreach((json_t *)(uintptr_t)variables, name, value)
            jput(&r, &r.scope->vars, name, strlen(name), jfrom_json(&r, value));
    if (!r.rc && push_scope(&r, r.scope))
        run(&r, &t->body);
    if (!r.rc && text.failed)
        r.rc = error_set_nomem(err, text.len, "rendering a chat template");
    for (int i = 0; !r.rc && spans && i < spans->n; i++)
        spans->items[i].begin += out->len, spans->items[i].end += out->len;
    if (!r.rc && text.len)
        buf_append(out, text.data, text.len);
    if (!r.rc && out->failed)
        r.rc = error_set_nomem(err, text.len, "rendering a chat template");
    if (r.rc && spans) {
        mem_free(spans->items);
        *spans = (struct jinja_spans){0};
    }
    buf_free(&text);
    arena_free(&r.arena);
    return r.rc;
}
