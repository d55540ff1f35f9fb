# SPDX-License-Identifier: Apache-2.0
"""The work of one align round strung together from transformers and trl in bf16 (a peer of isara align).

Reads the prompts isara used (run.db of its run), generates with 5 beams and the same limits, then fine-tunes with trl on
the rows isara kept plus the seeds. Prints seconds per phase as one JSON line.  usage: peer_align.py MODEL_DIR RUN_DIR SEEDS"""
import json, sqlite3, sys, time
import torch, transformers, trl
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

model_dir, run_dir, seeds_path = sys.argv[1:4]
torch.set_num_threads(2)
tok = AutoTokenizer.from_pretrained(model_dir, padding_side="left")
tok.pad_token = tok.pad_token or tok.eos_token
model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.bfloat16).eval()
db = sqlite3.connect(run_dir + "/run.db")
columns = [c[1] for c in db.execute("pragma table_info(attempts)")]
rows = [dict(zip(columns, r)) for r in db.execute("select * from attempts where round=1")]


def generate(prompts, new, stop, extra, batch=8):
    start = time.time()
    with torch.inference_mode():
        for i in range(0, len(prompts), batch):
            x = tok(prompts[i : i + batch], return_tensors="pt", padding=True)
            model.generate(**x, num_beams=5, do_sample=False, max_new_tokens=new, stop_strings=stop, tokenizer=tok, **extra)
    return time.time() - start


ask = [r["ask_prompt"] for r in rows if r["ask_prompt"]]
answer = [r["answer_prompt"] for r in rows if r["answer_prompt"]]
out = {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__, "ask_prompts": len(ask), "answer_prompts": len(answer)}
out["ask"] = generate(ask, 64, ["\n"], {"repetition_penalty": 1.2, "no_repeat_ngram_size": 3})
out["answer"] = generate(answer, 256, ["\nQuestion:"], {})
data = [json.loads(l) for l in open(seeds_path)]
pairs = [(d["question"], d["answer"]) for d in data] + [(r["question"], r["answer"]) for r in rows if r["verdict"] == "kept"]
train = Dataset.from_list([{"prompt": f"Question: {q}\nAnswer:", "completion": f" {a}"} for q, a in pairs])
start = time.time()
args = trl.SFTConfig(output_dir="/tmp/peer_align", per_device_train_batch_size=4, num_train_epochs=3, learning_rate=2e-5, lr_scheduler_type="cosine", warmup_ratio=0.03,
                     max_length=512, bf16=True, use_cpu=True, save_strategy="no", report_to=[], adam_beta2=0.95, gradient_checkpointing=False, logging_steps=1000)
trl.SFTTrainer(model=AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32), args=args, train_dataset=train, processing_class=tok).train()
out["tune"] = time.time() - start
out["total"] = out["ask"] + out["answer"] + out["tune"]
print(json.dumps(out))
