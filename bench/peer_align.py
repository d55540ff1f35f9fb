#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""isara align against the same work strung together from transformers and trl, both in bf16, in one run (`make bench-align`).

usage: bench/peer_align.py [ISARA [WORK]]     environment: ISARA_SMOLLM2 (the .gguf file, or its directory), ISARA_DATA, BENCH_THREADS (all), BENCH_BATCHES ("4 8 16"), BENCH_ATTEMPTS (32)

One round, 32 attempts, 64 TruthfulQA seeds, SmolLM2-135M-Instruct. isara runs first. The peer is then given the prompts isara used (rebuilt from
generated.jsonl), the same decoding options and limits, and tunes on the rows isara kept. It generates at the best of several batch sizes, each tried on the first
16 prompts of a phase; loading its model is not counted, loading isara's is. Versions: bench/requirements.txt."""
import json, math, os, shutil, subprocess, sys, time

isara = sys.argv[1] if len(sys.argv) > 1 else "build/isara"
work = sys.argv[2] if len(sys.argv) > 2 else "build/bench-align"
data = os.environ.get("ISARA_DATA", "../shared/data")
gguf = os.environ.get("ISARA_SMOLLM2", "models/smollm2")
if os.path.isdir(gguf):
    gguf = os.path.join(gguf, "SmolLM2-135M-Instruct.Q4_1.gguf")
threads = int(os.environ.get("BENCH_THREADS", os.cpu_count()))
batches = [int(b) for b in os.environ.get("BENCH_BATCHES", "4 8 16").split()]
root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
for path in (isara, gguf, os.path.join(data, "truthfulqa")):
    if not os.path.exists(path):
        sys.exit(f"bench-align: {path} is not there (make, tools/get-smollm2, ISARA_DATA)")
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)


def call(*command):
    start = time.time()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.time() - start


csv = [f for f in os.listdir(f"{data}/truthfulqa") if f.endswith(".csv")][0]
call(sys.executable, f"{root}/tools/truthfulqa-split", f"{data}/truthfulqa/{csv}", f"{work}/data")
call(isara, "convert", "--model", gguf, "--output", f"{work}/model", "--log-level", "warning")
wall = call(isara, "align", "--model", gguf, "--seeds", f"{work}/data/seeds.jsonl", "--output", f"{work}/run", "--rounds", "1", "--attempts", os.environ.get("BENCH_ATTEMPTS", "32"), "--holdout", "0",
            "--samples", "0", "--threads", str(threads), *os.environ.get("BENCH_ALIGN_OPTIONS", "").split())
mine = json.load(open(f"{work}/run/metrics.json"))["seconds"]
settings = json.load(open(f"{work}/run/config.resolved.json"))
seeds = [json.loads(l) for l in open(f"{work}/data/seeds.jsonl")]
rows = [json.loads(l) for l in open(f"{work}/run/round-1/generated.jsonl")]
pairs = lambda names: "".join(f"Question: {seeds[int(n[5:])]['question']}\nAnswer: {seeds[int(n[5:])]['answer']}\n\n" for n in names)
ask = [pairs(r["ask"]["contexts"]) + "Question:" for r in rows]
answered = [r for r in rows if "answer_facts" in r]
answer = [pairs(r["answer_facts"]["contexts"]) + f"Question: {r['question']}\nAnswer:" for r in answered]
kept = [(r["question"], r["answer"]) for r in rows if r["kept"]]

import torch, transformers, trl
from datasets import Dataset, disable_progress_bars
from transformers import AutoModelForCausalLM, AutoTokenizer

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
disable_progress_bars()
torch.set_num_threads(threads)
tok = AutoTokenizer.from_pretrained(f"{work}/model", padding_side="left")
tok.pad_token = tok.pad_token or tok.eos_token
model = AutoModelForCausalLM.from_pretrained(f"{work}/model", dtype=torch.bfloat16).eval()


