#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small random models of every family, with transformers' own values: tests/golden/families/NAME/{config.json, model.safetensors, values.json}.
Made with torch 2.15.0, transformers 5.24.0, safetensors 0.7.

Each model is written first and loaded again with from_pretrained, so that config.json is what transformers itself reads; `without` takes keys out of it, so that
its defaults count. values.json, all of f32 on the CPU with eager attention:
    logprobs        of every token of two texts under the ones before it
    last            log-probabilities of all tokens behind the first text
    hidden          the mean of the final hidden states of each text
    losses, gradient_norms    of each text alone: the mean over its tokens but the first, and every parameter's gradient
    train           five AdamW steps over both texts (learning rate 3e-3, decay 0.1 on matrices, clipping at 1, betas 0.9 and 0.95, epsilon 1e-4: smaller ones make
                    steps of what is only rounding): loss and gradient norm
    class_logits    of a classification head: of each text, whose labels (a bit mask) are in "labels"; losses and training then are those of the labels
    greedy, beams   twelve tokens behind the second text; three beams, two returned, with their scores (kept only where f64 gives the same ids)

usage: golden_families.py [--output DIRECTORY] [NAME...]   (default: all)"""
import argparse, copy, json, pathlib, shutil
import torch, transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

IDS = [[1, 5, 9, 22, 31, 7, 40, 3, 12, 6, 30, 30, 17, 45, 11, 4, 26, 8, 19], [2, 44, 8, 8, 30, 13, 21]]
HEADS = {"gpt_neox": "embed_out.weight"}  # as published files have it; transformers 5 calls it lm_head
MODELS = {}
BASE = {"vocab_size": 48, "hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
        "max_position_embeddings": 64, "tie_word_embeddings": False, "rms_norm_eps": 0.02, "initializer_range": 0.3, "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": None}


LABELS = {"single_label_classification": [1 << 2, 1 << 0], "multi_label_classification": [0b101, 0b010]}  # of the two texts


def auto(config):
    return AutoModelForSequenceClassification if config.problem_type else AutoModelForCausalLM


def model(name, make, without=(), rename=lambda name: name, **more):
    """`more` is put into config.json as it stands; `rename` gives the tensors the names of older or bare files."""
    MODELS[name] = (make, without, rename, more)


def rounded(x):
    return [float(f"{v:.9g}") for v in x]


def written(directory, make, without, rename, more):
    torch.manual_seed(7)
    config = make()
    m = auto(config).from_config(config).float()
    with torch.no_grad():  # biases and norms would begin at 0 and 1
        for p in m.parameters():
            if p.ndim == 1:
                p += 0.2 * torch.randn_like(p)
    values = config.to_dict() | {"architectures": [type(m).__name__]} | more
    values = {k: v for k, v in values.items() if k not in without}
    values.pop("transformers_version", None)
    values.pop("dtype", None)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
    weights = {rename(k): v.to(torch.bfloat16).contiguous() for k, v in m.state_dict().items() if not (config.tie_word_embeddings and k == "lm_head.weight")}
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})


def token_losses(m, ids):
    x = torch.tensor([ids])
    lp = torch.log_softmax(m(x).logits[0, :-1].double(), -1)
    return -lp[torch.arange(len(ids) - 1), x[0, 1:]]


def label_losses(m, logits, mask):
    """One loss a text, as transformers' own loss of its problem type."""
    if m.config.problem_type == "single_label_classification":
        return torch.nn.functional.cross_entropy(logits[None].double(), torch.tensor([mask.bit_length() - 1]))
    wanted = torch.tensor([float(mask >> i & 1) for i in range(len(logits))], dtype=torch.float64)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits.double(), wanted)


def losses_of(m, i):
    """Of the text's tokens, or its one of a classifier."""
    if not m.config.problem_type:
        return token_losses(m, IDS[i])
    logits = m(torch.tensor([IDS[i]])).logits[0]
    return label_losses(m, logits, LABELS[m.config.problem_type][i])[None]


