/* SPDX-License-Identifier: Apache-2.0 */
/* Distilling the context: what the teacher's file holds, a run that is killed ends with the same bytes, and a file that
 * was torn, damaged or deleted is gone on with, refused or made again. */
#include "tests/check.h"
#include "tests/tiny_align.h"

#include "base/base64.h"
#include "base/hash.h"
#include "io/file.h"
#include "io/jsonl.h"
#include "io/jsontext.h"
#include "run/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char reference[1100];

static void soft_options(struct align_options *o, const char *output)
{
    tiny_align_options(o, output);
    o->tune_loss = ALIGN_LOSS_SOFT;
}

static void same_soft(const char *a, const char *b)
{
    static const char *const files[] = {"round-1/teacher.jsonl", "round-2/teacher.jsonl"};
    tiny_align_same(a, b);
    for (int i = 0; i < 2; i++) {
        char x[65], y[65];
        tiny_align_hash(a, files[i], x);
        tiny_align_hash(b, files[i], y);
        assert_string_equal(x, y);
    }
}

/* n numbers of four bytes each, spelt in the member. */
static void read_numbers(const json_t *line, const char *key, void *to, size_t n)
{
    struct buf b = BUF_INIT;
    const char *text = json_string_value(json_object_get(line, key));
    assert_non_null(text);
    assert_int_equal(base64_decode(&b, text, strlen(text)), 0);
    assert_int_equal(b.len, n * 4);
    memcpy(to, b.data, n * 4);
    buf_free(&b);
}

enum { TOP = 64, MOST_TOKENS = 256 };
struct taught {
    int n, n_context;
    int32_t ids[MOST_TOKENS], top[MOST_TOKENS][TOP];
    float logprobs[MOST_TOKENS][TOP];
};

/* A row's line, whose lists are distributions in decreasing order and end in a sure one. */
static void read_line(const json_t *line, struct taught *t)
{
    const char *text = json_string_value(json_object_get(line, "ids"));
    t->n = (int)(strlen(text) / 4 * 3 - (size_t)(strchr(text, '=') ? text + strlen(text) - strchr(text, '=') : 0)) / 4;
    assert_in_range(t->n, 2, MOST_TOKENS);
    assert_int_equal(json_integer_value(json_object_get(line, "n_top")), TOP);
    read_numbers(line, "ids", t->ids, (size_t)t->n);
    read_numbers(line, "top_ids", t->top, (size_t)t->n * TOP);
    read_numbers(line, "top_logprobs", t->logprobs, (size_t)t->n * TOP);
    t->n_context = (int)json_array_size(json_object_get(line, "contexts"));
    for (int i = 0; i < t->n - 1; i++) {
        double sum = 0;
        for (int k = 0; k < TOP; k++) {
            assert_in_range(t->top[i][k], 0, 259);
            assert_true(!k || t->logprobs[i][k] <= t->logprobs[i][k - 1]);
            sum += exp((double)t->logprobs[i][k]);
        }
        assert_true(sum > 0.3 && sum < 1);
    }
    assert_int_equal(t->ids[t->n - 1], 256); /* the end */
    assert_int_equal(t->top[t->n - 1][0], 256);
    assert_int_equal(t->top[t->n - 1][1], -1);
    assert_true(t->logprobs[t->n - 1][0] == 0);
}

/* The teacher is the model that answered, before the same prompt: what was generated has the same log-probabilities.
 * Returns how many were looked at. */
static int check_answer(const struct taught *t, const struct run_text *answer)
{
    int seen = 0;
    assert_int_equal(t->n_context, answer->n_context);
    for (int i = 0; i < t->n - 1 && i < answer->n && t->ids[i] == answer->ids[i]; i++)
        for (int k = 0; k < TOP; k++)
            if (t->top[i][k] == t->ids[i]) {
                assert_true(fabsf(t->logprobs[i][k] - answer->logprobs[i]) < 2e-5f);
                seen++;
            }
    return seen;
}

