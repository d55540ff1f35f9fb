# SPDX-License-Identifier: Apache-2.0
"""PyTorch, trl and peft as peers in fine-tuning: peer_train.py MODEL_DIR work.json. One process that loads once; a line of its standard input names a work and a
way, the weights go back to the start, and the answer is one JSON line: seconds, loss of each step.

works: W5a (64 short rows), W5b (the first 32 long rows), load (both, three epochs). ways, each at its best settings here: autocast and f32 are a plain loop (rows
padded to the longest of the batch, vocabulary projection at the targets only, fused AdamW), trl is SFTTrainer in bf16, peft is the plain loop in autocast over LoRA
r = 16 on q_proj and v_proj."""
import json, math, sys, time, warnings

import torch, transformers
from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup

warnings.filterwarnings("ignore")
model_dir, work_json = sys.argv[1:3]
torch.set_num_threads(2)
IDS = json.load(open(work_json))["ids"]
ROWS = {"W5a": IDS["W5a"], "W5b": IDS["W5b"][:32], "load": IDS["W5a"] + IDS["W5b"][:32]}
EPOCHS, BATCH, PAD, LR = {"W5a": 1, "W5b": 1, "load": 3}, 4, 2, 2e-5
model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
start_state = {k: v.clone() for k, v in model.state_dict().items()}


def batches(rows):
    for i in range(0, len(rows), BATCH):
        some = rows[i : i + BATCH]
        width = max(len(p) + len(c) for p, c in some)
        x, mask, labels = torch.full((len(some), width), PAD), torch.zeros(len(some), width, dtype=torch.long), torch.full((len(some), width), -100)
        for k, (p, c) in enumerate(some):
            n = len(p) + len(c)
            x[k, :n], mask[k, :n], labels[k, len(p) : n] = torch.tensor(p + c), 1, torch.tensor(c)
        yield x, mask, labels


def loss_of(m, x, mask, labels):
    hidden = m.model(input_ids=x, attention_mask=mask).last_hidden_state[:, :-1]
    target = labels[:, 1:]
    where = target != -100
    return torch.nn.functional.cross_entropy(m.lm_head(hidden[where]).float(), target[where])


def loop(m, base, rows, epochs, autocast):
    trained = [p for p in m.parameters() if p.requires_grad]
    total = epochs * math.ceil(len(rows) / BATCH)
    optimizer = torch.optim.AdamW(trained, lr=LR, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, fused=True)
    schedule, losses = get_cosine_schedule_with_warmup(optimizer, math.ceil(0.03 * total), total), []
    m.train()
    for _ in range(epochs):
        for x, mask, labels in batches(rows):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = loss_of(base, x, mask, labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
    return losses


def plain(work, autocast):
    start = time.perf_counter()
    losses = loop(model, model, ROWS[work], EPOCHS[work], autocast)
    return time.perf_counter() - start, losses


def lora(work):
    import peft

    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=16, lora_alpha=32, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    start = time.perf_counter()
    losses = loop(wrapped, wrapped.base_model.model, ROWS[work], EPOCHS[work], True)
    seconds = time.perf_counter() - start
    wrapped.unload()
    for p in model.parameters():
        p.requires_grad_(True)
    return seconds, losses


def trl_sft(work):
    import datasets, trl

    rows = datasets.Dataset.from_list([{"input_ids": p + c, "completion_mask": [0] * len(p) + [1] * len(c)} for p, c in ROWS[work]])
    config = trl.SFTConfig(output_dir="/tmp/isara-bench-trl", per_device_train_batch_size=BATCH, num_train_epochs=EPOCHS[work], learning_rate=LR, bf16=True, use_cpu=True,
                           gradient_checkpointing=False, max_length=None, lr_scheduler_type="cosine", warmup_steps=1, adam_beta2=0.95, weight_decay=0.0, max_grad_norm=1.0,
                           optim="adamw_torch_fused", logging_steps=1, save_strategy="no", report_to="none", dataloader_num_workers=0, disable_tqdm=True, completion_only_loss=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    trainer = trl.SFTTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer)
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    return seconds, [e["loss"] for e in trainer.state.log_history if "loss" in e]


WAYS = {"autocast": lambda w: plain(w, True), "f32": lambda w: plain(w, False), "trl": trl_sft, "peft": lora}
versions = {"torch": torch.__version__, "transformers": transformers.__version__}
for name in ("trl", "peft"):
    try:
        versions[name] = __import__(name).__version__
    except ImportError:
        WAYS.pop(name)
print(json.dumps({"ready": True, "versions": versions}), flush=True)
for line in sys.stdin:
    work, way = line.split()
    model.load_state_dict(start_state)
    model.zero_grad(set_to_none=True)
    try:
        seconds, losses = WAYS[way](work)
        print(json.dumps({"seconds": seconds, "loss": losses}), flush=True)
    except Exception as e:  # a peer that fails is missing, the others go on
        print(json.dumps({"error": f"{type(e).__name__}: {e}"[:300]}), flush=True)