def class_passes(m, v):
    v["labels"] = LABELS[m.config.problem_type]
    for i, ids in enumerate(IDS):
        m.zero_grad()
        x = torch.tensor([ids])
        mask, single = v["labels"][i], m.config.problem_type == "single_label_classification"
        wanted = torch.tensor([mask.bit_length() - 1]) if single else torch.tensor([[float(mask >> k & 1) for k in range(m.config.num_labels)]])
        out = m(x, labels=wanted)
        loss = losses_of(m, i).mean()
        assert abs(float(out.loss.detach()) - float(loss.detach())) < 1e-5
        loss.backward()
        v["class_logits"].append(rounded(out.logits[0].detach()))
        v["losses"].append(float(loss.detach()))
        v["gradient_norms"].append({n: float(f"{p.grad.norm():.9g}") for n, p in m.named_parameters()})


def passes(m, v):
    for ids in IDS:
        x = torch.tensor([ids])
        m.zero_grad()
        losses = token_losses(m, ids)
        losses.mean().backward()
        v["logprobs"].append(rounded(-losses))
        v["losses"].append(float(losses.mean().detach()))
        names = lambda n: HEADS.get(m.config.model_type, n) if n == "lm_head.weight" else n.replace("model.language_model.", "model.")
        v["gradient_norms"].append({names(n): float(f"{p.grad.norm():.9g}") for n, p in m.named_parameters() if p.grad is not None})
        with torch.no_grad():
            v["hidden"].append(rounded(m.base_model(x).last_hidden_state[0].mean(0)))
            if ids is IDS[0]:
                v["last"] = rounded(torch.log_softmax(m(x).logits[0, -1].double(), -1))


def training(m):
    m = copy.deepcopy(m)
    groups = [{"params": [p for p in m.parameters() if (p.ndim == 2) == decays], "weight_decay": 0.1 if decays else 0.0} for decays in (True, False)]
    optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95), eps=1e-4)
    log = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = torch.cat([losses_of(m, i) for i in range(len(IDS))]).mean()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
        log.append({"loss": float(loss.detach()), "grad_norm": float(norm)})
        optimizer.step()
    return log


def generated(m):
    """The same ids in f32 and f64, or a near-tie stops us: then another seed is wanted."""
    answers = []
    for dtype in (torch.float32, torch.float64):
        d = copy.deepcopy(m).to(dtype)
        x = torch.tensor([IDS[1]])
        common = dict(attention_mask=torch.ones_like(x), max_new_tokens=12, do_sample=False, eos_token_id=47, pad_token_id=46, return_dict_in_generate=True)
        with torch.no_grad():
            greedy = d.generate(x, **common).sequences[0, len(IDS[1]):].tolist()
            beams = d.generate(x, num_beams=3, num_return_sequences=2, output_scores=True, **common)
        rows = [row[:row.index(47) + 1] if 47 in row else row for row in beams.sequences[:, len(IDS[1]):].tolist()]
        answers.append((greedy, rows, rounded(beams.sequences_scores)))
    assert answers[0][:2] == answers[1][:2], "a near-tie"
    return {"greedy": answers[0][0], "beams": answers[0][1], "beam_scores": answers[0][2]}


def make(out, name):
    directory = out / name
    written(directory, *MODELS[name])
    m = auto(transformers.AutoConfig.from_pretrained(directory)).from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    v = {"transformers": transformers.__version__, "torch": torch.__version__, "ids": IDS, "losses": [], "gradient_norms": []}
    if m.config.problem_type:
        v["class_logits"] = []
        class_passes(m, v)
        v["train"] = training(m)
    else:
        v |= {"logprobs": [], "hidden": []}
        passes(m, v)
        v["train"] = training(m)
        v |= generated(m)
    (directory / "values.json").write_text(json.dumps(v, separators=(",", ":")).replace(',"', ',\n"') + "\n")
    print(name, sum(f.stat().st_size for f in directory.iterdir()))


