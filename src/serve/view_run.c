/* SPDX-License-Identifier: Apache-2.0 */
/* How far the run is, as the journal has it by now. */
#include "serve/view_parts.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <math.h>
#include <string.h>

void view_fail(struct http_exchange *x, int rc, const struct error *err)
{
    http_error(x, rc == ERROR_UNAVAILABLE ? 409 : status_of(rc), NULL, "%s", err->message);
}

static int put_number(void *object, const char *name, int n, struct error *err)
{
    return json_object_set_new(object, name, json_integer(n)) ? error_set_nomem(err, 64, "numbers") : 0;
}

/* The last whole line of what tuning logs; nothing when there is none yet. */
static void put_step(const struct view *v, int round, json_t *o)
{
    char part[64];
    struct buf text = BUF_INIT;
    json_t *line = NULL;
    snprintf(part, sizeof part, "round-%d/model/log.jsonl", round);
    char *path = path_join(v->directory, part);
    if (path && file_exists(path) && !file_read(&text, path, 64 << 20, NULL) && text.len) {
        while (text.len && text.data[text.len - 1] != '\n')
            text.data[--text.len] = 0;
        if (text.len)
            text.data[--text.len] = 0;
        const char *last = text.data ? strrchr(text.data, '\n') : NULL;
        last = last ? last + 1 : buf_text(&text);
        if (*last && !jsontext_parse(&line, jsontext_whole(last, strlen(last), part), NULL, NULL)) {
            json_object_set(o, "step", json_object_get(line, "step"));
            json_object_set(o, "loss", json_object_get(line, "loss"));
        }
    }
    json_decref(line);
    buf_free(&text);
    mem_free(path);
}

static int put_round(struct view *v, int t, const struct run_round *as, json_t *rounds, struct error *err)
{
    struct run_counts n;
    json_t *reasons = json_object();
    int rc = run_count(v->run, t, &n, err);
    rc = rc ? rc : run_count_reasons(v->run, t, &(struct run_numbers){put_number, reasons}, err);
    json_t *o =
        json_pack("{s:i, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:o}", "round", t, "state", run_state_name(as->state),
                  "attempts", as->attempts, "asked", n.asked, "answered", n.answered, "to_answer", n.to_answer, "kept",
                  (int)json_integer_value(json_object_get(reasons, sift_reason_name(SIFT_KEPT))), "steps",
                  (int)as->steps, "reasons", reasons);
    if (o && as->state == RUN_STATE_TUNE)
        put_step(v, t, o);
    if (json_array_append_new(rounds, o))
        rc = error_set_nomem(err, 256, "rounds");
    return rc;
}

static int put_rounds(struct view *v, json_t *all, struct error *err)
{
    json_t *rounds = json_array();
    int rc = 0, review = 0;
    for (int t = 1; !rc; t++) {
        struct run_round as;
        rc = run_get_round(v->run, t, &as, err);
        if (rc || as.state == RUN_STATE_NONE)
            break;
        review = as.state == RUN_STATE_REVIEW ? t : review;
        rc = put_round(v, t, &as, rounds, err);
    }
    json_object_set_new(all, "rounds", rounds);
    json_object_set_new(all, "review", json_integer(review));
    return rc;
}

static json_t *reason_list(void)
{
    json_t *list = json_array();
    for (int i = 0; i < SIFT_REASON_COUNT; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "name", sift_reason_name((enum sift_reason)i), "text",
                                              sift_reason_text((enum sift_reason)i)));
    return list;
}

static const char *text_at(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text ? text : "";
}

static void put_elsewhere(const json_t *settings, json_t *all)
{
    static const char *const roles[] = {"asker", "answerer"};
    json_t *list = json_array();
    for (int k = 0; k < 2; k++) {
        char name[32];
        snprintf(name, sizeof name, "%s-model", roles[k]);
        if (*text_at(settings, name))
            json_array_append_new(list, json_pack("{s:s, s:s}", "role", roles[k], "model", text_at(settings, name)));
    }
    json_object_set_new(all, "elsewhere", list);
}

/* What the run was begun with and from. */
static int put_begun(struct view *v, json_t *all, struct error *err)
{
    json_t *settings = NULL, *manifest = NULL;
    char *path = path_join(v->directory, "manifest.json");
    int rc = path ? run_settings(v->run, &settings, err) : error_set_nomem(err, 64, "a path");
    rc = rc ? rc : jsontext_load(&manifest, path, 1 << 24, err);
    if (!rc) {
        const json_t *seeds = json_object_get(manifest, "seeds"), *test = json_object_get(manifest, "test");
        json_int_t questions = json_integer_value(json_object_get(test, "questions"));
        json_object_set_new(all, "model", json_string(text_at(json_object_get(manifest, "model"), "path")));
        json_object_set_new(all, "seeds", json_integer(json_integer_value(json_object_get(seeds, "pairs"))));
        json_object_set_new(all, "n_item",
                            json_integer(*text_at(test, "sha256")
                                             ? questions
                                             : json_integer_value(json_object_get(seeds, "held_out"))));
        json_object_set_new(all, "n_round", json_integer(json_integer_value(json_object_get(settings, "rounds"))));
        put_elsewhere(settings, all);
    }
    json_decref(settings);
    json_decref(manifest);
    mem_free(path);
    return rc;
}

static int put_decided(struct view *v, json_t *all, struct error *err)
{
    struct report_review n;
    int rc = method_review_counts(v->run, &n, err);
    json_object_set_new(all, "decided",
                        json_pack("{s:i, s:i, s:i, s:i}", "struck", n.struck, "accepted", n.accepted, "edited",
                                  n.edited, "added", n.added));
    return rc;
}

json_t *view_run_json(struct view *v, struct error *err)
{
    long pid = 0;
    json_t *arms = json_object(),
           *all = json_pack("{s:s, s:o, s:o}", "name", path_base(v->directory), "reasons", reason_list(), "arms", arms);
    int rc = all ? 0 : error_set_nomem(err, 256, "a run"), live = run_is_live(v->run, &pid);
    rc = rc ? rc : put_begun(v, all, err);
    rc = rc ? rc : put_rounds(v, all, err);
    rc = rc ? rc : run_count_results(v->run, &(struct run_numbers){put_number, arms}, err);
    rc = rc ? rc : put_decided(v, all, err);
    json_object_set_new(all, "live", json_boolean(live));
    json_object_set_new(all, "pid", json_integer(live ? pid : 0));
    if (!rc)
        return all;
    json_decref(all);
    return NULL;
}

void view_run(void *user, struct http_exchange *x)
{
    struct error err = {0};
    json_t *all = view_run_json(user, &err);
    if (all)
        answer_json(x, 200, all);
    else
        view_fail(x, err.code, &err);
}
