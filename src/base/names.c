/* SPDX-License-Identifier: Apache-2.0 */
#include "base/names.h"

#include <string.h>

/* Names people know from elsewhere (transformers, trl, axolotl, LLaMA-Factory, vLLM, llama.cpp, lm-eval, OpenAI), and
 * ours. One may stand for several: the first that the verb has is named. */
struct other_name {
    const char *theirs, *ours;
};
static const struct other_name others[] = {
    {"lr", "learning-rate"},
    {"epochs", "num-train-epochs"},
    {"n-epochs", "num-train-epochs"},
    {"num-epochs", "num-train-epochs"},
    {"train-epochs", "num-train-epochs"},
    {"steps", "max-steps"},
    {"iters", "max-steps"},
    {"batch-size", "per-device-train-batch-size"},
    {"batch-size", "max-num-seqs"},
    {"parallel", "max-num-seqs"},
    {"batch-size", "kv-memory"}, /* what bounds how many sequences are in flight */
    {"max-num-seqs", "kv-memory"},
    {"gpu-memory-utilization", "kv-memory"},
    {"kv-cache-dtype", "kv-dtype"},
    {"enable-prefix-caching", "prefix-cache"},
    {"batch", "per-device-train-batch-size"},
    {"bs", "per-device-train-batch-size"},
    {"micro-batch-size", "per-device-train-batch-size"},
    {"train-batch-size", "per-device-train-batch-size"},
    {"grad-accum", "gradient-accumulation-steps"},
    {"accumulation-steps", "gradient-accumulation-steps"},
    {"scheduler", "lr-scheduler-type"},
    {"schedule", "lr-scheduler-type"},
    {"lr-schedule", "lr-scheduler-type"},
    {"warmup", "warmup-ratio"},
    {"warmup-steps", "warmup-ratio"},
    {"clip", "max-grad-norm"},
    {"grad-clip", "max-grad-norm"},
    {"gradient-clipping", "max-grad-norm"},
    {"wd", "weight-decay"},
    {"beta1", "adam-beta1"},
    {"beta2", "adam-beta2"},
    {"eps", "adam-epsilon"},
    {"epsilon", "adam-epsilon"},
    {"max-seq-length", "max-length"},
    {"max-seq-len", "max-length"},
    {"seq-len", "max-length"},
    {"sequence-len", "max-length"},
    {"sequence-length", "max-length"},
    {"cutoff-len", "max-length"},
    {"block-size", "max-length"},
    {"model-max-length", "max-length"},
    {"context-length", "max-length"},
    {"rank", "lora-r"},
    {"r", "lora-r"},
    {"lora-rank", "lora-r"},
    {"lora-dim", "lora-r"},
    {"lora", "adapter"},
    {"lora", "lora-r"},
    {"use-lora", "lora-r"},
    {"use-peft", "lora-r"},
    {"alpha", "lora-alpha"},
    {"target-modules", "lora-target-modules"},
    {"lora-target", "lora-target-modules"},
    {"lora-path", "adapter"},
    {"adapter-path", "adapter"},
    {"adapter-name-or-path", "adapter"},
    {"peft", "adapter"},
    {"activation-checkpointing", "gradient-checkpointing"},
    {"grad-checkpoint", "gradient-checkpointing"},
    {"max-tokens", "max-new-tokens"},
    {"max-completion-tokens", "max-new-tokens"},
    {"max-gen-toks", "max-new-tokens"},
    {"max-length", "max-new-tokens"},
    {"ctx-size", "max-model-len"},
    {"n-ctx", "max-model-len"},
    {"context-length", "max-model-len"},
    {"max-seq-len", "max-model-len"},
    {"alias", "served-model-name"},
    {"model-alias", "served-model-name"},
    {"bind", "host"},
    {"listen", "host"},
    {"address", "host"},
    {"p", "port"},
    {"cors", "allow-origin"},
    {"allowed-origins", "allow-origin"},
    {"timeout", "patience"},
    {"timeout", "endpoint-timeout"},
    {"teacher", "answerer-endpoint"},
    {"teacher-model", "answerer-model"},
    {"n-predict", "max-new-tokens"},
    {"num-predict", "max-new-tokens"},
    {"n-tokens", "max-new-tokens"},
    {"predict", "max-new-tokens"},
    {"min-tokens", "min-new-tokens"},
    {"temp", "temperature"},
    {"n", "num-return-sequences"},
    {"n", "limit"},
    {"best-of", "num-return-sequences"},
    {"num-samples", "num-return-sequences"},
    {"num-generations", "num-return-sequences"},
    {"num-samples", "attempts"},
    {"num-generations", "attempts"},
    {"num-instructions", "attempts"},
    {"beams", "num-beams"},
    {"beam-size", "num-beams"},
    {"beam-width", "num-beams"},
    {"use-beam-search", "num-beams"},
    {"sample", "do-sample"},
    {"sampling", "do-sample"},
    {"greedy", "num-beams"},
    {"topk", "top-k"},
    {"topp", "top-p"},
    {"nucleus", "top-p"},
    {"repeat-penalty", "repetition-penalty"},
    {"rep-pen", "repetition-penalty"},
    {"ngram", "no-repeat-ngram-size"},
    {"stop-strings", "stop"},
    {"stop-string", "stop"},
    {"stop-sequence", "stop"},
    {"stop-sequences", "stop"},
    {"stop-words", "stop"},
    {"until", "stop"},
    {"reverse-prompt", "stop"},
    {"stop-token-ids", "eos-token-id"},
    {"eos", "eos-token-id"},
    {"m", "model"},
    {"model-path", "model"},
    {"model-name", "model"},
    {"model-id", "model"},
    {"model-name-or-path", "model"},
    {"base-model", "model"},
    {"pretrained", "model"},
    {"checkpoint", "model"},
    {"ckpt", "model"},
    {"hf-repo", "model"},
    {"model-args", "model"},
    {"i", "input"},
    {"f", "input"},
    {"in", "input"},
    {"file", "input"},
    {"input-file", "input"},
    {"prompts", "input"},
    {"prompt-file", "input"},
    {"prompt", "text"},
    {"prompt", "input"},
    {"p", "input"},
    {"o", "output"},
    {"out", "output"},
    {"output-dir", "output"},
    {"output-path", "output"},
    {"output-file", "output"},
    {"outfile", "output"},
    {"out-dir", "output"},
    {"save-dir", "output"},
    {"save-path", "output"},
    {"dataset", "data"},
    {"dataset", "seeds"},
    {"dataset", "test"},
    {"data", "seeds"},
    {"data", "test"},
    {"data", "input"},
    {"dataset-name", "data"},
    {"dataset-path", "data"},
    {"data-path", "data"},
    {"train-data", "data"},
    {"train-file", "data"},
    {"training-data", "data"},
    {"seed-tasks-path", "seeds"},
    {"seed-file", "seeds"},
    {"examples", "seeds"},
    {"test-file", "test"},
    {"test-data", "test"},
    {"eval-file", "eval-data"},
    {"eval-dataset", "eval-data"},
    {"validation-file", "eval-data"},
    {"val-data", "eval-data"},
    {"valid-data", "eval-data"},
    {"tasks", "task"},
    {"num-fewshot", "k"},
    {"fewshot", "k"},
    {"shots", "k"},
    {"iterations", "rounds"},
    {"num-rounds", "rounds"},
    {"prompt-template", "template"},
    {"chat-template", "template"},
    {"apply-chat-template", "template"},
    {"system-prompt", "system"},
    {"t", "threads"},
    {"jobs", "threads"},
    {"n-threads", "threads"},
    {"num-threads", "threads"},
    {"num-workers", "threads"},
    {"nproc", "threads"},
    {"random-seed", "seed"},
    {"precision", "dtype"},
    {"torch-dtype", "dtype"},
    {"bf16", "dtype"},
    {"fp16", "dtype"},
    {"fp32", "dtype"},
    {"load-in-8bit", "dtype"},
    {"quantization", "type"},
    {"quantization", "dtype"},
    {"quantize", "type"},
    {"outtype", "type"},
    {"format", "to"},
    {"max-shard-size", "shard-size"},
    {"c", "config"},
    {"config-file", "config"},
    {"yaml", "config"},
    {"v", "log-level"},
    {"verbose", "log-level"},
    {"verbosity", "log-level"},
    {"debug", "log-level"},
    {"quiet", "log-level"},
    {"q", "log-level"},
    {"silent", "log-level"},
    {"base-url", "endpoint"},
    {"api-base", "endpoint"},
    {"base-url", "answerer-endpoint"},
    {"api-base", "answerer-endpoint"},
    {"endpoint", "answerer-endpoint"},
    {"resume-from-checkpoint", "resume"},
    {"max-samples", "limit"},
    {"max-instances", "limit"},
    {"revision", "model"},
};
static char plain(char c) /* as names are written here */
{
    if (c == '_')
        return '-';
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int same(const char *a, size_t n, const char *b)
{
    for (size_t i = 0; i < n; i++)
        if (plain(a[i]) != b[i])
            return 0;
    return b[n] == 0;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int distance(const char *a, size_t m, const char *b)
{
    enum { MOST = 60 };
    int rows[3][MOST + 1], n = (int)strlen(b);
    if (m > MOST || n > MOST)
        return MOST;
    int *before = rows[0], *last = rows[1], *row = rows[2];
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; i <= (int)m; i++) {
        int *oldest = before;
        before = last;
        last = row;
        row = oldest;
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            char c = plain(a[i - 1]);
            row[j] = least(last[j - 1] + (c != b[j - 1]), least(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && c == b[j - 2] && plain(a[i - 2]) == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return row[n];
}

/* A longer name may have more slips in it. */
int names_slips(size_t length)
{
    return length < 4 ? 1 : least((int)length / 3, 3);
}

/* Is every word of a name, between hyphens, the beginning of one of b's? */
static int part_of(const char *a, size_t n, const char *b)
{
    for (size_t i = 0, word; i < n; i += word + 1) {
        for (word = 0; i + word < n && plain(a[i + word]) != '-';)
            word++;
        const char *at = b;
        for (size_t k = 0; at; k = 0) {
            while (k < word && plain(a[i + k]) == at[k])
                k++;
            if (k == word)
                break;
            at = strchr(at, '-');
            at = at ? at + 1 : NULL;
        }
        if (word < 2 || !at)
            return 0;
    }
    return n >= 3;
}

const char *names_elsewhere(const struct names *names, const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        for (int k = 0; k < names->n && same(name, length, others[i].theirs); k++)
            if (!strcmp(names->list[k], others[i].ours))
                return names->list[k];
    return NULL;
}

const char *names_nearest(const struct names *names, const char *name, size_t length, int most)
{
    int best = most + 1;
    const char *near = NULL;
    for (int i = 0; i < names->n; i++) {
        int d = distance(name, length, names->list[i]);
        if (d < best && d < (int)length) {
            best = d;
            near = names->list[i];
        }
    }
    return near;
}

static const char *containing(const struct names *names, const char *name, size_t length)
{
    const char *shortest = NULL;
    for (int i = 0; i < names->n; i++) {
        const char *ours = names->list[i];
        if (part_of(name, length, ours) && (!shortest || strlen(ours) < strlen(shortest)))
            shortest = ours;
    }
    return shortest;
}

const char *names_meant(const struct names *names, const char *name, size_t length)
{
    const char *found = names_elsewhere(names, name, length);
    found = found ? found : names_nearest(names, name, length, names_slips(length));
    return found ? found : containing(names, name, length);
}