def generate(prompts, prefix, stop, batch):
    s = {k[len(prefix):].replace("-", "_"): v for k, v in settings.items() if k.startswith(prefix)}
    names = ("num_beams", "max_new_tokens", "min_new_tokens", "repetition_penalty", "no_repeat_ngram_size", "length_penalty", "do_sample")
    options = {k: s[k] for k in names}
    options["do_sample"] = bool(options["do_sample"])
    start, tokens = time.time(), 0
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    with torch.inference_mode():
        for i in range(0, len(prompts), batch):
            x = tok([prompts[j] for j in order[i : i + batch]], return_tensors="pt", padding=True)
            y = model.generate(**x, stop_strings=stop, tokenizer=tok, pad_token_id=tok.pad_token_id, **options)
            tokens += int((y[:, x["input_ids"].shape[1] :] != tok.pad_token_id).sum())
    return time.time() - start, tokens


def best(prompts, prefix, stop):
    """Seconds, tokens and batch of the whole phase at the batch that was fastest on its first 16 prompts."""
    if not prompts:
        return 0.0, 0, 0
    tried = {b: generate(prompts[:16], prefix, stop, b)[0] for b in batches} if len(batches) > 1 else {batches[0]: 0}
    batch = min(tried, key=tried.get)
    return *generate(prompts, prefix, stop, batch), batch


def embed(texts):
    start = time.time()
    with torch.inference_mode():
        for i in range(0, len(texts), 16):
            x = tok(texts[i : i + 16], return_tensors="pt", padding=True)
            model.model(**x).last_hidden_state.float().mean(1)
    return time.time() - start


def report(phase, note):
    print(f"{phase:10} {mine.get(phase, 0):9.1f} {peer[phase]:9.1f} {peer[phase] / max(mine.get(phase, 0), 1e-3):11.2f}   {note}", flush=True)


used = {"ask": sum(r["ask"]["n_tokens"] for r in rows), "answer": sum(r["answer_facts"]["n_tokens"] for r in answered)}
print(f"torch {torch.__version__}, transformers {transformers.__version__}, trl {trl.__version__}; {threads} threads; {len(ask)} asked, {len(answer)} answered, {len(kept)} kept")
print(f"{'phase':10} {'isara s':>9} {'peer s':>9} {'peer/isara':>11}   tokens isara / peer, peer's batch", flush=True)
peer = {}
peer["ask"], ask_tokens, ask_batch = best(ask, "ask-", ["\n"])
report("ask", f"{used['ask']} / {ask_tokens}, batch {ask_batch}")
peer["retrieve"] = embed([s["question"] for s in seeds] + [r["question"] for r in answered])
report("retrieve", f"{len(seeds) + len(answered)} questions")
peer["answer"], answer_tokens, answer_batch = best(answer, "answer-", ["\nQuestion:"])
report("answer", f"{used['answer']} / {answer_tokens}, batch {answer_batch}")
train = Dataset.from_list([{"prompt": f"Question: {q}\nAnswer:", "completion": f" {a}{tok.eos_token}"} for q, a in [(s["question"], s["answer"]) for s in seeds] + kept])
steps = settings["train-max-steps"] or 3 * math.ceil(len(train) / 4)
args = trl.SFTConfig(output_dir=f"{work}/trl", per_device_train_batch_size=4, num_train_epochs=3, max_steps=steps, learning_rate=2e-5, lr_scheduler_type="cosine", warmup_steps=math.ceil(0.03 * steps),
                     max_length=512, bf16=True, use_cpu=True, save_strategy="no", report_to=[], adam_beta2=0.95, gradient_checkpointing=False, logging_steps=100000,
                     disable_tqdm=True, dataloader_pin_memory=False)
trainer = trl.SFTTrainer(model=AutoModelForCausalLM.from_pretrained(f"{work}/model", dtype=torch.float32), args=args, train_dataset=train, processing_class=tok)
start = time.time()
trainer.train()
trainer.save_model(f"{work}/trl/model")
peer["tune"] = time.time() - start
report("tune", f"{len(train)} rows, {steps} steps of 4")
total = sum(mine.get(p, 0) for p in peer)
print(f"{'total':10} {total:9.1f} {sum(peer.values()):9.1f} {sum(peer.values()) / total:11.2f}   isara's whole process, loading and evidence included: {wall:.1f} s")