def activations(out):
    """Every name of ACT2FN that is a function of one number and no more, at points on both sides of every bend, in float64."""
    x = [-12.5, -10.5, -6.5, -4.0, -3.25, -2.0, -1.0, -0.5, -0.125, 0.0, 0.25, 0.75, 1.5, 2.5, 3.5, 5.5, 6.5, 9.5, 12.5]
    left_out = {"prelu", "xielu", "sqrtsoftplus"}
    values = {n: [float(v) for v in transformers.activations.ACT2FN[n](torch.tensor(x, dtype=torch.float64))] for n in sorted(transformers.activations.ACT2CLS) if n not in left_out}
    (out / "activations.json").write_text(json.dumps({"transformers": transformers.__version__, "x": x, "left_out": sorted(left_out), "values": values}, indent=1) + "\n")


GPT2 = {"hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head", "max_position_embeddings": "n_positions", "intermediate_size": "n_inner",
        "rms_norm_eps": "layer_norm_epsilon"}


def named(kind, names, drop=("num_key_value_heads", "head_dim"), **more):
    """BASE with a family's own names."""
    config = {names.get(k, k): v for k, v in BASE.items() if k not in drop} | more
    return lambda: getattr(transformers, kind + "Config")(**config)


OPT = {"intermediate_size": "ffn_dim", "initializer_range": "init_std"}


def like(kind, **more):
    return lambda: getattr(transformers, kind + "Config")(**(BASE | more))


BARE = ("rms_norm_eps", "hidden_act", "rope_parameters", "layer_types", "tie_word_embeddings", "attention_bias", "mlp_bias", "sliding_window", "head_dim",
        "use_sliding_window", "max_window_layers", "num_key_value_heads", "max_position_embeddings")


def bare(kind, keep=(), **more):
    """What transformers takes where config.json says nothing."""
    names = [n for n in BARE if n not in keep]
    return (lambda: getattr(transformers, kind + "Config")(**{k: v for k, v in (BASE | {"hidden_size": 24} | more).items() if k not in names})), names


model("llama_biases", like("Llama", num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=5, attention_bias=True, mlp_bias=True, hidden_act="gelu_pytorch_tanh"))
model("llama_gelu", like("Llama", num_hidden_layers=2, hidden_act="gelu", tie_word_embeddings=True))
model("llama_bare", *bare("Llama", num_hidden_layers=2))
YARN = {"rope_type": "yarn", "rope_theta": 50.0, "factor": 4.0, "original_max_position_embeddings": 16}
SHORT, LONG = [1.0, 1.5, 2.0], [3.0, 5.0, 9.0]
for kind, rope in {
        "linear": {"rope_type": "linear", "factor": 3.0, "rope_theta": 100.0},
        "dynamic": {"rope_type": "dynamic", "factor": 3.0, "rope_theta": 100.0},
        "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 24, "rope_theta": 30.0},
        "yarn": YARN,
        "yarn_given": YARN | {"attention_factor": 1.25, "beta_fast": 4.0, "beta_slow": 0.5, "truncate": False},
        "yarn_mscale": YARN | {"mscale": 1.5, "mscale_all_dim": 0.5},
        "longrope": {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG, "original_max_position_embeddings": 32, "rope_theta": 100.0},
        "longrope_given": {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG, "original_max_position_embeddings": 64, "factor": 8.0, "rope_theta": 100.0},
        "longrope_attention": {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG, "factor": 8.0, "attention_factor": 1.5, "rope_theta": 100.0},
}.items():
    model("llama_" + kind, like("Llama", num_hidden_layers=1, rope_parameters=rope))
# beyond the limit: both texts, or the first and, with dynamic, what is generated behind the second
model("llama_dynamic_past", like("Llama", num_hidden_layers=2, max_position_embeddings=12, rope_parameters={"rope_type": "dynamic", "factor": 3.0, "rope_theta": 100.0}))
model("llama_longrope_past", like("Llama", num_hidden_layers=2, rope_parameters={"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG,
                                                                                "original_max_position_embeddings": 6, "rope_theta": 100.0}))
