#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One layer of real models' true shape with random bf16 weights: isara's log-probabilities (f32) of 300 tokens, and those under one step of training, beside
transformers'. Too large to commit. Seen with torch 2.15.0, transformers 5.24.0, safetensors 0.7.

usage: check-shapes.py [--isara build/isara] [--vocabulary N] [--tmp DIRECTORY] [NAME...]
    --vocabulary: rows of the embedding [4096; 0: the model's own, which takes some GB]"""
import argparse, json, pathlib, subprocess, sys, tempfile
import torch, transformers
from safetensors.torch import save_file

LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
SHAPES = {
    "LLaMA-7B": ("Llama", dict(vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_attention_heads=32, num_key_value_heads=32, max_position_embeddings=2048)),
    "Llama-3-8B": ("Llama", dict(vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_attention_heads=32, num_key_value_heads=8, max_position_embeddings=131072,
                                 rms_norm_eps=1e-5, rope_parameters=LLAMA3)),
    "Gemma-2-9B": ("Gemma2", dict(vocab_size=256000, hidden_size=3584, intermediate_size=14336, num_attention_heads=16, num_key_value_heads=8, head_dim=256,
                                  query_pre_attn_scalar=256)),
    "Qwen2.5-7B": ("Qwen2", dict(vocab_size=152064, hidden_size=3584, intermediate_size=18944, num_attention_heads=28, num_key_value_heads=4, max_position_embeddings=32768,
                                 rope_parameters={"rope_type": "default", "rope_theta": 1e6})),
    "Gemma-3-12B": ("Gemma3Text", dict(vocab_size=262208, hidden_size=3840, intermediate_size=15360, num_attention_heads=16, num_key_value_heads=8, head_dim=256)),
    "OPT-6.7B": ("OPT", dict(vocab_size=50272, hidden_size=4096, ffn_dim=16384, num_attention_heads=32, max_position_embeddings=2048, word_embed_proj_dim=4096)),
    "Phi-3-mini": ("Phi3", dict(vocab_size=32064, hidden_size=3072, intermediate_size=8192, num_attention_heads=32, num_key_value_heads=32, sliding_window=2047)),
}


def check(a, name, tmp):
    kind, shape = SHAPES[name]
    shape = shape | ({"vocab_size": a.vocabulary} if a.vocabulary else {})
    config = getattr(transformers, kind + "Config")(num_hidden_layers=1, pad_token_id=None, bos_token_id=1, eos_token_id=2, **shape)
    torch.manual_seed(3)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation="eager").eval()
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 1:
                p += 0.2 * torch.randn_like(p)
    (tmp / "config.json").write_text(json.dumps(config.to_dict() | {"architectures": [type(model).__name__]}, default=str))
    weights = {k: v.contiguous() for k, v in model.state_dict().items() if not (config.tie_word_embeddings and k == "lm_head.weight")}
    save_file(weights, tmp / "model.safetensors", metadata={"format": "pt"})
    del model, weights
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp, dtype=torch.float32, attn_implementation="eager").eval()  # a cast would keep Gemma's scale in bf16
    ids = torch.randint(3, shape["vocab_size"], (1, 300))
    (tmp / "rows.jsonl").write_text(json.dumps({"prompt_token_ids": ids[0, :1].tolist(), "completion_token_ids": ids[0, 1:].tolist()}) + "\n")

    def run(*words):
        r = subprocess.run([a.isara, *words, "--dtype", "f32", "--log-level", "quiet"], capture_output=True, text=True)
        if r.returncode:
            sys.exit(f"isara {' '.join(words)}: {r.stderr}")
        return r.stdout

    mine = torch.tensor(json.loads(run("score", "--model", str(tmp), "--input", str(tmp / "rows.jsonl")))["token_logprobs"], dtype=torch.float64)
    logits = model(ids).logits[0, :-1].double()
    largest = logits.detach().abs().max().item()
    lp = torch.log_softmax(logits, -1).gather(1, ids[0, 1:, None])[:, 0]
    loss = -lp.mean()
    difference = (lp.detach() - mine).abs().max().item()
    loss.backward()
    norm = torch.sqrt(sum((p.grad.double() ** 2).sum() for p in model.parameters())).item()
    run("train", "--model", str(tmp), "--data", str(tmp / "rows.jsonl"), "--output", str(tmp / "out"), "--max-steps", "1", "--max-length", "320")
    step = json.loads((tmp / "out" / "log.jsonl").read_text().splitlines()[0])
    loss = loss.item()
    print(f"{name:12} log-probabilities {difference:.1e} (logits up to {largest:.0f})   loss {step['loss']:.7g} ({abs(step['loss'] / loss - 1):.1e})   gradient norm {step['grad_norm']:.7g} "
          f"({abs(step['grad_norm'] / norm - 1):.1e})", flush=True)
    return difference < 1e-4 and abs(step["loss"] / loss - 1) < 1e-5 and abs(step["grad_norm"] / norm - 1) < 1e-4


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--isara", default="build/isara")
    p.add_argument("--vocabulary", type=int, default=4096)
    p.add_argument("--tmp")
    p.add_argument("names", nargs="*")
    a = p.parse_args()
    good = True
    for name in a.names or SHAPES:
        with tempfile.TemporaryDirectory(dir=a.tmp) as tmp:
            good &= check(a, name, pathlib.Path(tmp))
    sys.exit(not good)


main()
