/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tiny_align.h"

#include "tests/check.h"
#include "tests/tiny_model.h"

#include "base/hash.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "model/gguf_out.h"
#include "text/gguf_out.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct tiny_paths tiny;

struct device *tiny_device(int threads)
{
    struct device *d;
    struct error err = {0, ""};
    if (device_open(&d, DEVICE_CPU, &(struct device_options){.n_thread = threads}, &err))
        fail_msg("%s", err.message);
    return d;
}

void tiny_align_options(struct align_options *o, const char *output)
{
    align_options_default(o);
    o->model = tiny.model;
    o->seeds = tiny.seeds;
    o->output = output;
    o->rounds = 2;
    o->attempts = 6;
    o->k = 2;
    o->samples = 2;
    o->dtype = DTYPE_F32;
    o->stop_novelty = 0;
    o->ask.max_new_tokens = 40;
    o->ask.do_sample = 1; /* so that questions differ */
    o->ask.num_beams = 1;
    o->ask.no_repeat_ngram_size = 0;
    o->answer.max_new_tokens = 30;
    o->answer.num_beams = 2;
    o->sift = (struct sift_options){.threshold = 0.9,
                                    .question_min_words = 1,
                                    .question_max_words = 100,
                                    .answer_min_words = 0,
                                    .answer_max_words = 100,
                                    .repetition = 1,
                                    .copy = 1,
                                    .need_end = 0};
    o->train.num_train_epochs = 1;
    o->train.learning_rate = 1e-3;
    o->train.save_steps = 2;
}

void tiny_align(const struct align_options *o, int threads, struct align_result *r)
{
    struct device *d = tiny_device(threads);
    struct error err = {0, ""};
    if (method_align(d, o, r, &err))
        fail_msg("%s", err.message);
    device_close(d);
}

void tiny_align_copy(const char *run, const char *to)
{
    char command[4096];
    snprintf(command, sizeof command, "cp -r '%s' '%s'", run, to);
    assert_int_equal(system(command), 0);
}

void tiny_align_change(const char *run, const char *sql)
{
    char path[1300], *why = NULL;
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/run.db", run);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why))
        fail_msg("%s: %s", sql, why);
    assert_int_equal(sqlite3_changes(db), 1);
    sqlite3_close(db);
}

void tiny_align_one_round(struct align_options *o, const char *output)
{
    tiny_align_options(o, output);
    o->rounds = 1;
    o->attempts = 4;
    o->test = tiny.test;
    o->retriever = RETRIEVER_BM25;
}

int tiny_align_reference(void **state, void (*options)(struct align_options *o, const char *output),
                         char reference[1100])
{
    struct align_options o;
    struct align_result r;
    int rc = tiny_align_setup(state);
    snprintf(reference, 1100, "%s/reference", tiny.root);
    options(&o, reference);
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    return rc;
}

void tiny_align_hash(const char *run, const char *name, char hex[65])
{
    char path[2048];
    struct error err = {0, ""};
    snprintf(path, sizeof path, "%s/%s", run, name);
    if (sha256_file(path, hex, &err))
        fail_msg("%s", err.message);
}

void tiny_align_same(const char *a, const char *b)
{
    static const char *const files[] = {
        "round-1/generated.jsonl",         "round-2/generated.jsonl", "round-1/model/model.safetensors",
        "round-2/model/model.safetensors", "config.resolved.json",    "arms/round-2.jsonl"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char x[65], y[65];
        tiny_align_hash(a, files[i], x);
        tiny_align_hash(b, files[i], y);
        if (strcmp(x, y))
            fail_msg("%s differs between %s and %s", files[i], a, b);
    }
}

struct kill_plan {
    long after, seen;
    int interrupt;
};

static void count_and_kill(void *user, const struct progress *p)
{
    struct kill_plan *plan = user;
    (void)p;
    if (plan->seen++ != plan->after)
        return;
    if (plan->interrupt)
        interrupt_request(SIGINT);
    else
        kill(getpid(), SIGKILL);
}

int tiny_align_until(const struct align_options *o, long after, int interrupt)
{
    pid_t child = fork();
    if (!child) {
        struct kill_plan plan = {after, 0, interrupt};
        struct device *d;
        struct align_result r;
        struct error err = {0, ""};
        log_set_sink(&(struct log_sink){NULL, count_and_kill, &plan});
        if (device_open(&d, DEVICE_CPU, &(struct device_options){.n_thread = 2}, &err))
            _exit(2);
        int rc = method_align(d, o, &r, &err);
        if (rc == ERROR_INTERRUPTED && strstr(err.message, "run the same command again"))
            _exit(75);
        _exit(rc ? 3 : 0);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        return 0;
    if (interrupt && WEXITSTATUS(status) == 75)
        return 0;
    assert_int_equal(WEXITSTATUS(status), 0);
    return 1;
}

int tiny_align_setup(void **state)
{
    (void)state;
    /* in memory where that can be: thousands of commits wait for the disk otherwise */
    snprintf(tiny.root, sizeof tiny.root, "/dev/shm/isara-align-%ld", (long)getpid());
    if (mkdir(tiny.root, 0700))
        snprintf(tiny.root, sizeof tiny.root, "%s", check_tmpdir("align"));
    snprintf(tiny.model, sizeof tiny.model, "%s/model", tiny.root);
    snprintf(tiny.judge, sizeof tiny.judge, "%s/judge", tiny.root);
    snprintf(tiny.seeds, sizeof tiny.seeds, "%s/seeds.jsonl", tiny.root);
    snprintf(tiny.test, sizeof tiny.test, "%s/test.jsonl", tiny.root);
    struct device *d = tiny_device(1);
    tiny_model_make(d, tiny.root);
    tiny_judge_make(d, tiny.root);
    device_close(d);
    return 0;
}

int tiny_align_teardown(void **state)
{
    (void)state;
    return tree_remove(tiny.root, NULL);
}

void tiny_align_gguf(const char *to)
{
    struct checkpoint *ck;
    struct tokenizer *t = NULL;
    struct gguf_writer *w = NULL;
    struct gguf_model *g;
    struct error err = {0};
    if (checkpoint_open(&ck, tiny.model, &err) || tokenizer_open(&t, tiny.model, &err) || gguf_writer_new(&w, &err))
        fail_msg("%s", err.message);
    int rc = gguf_model_put(&g, w, ck, STORAGE_Q8_0, &err);
    rc = rc ? rc : tokenizer_to_gguf(t, gguf_model_desc(g)->n_vocab, w, &err);
    rc = rc ? rc : gguf_model_write(g, w, to, &err);
    gguf_model_free(g);
    if (gguf_writer_end(w, rc, &err))
        fail_msg("%s", err.message);
    tokenizer_close(t);
    checkpoint_close(ck);
}
