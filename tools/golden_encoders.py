#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small random encoders with transformers' own final hidden states, and sentence-transformers' pooled vectors: tests/golden/families/NAME/{config.json, model.safetensors, values.json}.
Made with torch 2.15.0, transformers 5.24.0 and sentence-transformers 6.2.0.

usage: golden_encoders.py [OUTPUT]"""
import json, pathlib, sys
import sentence_transformers, torch, transformers
from safetensors.torch import save_file
from sentence_transformers.sentence_transformer.modules.pooling import Pooling

IDS = [[1, 5, 9, 22, 31, 7, 40, 3, 12, 6, 30, 30, 17, 45, 11], [2, 44, 8, 8, 30], [17]]
MODES = ["mean", "max", "cls", "lasttoken", "mean_sqrt_len_tokens"]


PADDED = [IDS[0], [0, 44, 1, 8, 1, 1, 30, 2], [1, 17]]  # RoBERTa's pad_token_id in a text: it has a position of its own


def make(out, name, model, rename=lambda k: k, without=(), texts=IDS):
    config = model.config
    with torch.no_grad():  # biases and norms would begin at 0 and 1
        for p in model.parameters():
            p += 0.2 * torch.randn_like(p) if p.ndim == 1 else 0
    d = out / name
    d.mkdir(parents=True, exist_ok=True)
    written = {k: v for k, v in config.to_dict().items() if k not in (*without, "transformers_version", "dtype")} | {"architectures": [type(model).__name__]}
    (d / "config.json").write_text(json.dumps(written, indent=1, sort_keys=True, default=str) + "\n")
    save_file({rename(k): v.contiguous() for k, v in model.state_dict().items() if "decoder" not in k}, d / "model.safetensors", metadata={"format": "pt"})
    values = {"transformers": transformers.__version__, "torch": torch.__version__, "sentence_transformers": sentence_transformers.__version__, "ids": [ids for ids in texts if len(ids) < 64], "hidden": [], "texts": []}
    for ids in texts:
        x = torch.tensor([ids])
        hidden = model.base_model(x, attention_mask=torch.ones_like(x)).last_hidden_state
        pooled = {m: Pooling(config.hidden_size, pooling_mode=m)({"token_embeddings": hidden, "attention_mask": torch.ones_like(x)})["sentence_embedding"][0].tolist() for m in MODES}
        if len(ids) < 64:
            values["hidden"].append(hidden[0].mean(0).tolist())
        values["texts"].append({"ids": ids, "hidden": [float(f"{v:.7g}") for row in hidden[0].tolist() for v in row], "pooled": pooled})
    (d / "values.json").write_text(json.dumps(values) + "\n")


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/families")
    torch.manual_seed(7)
    common = dict(vocab_size=48, num_attention_heads=3, max_position_embeddings=40, initializer_range=0.3)
    make(out, "bert", transformers.BertModel(transformers.BertConfig(hidden_size=21, intermediate_size=26, num_hidden_layers=3, **common)).eval())
    make(out, "bert_masked", transformers.BertForMaskedLM(transformers.BertConfig(hidden_size=18, intermediate_size=31, num_hidden_layers=2, hidden_act="gelu_new", layer_norm_eps=1e-3,
         type_vocab_size=3, **common)).eval(), lambda k: k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"))
    defaults = {k: v for k, v in common.items() if k != "max_position_embeddings"}
    bare = transformers.BertModel(transformers.BertConfig(hidden_size=12, intermediate_size=8, num_hidden_layers=2, **defaults)).eval()
    with torch.no_grad():  # so that the norms' epsilon counts
        for p in bare.embeddings.parameters():
            p *= 1e-4 if p.ndim == 2 else 1
    make(out, "bert_bare", bare, without=("hidden_act", "layer_norm_eps", "type_vocab_size", "max_position_embeddings", "pad_token_id", "tie_word_embeddings"))
    roberta = dict(common, pad_token_id=1, bos_token_id=0, eos_token_id=2)
    for kind, name, width in (("Roberta", "roberta", 18), ("XLMRoberta", "xlm_roberta", 15)):
        part = lambda what: getattr(transformers, kind + what)
        make(out, name, part("Model")(part("Config")(hidden_size=width, intermediate_size=22, num_hidden_layers=2, type_vocab_size=1, layer_norm_eps=1e-5, **roberta)).eval(), texts=PADDED)
        make(out, name + "_masked", part("ForMaskedLM")(part("Config")(hidden_size=width, intermediate_size=9, num_hidden_layers=1, hidden_act="gelu_new", layer_norm_eps=1e-3,
             **roberta | {"pad_token_id": 3})).eval(), texts=[*IDS, [3, 3, 5, 3, 8]])
        bare = part("Model")(part("Config")(hidden_size=12, intermediate_size=8, num_hidden_layers=1, **defaults)).eval()
        with torch.no_grad():
            for p in bare.embeddings.parameters():
                p *= 1e-4 if p.ndim == 2 else 1
        make(out, name + "_bare", bare, without=("hidden_act", "layer_norm_eps", "type_vocab_size", "max_position_embeddings", "pad_token_id", "bos_token_id", "eos_token_id",
             "tie_word_embeddings"), texts=PADDED)
    mpnet = lambda **more: transformers.MPNetConfig(**common | {"pad_token_id": 1, "max_position_embeddings": 300} | more)
    long = [[(7 * i * i + i) % 48 for i in range(150)], *PADDED[1:]]  # distances past the last bucket
    for name, kind, more in (("mpnet", "Model", dict(hidden_size=18, intermediate_size=22, num_hidden_layers=2, layer_norm_eps=1e-5, max_position_embeddings=40, relative_attention_num_buckets=35)),
                             ("mpnet_masked", "ForMaskedLM", dict(hidden_size=15, intermediate_size=9, num_hidden_layers=1, hidden_act="gelu_new", layer_norm_eps=1e-3))):
        model = getattr(transformers, "MPNet" + kind)(mpnet(**more)).eval()
        with torch.no_grad():
            model.base_model.encoder.relative_attention_bias.weight *= 5
        make(out, name, model, texts=PADDED if kind == "Model" else long)
    bare = transformers.MPNetModel(transformers.MPNetConfig(hidden_size=12, intermediate_size=8, num_hidden_layers=1, **defaults)).eval()
    with torch.no_grad():
        for p in bare.embeddings.parameters():
            p *= 1e-4 if p.ndim == 2 else 1
    make(out, "mpnet_bare", bare, without=("hidden_act", "layer_norm_eps", "max_position_embeddings", "pad_token_id", "bos_token_id", "eos_token_id", "tie_word_embeddings",
         "relative_attention_num_buckets"), texts=PADDED)


main()