model("llama_old", like("Llama", num_hidden_layers=1), without=("rope_parameters",), rope_theta=50.0, rope_scaling={"type": "yarn", "factor": 2.0}, torch_dtype="float32",
      pretraining_tp=1)
model("mistral", like("Mistral", sliding_window=5, hidden_act="gelu", rope_parameters={"rope_type": "default", "rope_theta": 500.0}))
model("mistral_full", like("Mistral", sliding_window=None, tie_word_embeddings=True), without=("rope_parameters",), rope_theta=300.0)
model("mistral_mixed", like("Mistral", sliding_window=4), layer_types=["full_attention", "sliding_attention", "full_attention"])
model("mistral_bare", *bare("Mistral", num_attention_heads=8, hidden_size=32, num_hidden_layers=2))
model("qwen2", like("Qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1, hidden_size=24, hidden_act="gelu"), without=("layer_types", "head_dim"))
model("qwen2_mixed", like("Qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                          tie_word_embeddings=True))
model("qwen2_window", *bare("Qwen2", ("use_sliding_window", "max_window_layers", "num_key_value_heads"), use_sliding_window=True, max_window_layers=1, hidden_size=24))
model("qwen2_layers", *bare("Qwen2", ("use_sliding_window", "sliding_window", "num_key_value_heads"), use_sliding_window=True, sliding_window=4, hidden_size=24))
model("qwen2_bare", *bare("Qwen2", hidden_size=64, num_attention_heads=32, num_hidden_layers=2, intermediate_size=20))
model("qwen3", like("Qwen3", use_sliding_window=True, sliding_window=4, max_window_layers=1, hidden_act="gelu"), without=("layer_types",))
model("qwen3_mixed", like("Qwen3", use_sliding_window=True, sliding_window=4, max_window_layers=1, layer_types=["sliding_attention", "full_attention", "sliding_attention"]))
model("qwen3_biases", like("Qwen3", attention_bias=True, tie_word_embeddings=True, num_hidden_layers=2), without=("layer_types",))
model("qwen3_window", *bare("Qwen3", ("use_sliding_window", "max_window_layers", "num_key_value_heads"), use_sliding_window=True, max_window_layers=1, num_key_value_heads=1,
                            num_attention_heads=1, num_hidden_layers=2, hidden_size=12))
model("qwen3_layers", *bare("Qwen3", ("use_sliding_window", "sliding_window", "num_key_value_heads", "head_dim"), use_sliding_window=True, sliding_window=4, num_hidden_layers=2))
model("qwen3_bare", *bare("Qwen3", ("head_dim",), head_dim=2, num_attention_heads=32, num_hidden_layers=2))
GEMMA = {"hidden_size": 20, "query_pre_attn_scalar": 10, "tie_word_embeddings": True}
GEMMA3 = dict(GEMMA, rope_parameters={"full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 2000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 70.0}})
BARE += ("hidden_activation", "query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping", "bos_token_id", "eos_token_id", "pad_token_id",
         "sliding_window_pattern", "_sliding_window_pattern", "use_bidirectional_attention")
model("gemma", like("Gemma", tie_word_embeddings=False, attention_bias=True, num_hidden_layers=2))
model("gemma_gelu", like("Gemma", tie_word_embeddings=True, num_hidden_layers=2, num_attention_heads=16, num_key_value_heads=16, head_dim=2),
      without=("tie_word_embeddings", "rms_norm_eps", "attention_bias", "num_key_value_heads"), hidden_act="gelu", rope_theta=200.0)
model("gemma_bare", *bare("Gemma", ("num_key_value_heads",), num_attention_heads=1, num_key_value_heads=1, num_hidden_layers=2, hidden_size=16))
model("gemma_head", like("Gemma", tie_word_embeddings=False, num_hidden_layers=1), without=("tie_word_embeddings",))
model("gemma2", like("Gemma2", sliding_window=4, attn_logit_softcapping=2.0, final_logit_softcapping=3.0, attention_bias=True, **GEMMA), without=("layer_types",))
model("gemma2_mixed", like("Gemma2", sliding_window=4, attn_logit_softcapping=None, final_logit_softcapping=None, num_hidden_layers=4, hidden_activation="silu",
                           layer_types=["full_attention", "full_attention", "sliding_attention", "full_attention"], **GEMMA | {"tie_word_embeddings": False}))
model("gemma2_window", like("Gemma2", hidden_activation="gelu", num_hidden_layers=2, **GEMMA), without=("sliding_window", "layer_types"))
model("gemma2_bare", *bare("Gemma2", num_attention_heads=4, num_hidden_layers=1, hidden_size=8, initializer_range=1.0), hidden_act="relu")
model("gemma3", like("Gemma3Text", sliding_window=4, num_hidden_layers=5, final_logit_softcapping=3.0, attention_bias=True, **GEMMA3), without=("layer_types",),
      sliding_window_pattern=2)
model("gemma3_mixed", like("Gemma3Text", sliding_window=4, num_hidden_layers=3, hidden_activation="silu", layer_types=["full_attention", "sliding_attention", "full_attention"],
                           **GEMMA3 | {"tie_word_embeddings": False}))
model("gemma3_yarn", like("Gemma3Text", sliding_window=4, num_hidden_layers=2, layer_types=["sliding_attention", "full_attention"],
                          **GEMMA | {"rope_parameters": {"full_attention": YARN | {"attention_factor": 1.25}, "sliding_attention": YARN | {"attention_factor": 0.75}}}))
model("gemma3_long_past", like("Gemma3Text", sliding_window=8, num_hidden_layers=3, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                               max_position_embeddings=12, **GEMMA | {"rope_parameters": {
                                   "full_attention": {"rope_type": "dynamic", "factor": 3.0, "rope_theta": 100.0},
                                   "sliding_attention": {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG, "factor": 2.0,
                                                         "original_max_position_embeddings": 6, "rope_theta": 50.0}}}))
model("gemma3_old", like("Gemma3Text", sliding_window=4, num_hidden_layers=7, **GEMMA), without=("rope_parameters", "layer_types"), rope_theta=3000.0, rope_local_base_freq=50.0,
      rope_scaling={"rope_type": "linear", "factor": 8.0}, cache_implementation="hybrid")
model("gemma3_local", like("Gemma3Text", sliding_window=4, num_hidden_layers=2, **GEMMA), without=("rope_parameters", "layer_types"), sliding_window_pattern=2)
model("gemma3_window", like("Gemma3Text", hidden_activation="gelu", num_hidden_layers=2, **GEMMA), without=("sliding_window",))
model("gemma3_bare", *bare("Gemma3Text", num_attention_heads=4, num_hidden_layers=1, hidden_size=8))
model("gpt2", named("GPT2", GPT2, activation_function="relu", layer_norm_epsilon=0.05, scale_attn_by_inverse_layer_idx=True))
model("gpt2_unscaled", named("GPT2", GPT2, scale_attn_weights=False, activation_function="gelu", n_inner=None, tie_word_embeddings=True, n_head=5, initializer_range=0.2),
      rename=lambda name: name.removeprefix("transformer."))
model("gpt2_bare", named("GPT2", GPT2, n_inner=None, tie_word_embeddings=True, layer_norm_epsilon=1e-5, n_positions=1024, vocab_size=48, n_layer=2),
      without=("n_inner", "tie_word_embeddings", "layer_norm_epsilon", "activation_function", "n_positions", "scale_attn_weights", "scale_attn_by_inverse_layer_idx"))
OPT_DROP = ("num_key_value_heads", "head_dim", "rms_norm_eps")
model("opt", named("OPT", OPT, OPT_DROP, word_embed_proj_dim=20, activation_function="gelu", do_layer_norm_before=True))
model("opt_post", named("OPT", OPT, OPT_DROP, word_embed_proj_dim=11, do_layer_norm_before=False, tie_word_embeddings=True),
      rename=lambda name: name.removeprefix("model."))
model("opt_bare_norms", named("OPT", OPT, OPT_DROP, word_embed_proj_dim=20, enable_bias=False, layer_norm_elementwise_affine=False, hidden_size=24, num_hidden_layers=2))
model("opt_post_bare_norms", named("OPT", OPT, OPT_DROP, word_embed_proj_dim=27, do_layer_norm_before=False, layer_norm_elementwise_affine=False, num_hidden_layers=2))
model("opt_no_final", named("OPT", OPT, OPT_DROP, word_embed_proj_dim=20, _remove_final_layer_norm=True, num_hidden_layers=2, num_attention_heads=5))
model("opt_bare", named("OPT", OPT, (*OPT_DROP, "max_position_embeddings"), word_embed_proj_dim=8, hidden_size=8, num_attention_heads=1, num_hidden_layers=1, tie_word_embeddings=True,
                        ffn_dim=3072),
      without=("word_embed_proj_dim", "do_layer_norm_before", "enable_bias", "layer_norm_elementwise_affine", "_remove_final_layer_norm", "tie_word_embeddings",
               "max_position_embeddings", "activation_function", "ffn_dim"))

BARE += ("no_rope_layers", "no_rope_layer_interval", "original_max_position_embeddings", "partial_rotary_factor")
PHI3_LONG = {"rope_type": "longrope", "short_factor": [1.0, 2.0], "long_factor": [3.0, 5.0], "rope_theta": 100.0, "partial_rotary_factor": 0.5}
model("phi3", like("Phi3", hidden_size=32, head_dim=8, sliding_window=4, original_max_position_embeddings=64, rope_parameters={"rope_type": "default", "rope_theta": 100.0,
                   "partial_rotary_factor": 0.75}))
model("phi3_longrope", like("Phi3", hidden_size=32, head_dim=8, num_hidden_layers=2, tie_word_embeddings=True, max_position_embeddings=128,
                            original_max_position_embeddings=32, hidden_act="gelu", rope_parameters=PHI3_LONG))
model("phi3_longrope_past", like("Phi3", hidden_size=32, head_dim=8, num_hidden_layers=2, original_max_position_embeddings=6, rope_parameters=PHI3_LONG))
model("phi3_longrope_crossed", like("Phi3", hidden_size=32, head_dim=8, num_hidden_layers=2, original_max_position_embeddings=12, rope_parameters=PHI3_LONG))
model("phi3_yarn", like("Phi3", hidden_size=32, head_dim=8, num_hidden_layers=1, max_position_embeddings=8192), rope_theta=100.0, partial_rotary_factor=0.5,
      without=("rope_parameters", "original_max_position_embeddings"), rope_scaling={"type": "yarn"} | {k: v for k, v in PHI3_LONG.items() if "factor" in k[-7:] and "part" not in k})
model("phi3_bare", *bare("Phi3", ("pad_token_id",), num_hidden_layers=2))
model("smollm3", like("SmolLM3", use_sliding_window=True, sliding_window=4, no_rope_layers=[1, 0, 0], attention_bias=True, hidden_act="gelu"), without=("layer_types",))
model("smollm3_every", like("SmolLM3", num_hidden_layers=4, no_rope_layer_interval=2, mlp_bias=True), without=("no_rope_layers", "layer_types"))
model("smollm3_mixed", like("SmolLM3", use_sliding_window=True, sliding_window=4, no_rope_layers=[1, 0, 1], tie_word_embeddings=True,
                            layer_types=["sliding_attention", "full_attention", "sliding_attention"]))
model("smollm3_bare", *bare("SmolLM3", ("pad_token_id",), num_hidden_layers=5))
model("olmo2", like("Olmo2", attention_bias=True, hidden_act="gelu", num_hidden_layers=2))
model("olmo2_tied", like("Olmo2", tie_word_embeddings=True, num_key_value_heads=4, num_hidden_layers=2))
model("olmo2_bare", *bare("Olmo2", ("pad_token_id",), num_hidden_layers=2))
NEOX = dict(hidden_size=24, num_attention_heads=3, num_hidden_layers=2)
NEOX_DROP = ("num_key_value_heads", "head_dim")
model("gpt_neox", named("GPTNeoX", {"rms_norm_eps": "layer_norm_eps"}, NEOX_DROP, **NEOX, use_parallel_residual=False, layer_norm_eps=0.05, hidden_act="relu",
                        rope_parameters={"rope_type": "default", "rope_theta": 300.0, "partial_rotary_factor": 0.5}),
      rename=lambda name: HEADS["gpt_neox"] if name == "lm_head.weight" else name)
model("gpt_neox_old", named("GPTNeoX", {"rms_norm_eps": "layer_norm_eps"}, NEOX_DROP, **NEOX, attention_bias=False, tie_word_embeddings=True),
      without=("rope_parameters",), rotary_pct=0.75, rotary_emb_base=70)
model("gpt_neox_bare", named("GPTNeoX", {"rms_norm_eps": "layer_norm_eps"}, NEOX_DROP, **NEOX, layer_norm_eps=1e-5), rename=lambda name: name.removeprefix("gpt_neox."),
      without=("rope_parameters", "tie_word_embeddings", "use_parallel_residual", "attention_bias", "layer_norm_eps", "hidden_act"))

def vision():
    """Gemma 3 with a tower of images, which is not read; its text_config as google's files have it: what has its default is left out."""
    tower = transformers.SiglipVisionConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8)
    return transformers.Gemma3Config(text_config=dict(VISION), vision_config=tower, mm_tokens_per_image=4, image_token_index=41, boi_token_index=42, eoi_token_index=43)


VISION = {"model_type": "gemma3_text", "vocab_size": 48, "hidden_size": 16, "head_dim": 4, "intermediate_size": 28, "num_hidden_layers": 2, "sliding_window": 4,
          "sliding_window_pattern": 2, "rope_scaling": {"rope_type": "linear", "factor": 8.0}, "query_pre_attn_scalar": 10, "initializer_range": 0.3, "pad_token_id": None}
OLD = {"model.language_model.": "language_model.model.", "model.vision_tower.": "vision_tower.", "model.multi_modal_projector.": "multi_modal_projector."}
model("gemma3_vision", vision, text_config=VISION)
model("gemma3_vision_old", vision, rename=lambda n: next((new + n[len(old):] for old, new in OLD.items() if n.startswith(old)), n), text_config=VISION)
# pad_token_id 21 ends the second text, which is read before it
for i, kind in enumerate(("Llama", "Mistral", "Qwen2", "Qwen3", "Gemma", "Gemma2", "Gemma3Text", "Phi3", "SmolLM3", "Olmo2")):
    more = {"hidden_size": 24} | ({"rope_parameters": GEMMA3["rope_parameters"]} if kind == "Gemma3Text" else {})
    name = {"Gemma3Text": "gemma3"}.get(kind, kind.lower())
    model(name + "_classifier", like(kind, num_hidden_layers=1, num_labels=3 + i % 2, pad_token_id=21,
                                     problem_type=("single" if i % 2 else "multi") + "_label_classification", **more))
HEADED = dict(num_hidden_layers=1, num_labels=4, pad_token_id=21)
for i, (kind, names, drop, more) in enumerate((("GPT2", GPT2, NEOX_DROP, {}), ("OPT", OPT, OPT_DROP, {"word_embed_proj_dim": 13, "do_layer_norm_before": False}),
                                               ("GPTNeoX", {"rms_norm_eps": "layer_norm_eps"}, NEOX_DROP, {"hidden_size": 24, "num_attention_heads": 3}))):
    model(kind.lower() + "_classifier", named(kind, names, drop, **{names.get(k, k): v for k, v in HEADED.items()}, **more,
                                              problem_type=("multi" if i % 2 else "single") + "_label_classification"))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--output", default="tests/golden/families")
    p.add_argument("names", nargs="*")
    a = p.parse_args()
    out = pathlib.Path(a.output)
    torch.set_num_threads(1)
    for name in a.names or MODELS:
        make(out, name)
    if not a.names:
        activations(out)


main()