static void the_file_holds_what_the_answering_model_thought(void **state)
{
    (void)state;
    struct run *run;
    struct run_attempt attempts[6];
    struct arena arena = ARENA_INIT;
    struct error err = {0};
    for (int round = 1; round <= 2; round++) {
        char path[1200];
        json_t *lines, *line;
        int seeds = 0, seen = 0, kept = 0;
        size_t i;
        snprintf(path, sizeof path, "%s/round-%d/teacher.jsonl", reference, round);
        assert_int_equal(run_open_readonly(&run, reference, &err), 0);
        for (int k = 0; k < 6; k++)
            attempts[k] = (struct run_attempt){.index = k};
        assert_int_equal(run_get_attempts(run, round, 6, attempts, &arena, &err), 0);
        assert_int_equal(jsonl_load(&lines, path, &err), 0);
        json_array_foreach(lines, i, line)
        {
            static struct taught t;
            const char *name = json_string_value(json_object_get(line, "row"));
            int index;
            read_line(line, &t);
            if (name[0] == 's') {
                assert_int_equal(t.n_context, 2);
                for (size_t k = 0; k < 2; k++)
                    assert_string_not_equal(json_string_value(json_array_get(json_object_get(line, "contexts"), k)),
                                            name);
                seeds++;
            } else {
                assert_int_equal(sscanf(name, "r%*d-a%d", &index), 1);
                seen += check_answer(&t, &attempts[index].answer);
                kept++;
            }
        }
        assert_true(seeds > 4 && kept > 0 && seen > 5 * kept);
        json_decref(lines);
        run_close(run);
    }
    arena_free(&arena);
}

/* A kept attempt's teacher is asked again; one bit of what it said is another. */
static void replay_compares_what_the_teacher_said(void **state)
{
    (void)state;
    char output[1100], path[1200], name[40] = "";
    struct device *d = tiny_device(2);
    struct buf file = BUF_INIT;
    struct error err = {0};
    snprintf(output, sizeof output, "%s/replay", tiny.root);
    tiny_align_copy(reference, output);
    snprintf(path, sizeof path, "%s/round-2/teacher.jsonl", output);
    assert_int_equal(file_read(&file, path, 1 << 26, NULL), 0);
    char *row = strstr(file.data, "\"r2-a");
    assert_int_equal(sscanf(row, "\"%39[^\"]", name), 1);
    for (int changed = 0; changed < 2; changed++) {
        struct buf text = BUF_INIT;
        int same;
        if (method_replay(d, output, name, &same, &text, &err))
            fail_msg("%s", err.message);
        assert_int_equal(same, !changed);
        assert_non_null(strstr(text.data, changed ? "teacher: NOT the same" : "teacher: the same"));
        buf_free(&text);
        char *at = strstr(row, "top_logprobs") + 40;
        *at = *at == 'A' ? 'B' : 'A';
        assert_int_equal(file_write(path, file.data, file.len, NULL), 0);
    }
    buf_free(&file);
    device_close(d);
}

/* The run's second model is gone, so it is tuned again from what the file says. */
static int tune_again(const char *output, struct error *err)
{
    char path[1200];
    struct align_options o;
    struct align_result r;
    struct device *d = tiny_device(2);
    snprintf(path, sizeof path, "%s/round-2/model", output);
    tree_remove(path, NULL);
    soft_options(&o, output);
    int rc = method_align(d, &o, &r, err);
    align_result_free(&r);
    device_close(d);
    return rc;
}

static void a_file_that_is_torn_or_gone_is_made_again(void **state)
{
    (void)state;
    char output[1100], path[1200];
    struct buf text = BUF_INIT;
    struct error err = {0};
    snprintf(output, sizeof output, "%s/torn", tiny.root);
    tiny_align_copy(reference, output);
    snprintf(path, sizeof path, "%s/round-2/teacher.jsonl", output);
    assert_int_equal(file_read(&text, path, 1 << 26, NULL), 0);
    assert_int_equal(truncate(path, (off_t)text.len / 2), 0);
    buf_free(&text);
    snprintf(path, sizeof path, "%s/round-1/teacher.jsonl", output);
    assert_int_equal(unlink(path), 0);
    if (tune_again(output, &err))
        fail_msg("%s", err.message);
    same_soft(reference, output);
}

/* Another answer of the teacher with a checksum of its own: only the run knows that it is not what it was. */
static void forge(struct buf *text)
{
    json_t *line;
    struct buf b = BUF_INIT;
    char hex[65];
    char *end = strchr(text->data, '\n');
    assert_int_equal(jsontext_parse(&line, jsontext_whole(text->data, (size_t)(end - text->data), "line"), NULL, NULL),
                     0);
    json_object_del(line, "sha256");
    json_array_clear(json_object_get(line, "contexts"));
    assert_int_equal(jsontext_dump(&b, line, 0, NULL), 0);
    sha256_bytes(b.data, b.len, hex);
    json_object_set_new(line, "sha256", json_string(hex));
    b.len = 0;
    assert_int_equal(jsontext_dump(&b, line, 0, NULL), 0);
    buf_puts(&b, end);
    json_decref(line);
    buf_free(text);
    *text = b;
}

