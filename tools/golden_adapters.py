#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/adapters/: a tiny random LLaMA and adapters of PEFT's less usual kinds, with the summed log-probability that PEFT's own loading gives them.

adapters.json: versions, the ids, how many of them are the prompt, and one sum an adapter (merged and unmerged agree to 1e-4, which is asserted here)
defaults.json: of every family an adapter of PEFT's default target modules (of its table; DEFAULTS says where it has none) beside a model of tests/golden/families:
               the modules, the sum, the mean loss of the tokens behind the prompt and the norm of its gradient by each factor
classifiers.json: adapters of classifiers, whose head is trained beside them (modules_to_save), over classifiers and language models of tests/golden/families:
               logits of two texts, their mean loss and the norms of its gradient
quantised.json: adapters over quantised GGUF files of tests/golden, as transformers dequantises them: as defaults.json
Run with the versions of bench/requirements.txt; with the argument "classifiers" or "quantised" those alone are made."""
import json, os, shutil, sys

import peft, torch, transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "adapters")
IDS, PROMPT = [1, 5, 9, 4, 7, 20, 3, 11, 3, 8, 6, 12, 2, 17], 3
ATTENTION = ["q_proj", "v_proj"]
KINDS = {
    "pattern": dict(target_modules=ATTENTION, rank_pattern={"q_proj": 2}, alpha_pattern={"model.layers.0.self_attn.v_proj": 3}),
    "rslora": dict(target_modules=ATTENTION, use_rslora=True, rank_pattern={"^model.layers.0.self_attn.q_proj|k_proj": 2}),
    "dora": dict(target_modules=ATTENTION + ["down_proj"], use_dora=True),
    "saved": dict(target_modules=ATTENTION, modules_to_save=["embed_tokens", "lm_head", "norm"]),
    "head": dict(target_modules=ATTENTION + ["lm_head"]),
    "embedding": dict(target_modules=ATTENTION + ["embed_tokens"]),
}

# of tests/golden/families; PEFT's table says nothing of the last three
DEFAULTS = {"llama_biases": None, "mistral": None, "qwen2": None, "qwen3": None, "gemma": None, "gemma2": None, "gemma3": None, "gpt2": None, "gpt2_unscaled": None,
            "opt": None, "opt_post": None, "gpt_neox": None, "gpt_neox_old": None, "smollm3": ATTENTION,
            "gemma3_vision": r".*language_model.*\.(q_proj|v_proj)", "gemma3_vision_old": r".*language_model.*\.(q_proj|v_proj)", "olmo2": ATTENTION, "phi3": ["qkv_proj"]}


def total(model):
    with torch.no_grad():
        lp = torch.log_softmax(model(torch.tensor([IDS])).logits[0].double(), -1)
    return sum(lp[i - 1, IDS[i]].item() for i in range(PROMPT, len(IDS)))


def default(name, modules):
    base = os.path.join(OUT, "..", "families", name)
    load = lambda: transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    return expected(load, os.path.join(OUT, "default_" + name), "../../families/" + name, modules)


def expected(load, out, base, modules):
    torch.manual_seed(12)
    model = get_peft_model(load(), LoraConfig(r=2, lora_alpha=5, init_lora_weights=False, task_type="CAUSAL_LM", target_modules=modules))
    with torch.no_grad():
        for n, p in model.named_parameters():
            p.mul_(0.2 if ".lora_" in n else 1)
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(out)
    os.remove(os.path.join(out, "README.md"))
    lp = torch.log_softmax(model(torch.tensor([IDS])).logits[0].double(), -1)
    loss = -sum(lp[i - 1, IDS[i]] for i in range(PROMPT, len(IDS))) / (len(IDS) - PROMPT)
    loss.backward()
    norms = {n.replace(".default", ""): p.grad.norm().item() for n, p in model.named_parameters() if p.requires_grad}
    again = total(PeftModel.from_pretrained(load(), out))
    assert abs(again + loss.item() * (len(IDS) - PROMPT)) < 1e-4, base
    return {"modules": ATTENTION if isinstance(modules, str) else sorted(model.peft_config["default"].target_modules), "sum": again, "loss": loss.item(), "gradient_norms": norms}


TEXTS, LABELS = [IDS, IDS[:6] + [9, 9]], [2, 1]  # labels are bit masks
CLASSIFIERS = {"llama_gelu": ATTENTION, "opt_post": ["q_proj", "fc1"], "gpt_neox": ["dense"], "llama_classifier": ATTENTION + ["down_proj"], "gpt2_classifier": ["c_attn"],
               "gemma3": ATTENTION, "gemma3_vision": r".*language_model.*\.(q_proj|v_proj)"}


def classifier(name, modules):
    base, out = os.path.join(OUT, "..", "families", name), os.path.join(OUT, "classifier_" + name)
    shutil.rmtree(out, ignore_errors=True)
    more = {} if "classifier" in name else {"num_labels": 3}
    load = lambda: transformers.AutoModelForSequenceClassification.from_pretrained(base, dtype=torch.float32, attn_implementation="eager", **more)
    torch.manual_seed(13)
    model = get_peft_model(load(), LoraConfig(r=2, lora_alpha=5, init_lora_weights=False, task_type="SEQ_CLS", target_modules=modules, modules_to_save=["score"]))
    with torch.no_grad():
        for n, p in model.named_parameters():
            p.mul_(0.2 if ".lora_" in n else 1)
            p.add_(0.1 * torch.randn_like(p) if "modules_to_save" in n else 0)
    model.peft_config["default"].base_model_name_or_path = "../../families/" + name
    model.save_pretrained(out)
    os.remove(os.path.join(out, "README.md"))
    multi, n = model.config.problem_type == "multi_label_classification", model.config.num_labels
    logits = [model(torch.tensor([ids])).logits[0].double() for ids in TEXTS]
    wanted = [torch.tensor([float(mask >> i & 1) for i in range(n)], dtype=torch.float64) if multi else torch.tensor(mask.bit_length() - 1) for mask in LABELS]
    of = torch.nn.functional.binary_cross_entropy_with_logits if multi else torch.nn.functional.cross_entropy
    loss = sum(of(x, w) for x, w in zip(logits, wanted)) / len(TEXTS)
    loss.backward()
    names = lambda n: n.replace(".default", "").replace(".modules_to_save", "")
    norms = {names(n): p.grad.norm().item() for n, p in model.named_parameters() if p.requires_grad}
    again = PeftModel.from_pretrained(load(), out)
    assert max((again(torch.tensor([ids])).logits[0] - x).abs().max() for ids, x in zip(TEXTS, logits)) < 1e-5, name
    return {"targets": ",".join(ATTENTION if isinstance(modules, str) else modules), "multi": multi, "logits": [x.tolist() for x in logits], "loss": loss.item(), "gradient_norms": norms}


def classifiers():
    meta = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    found = {name: classifier(name, modules) for name, modules in CLASSIFIERS.items()}
    json.dump({"versions": meta, "texts": TEXTS, "labels": LABELS, "models": found}, open(os.path.join(OUT, "classifiers.json"), "w"), indent=1)


QUANTISED = {"tiny_q4": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], "tiny_k": ["v_proj", "up_proj"]}


def quantised():
    meta = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    load = lambda name: lambda: transformers.AutoModelForCausalLM.from_pretrained(os.path.join(OUT, ".."), gguf_file=name + ".gguf", dtype=torch.float32, attn_implementation="eager")
    found = {name: expected(load(name), os.path.join(OUT, "quantised_" + name), "../../" + name + ".gguf", modules) for name, modules in QUANTISED.items()}
    json.dump({"versions": meta, "ids": IDS, "prompt": PROMPT, "models": found}, open(os.path.join(OUT, "quantised.json"), "w"), indent=1)


def main():
    if sys.argv[1:] in (["classifiers"], ["quantised"]):
        globals()[sys.argv[1]]()
        return
    shutil.rmtree(OUT, ignore_errors=True)
    torch.manual_seed(11)
    base = os.path.join(OUT, "model")
    LlamaForCausalLM(LlamaConfig(vocab_size=24, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=32,
                                 tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, initializer_range=0.5)).save_pretrained(base)
    os.remove(os.path.join(base, "generation_config.json"))
    sums = {}
    for name, kind in KINDS.items():
        model = get_peft_model(LlamaForCausalLM.from_pretrained(base), LoraConfig(r=3, lora_alpha=8, init_lora_weights=False, task_type="CAUSAL_LM", **kind))
        for n, p in model.named_parameters():
            if "modules_to_save" in n or "magnitude" in n:
                p.data *= 1 + 0.2 * torch.rand_like(p)
        model.peft_config["default"].base_model_name_or_path = "../model"
        model.save_pretrained(os.path.join(OUT, name))
        os.remove(os.path.join(OUT, name, "README.md"))
        model = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), os.path.join(OUT, name))
        sums[name] = total(model)
        assert abs(sums[name] - total(model.merge_and_unload())) < 1e-4, name
    # Conv1D layers, which store their transpose, under names that lack the first component
    gpt2 = os.path.join(OUT, "..", "families", "gpt2_unscaled")
    load = lambda: transformers.GPT2LMHeadModel.from_pretrained(gpt2, dtype=torch.float32, attn_implementation="eager")
    model = get_peft_model(load(), LoraConfig(r=3, lora_alpha=8, init_lora_weights=False, task_type="CAUSAL_LM", target_modules=["c_attn", "c_proj"], fan_in_fan_out=True))
    model.peft_config["default"].base_model_name_or_path = "../../families/gpt2_unscaled"
    model.save_pretrained(os.path.join(OUT, "conv1d"))
    os.remove(os.path.join(OUT, "conv1d", "README.md"))
    sums["conv1d"] = total(PeftModel.from_pretrained(load(), os.path.join(OUT, "conv1d")))
    meta = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    json.dump({"versions": meta, "ids": IDS, "prompt": PROMPT, "sums": sums}, open(os.path.join(OUT, "adapters.json"), "w"), indent=1)
    found = {name: default(name, modules) for name, modules in DEFAULTS.items()}
    json.dump({"versions": meta, "ids": IDS, "prompt": PROMPT, "models": found}, open(os.path.join(OUT, "defaults.json"), "w"), indent=1)
    classifiers()
    quantised()


main()
