# SPDX-License-Identifier: Apache-2.0
"""llama.cpp (through llama-cpp-python) as a peer: peer_llama_cpp.py MODEL.gguf work.json. W4, one, prefill: one sequence, the greatest logit taken with numpy. W6: texts as
sequences of one batch of 2048 tokens, logits asked for at the scored positions only."""
import sys
import llama_cpp, numpy
from peer import MAX_NEW, N_THREAD, load_ids, serve

model_path, work = sys.argv[1:3]
ids = load_ids(work)
BATCH, SEQUENCES = 2048, 64
silent = llama_cpp.llama_log_callback(lambda *_: None)  # kept: the library calls it for as long as it lives
llama_cpp.llama_log_set(silent, None)
llama_cpp.llama_backend_init()
model = llama_cpp.llama_model_load_from_file(model_path.encode(), llama_cpp.llama_model_default_params())
options = llama_cpp.llama_context_default_params()
options.n_ctx, options.n_batch, options.n_ubatch, options.n_seq_max = BATCH, BATCH, 512, SEQUENCES
options.n_threads = options.n_threads_batch = N_THREAD
if hasattr(options, "kv_unified"):
    options.kv_unified = True
context = llama_cpp.llama_init_from_model(model, options)
n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
batch = llama_cpp.llama_batch_init(BATCH, 0, 1)


def forget():
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)


def put(token, position, sequence, wanted):
    i = batch.n_tokens
    batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, position, 1, wanted
    batch.seq_id[i][0] = sequence
    batch.n_tokens += 1


def decode():
    if llama_cpp.llama_decode(context, batch):
        raise RuntimeError("llama_decode failed")


def logits(i):
    return numpy.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, i), shape=(n_vocab,))


def greedy(name):
    prompt, out = ids[name][0], []
    forget()
    batch.n_tokens = 0
    for i, token in enumerate(prompt):
        put(token, i, 0, i + 1 == len(prompt))
    while True:
        decode()
        out.append(int(logits(batch.n_tokens - 1).argmax()))
        if len(out) == MAX_NEW[name]:
            return "ids", [out]
        batch.n_tokens = 0
        put(out[-1], len(prompt) + len(out) - 1, 0, True)


def score():
    pairs, out, at = ids["W6"], [], 0
    while at < len(pairs):
        forget()
        batch.n_tokens, wanted = 0, []
        for sequence in range(SEQUENCES):
            if at == len(pairs) or batch.n_tokens + len(pairs[at][0]) + len(pairs[at][1]) > BATCH:
                break
            prompt, completion = pairs[at]
            for i, token in enumerate(prompt + completion[:-1]):
                if i >= len(prompt) - 1:
                    wanted.append((batch.n_tokens, completion[i - len(prompt) + 1]))
                put(token, i, sequence, i >= len(prompt) - 1)
            at += 1
        decode()
        for i, target in wanted:
            x = logits(i)
            top = x.max()
            out.append(float(x[target] - top - numpy.log(numpy.exp(x - top).sum())))
    return "logprobs", out


works = {name: (lambda name=name: greedy(name)) for name in ("W4", "one", "prefill") if name in ids}
serve({**works, "W6": score}, {"llama_cpp": llama_cpp.__version__})