static void a_file_that_was_changed_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const says[] = {"round-1/teacher.jsonl:1: its checksum", "round-1/teacher.jsonl: is not what"};
    for (int i = 0; i < 2; i++) {
        char output[1100], path[1200];
        struct buf text = BUF_INIT;
        struct error err = {0};
        snprintf(output, sizeof output, "%s/changed-%d", tiny.root, i);
        tiny_align_copy(reference, output);
        snprintf(path, sizeof path, "%s/round-1/teacher.jsonl", output);
        assert_int_equal(file_read(&text, path, 1 << 26, NULL), 0);
        if (i)
            forge(&text);
        else
            strstr(text.data, "seed-")[5] ^= 1;
        assert_int_equal(file_write(path, text.data, text.len, NULL), 0);
        buf_free(&text);
        int rc = tune_again(output, &err);
        if (rc != ERROR_DATA || !strstr(err.message, says[i]))
            fail_msg("%d: %s", rc, err.message);
    }
}

/* Lines of a round's students whose answers are learnt: the teacher was asked about just so many bytes. */
static int count_students(const char *output, int round)
{
    char path[1200];
    json_t *students, *teachers, *line, *other;
    int n = 0;
    size_t i, k;
    snprintf(path, sizeof path, "%s/round-%d/student.jsonl", output, round);
    assert_int_equal(jsonl_load(&students, path, NULL), 0);
    snprintf(path, sizeof path, "%s/round-%d/teacher.jsonl", output, round);
    assert_int_equal(jsonl_load(&teachers, path, NULL), 0);
    json_array_foreach(students, i, line)
    {
        const char *name = json_string_value(json_object_get(line, "row")),
                   *answer = json_string_value(json_object_get(line, "answer"));
        json_array_foreach(teachers, k, other)
        {
            static struct taught t;
            if (strcmp(name, json_string_value(json_object_get(other, "row"))))
                continue;
            read_line(other, &t);
            if (!json_is_true(json_object_get(line, "ended")) || !*answer)
                continue;
            assert_int_equal(t.n, strlen(answer) + 2); /* a space before it, the end behind it */
            n++;
        }
    }
    assert_int_equal(json_array_size(students), json_array_size(teachers));
    json_decref(students);
    json_decref(teachers);
    return n;
}

/* Killed again and again, too: the same bytes. */
static void a_student_writes_its_own_answers(void **state)
{
    (void)state;
    char output[2][1100];
    struct align_options o;
    struct align_result r;
    struct buf text = BUF_INIT;
    struct error err = {0};
    int starts = 1, same = 0;
    for (int i = 0; i < 2; i++)
        snprintf(output[i], sizeof output[i], "%s/student-%d", tiny.root, i);
    soft_options(&o, output[0]);
    o.on_policy = 1;
    o.answer.max_new_tokens = 100;
    o.answer.num_beams = 1;
    o.answer.do_sample = 1;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    o.output = output[1];
    while (!tiny_align_until(&o, 13 + starts * 11 % 23, 0))
        assert_true(++starts < 60);
    assert_true(starts > 2);
    same_soft(output[0], output[1]);
    assert_true(count_students(output[0], 1) > 3);
    assert_true(count_students(output[0], 2) > 3);
    struct device *d = tiny_device(1);
    char path[1200], name[40];
    struct buf file = BUF_INIT;
    snprintf(path, sizeof path, "%s/round-2/teacher.jsonl", output[0]);
    assert_int_equal(file_read(&file, path, 1 << 26, NULL), 0);
    assert_int_equal(sscanf(strstr(file.data, "\"r2-a"), "\"%39[^\"]", name), 1);
    if (method_replay(d, output[0], name, &same, &text, &err))
        fail_msg("%s", err.message);
    if (!same || !strstr(text.data, "teacher: the same"))
        fail_msg("%s", text.data);
    o.tune_loss = ALIGN_LOSS_HARD;
    assert_int_equal(align_options_check(&o, &err), ERROR_USAGE);
    buf_free(&text);
    buf_free(&file);
    device_close(d);
}

static int setup(void **state)
{
    return tiny_align_reference(state, soft_options, reference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_holds_what_the_answering_model_thought),
        cmocka_unit_test(replay_compares_what_the_teacher_said),
        cmocka_unit_test(a_file_that_is_torn_or_gone_is_made_again),
        cmocka_unit_test(a_file_that_was_changed_is_refused_by_name),
        cmocka_unit_test(a_student_writes_its_own_answers),
    };
    return cmocka_run_group_tests(tests, setup, tiny_align_teardown);
}
