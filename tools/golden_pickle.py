#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/pickle: files of torch.save, each with the same tensors as safetensors beside it, and files that must be refused.

types       every element type, a scalar, an empty tensor
views       offsets, transposed, stepped and permuted views of shared storages, in pickle protocols 2 to 5
module      a module's state_dict (an OrderedDict with _metadata), parameters, a parameter with an attribute
llama/      tests/golden/heads/score in f16 over two shards with rotary buffers, as checkpoints of 2023 are
dam/        tests/golden/heads/dam in bf16, one file
adapter/    tests/golden/adapters/saved as adapter_model.bin
tied/       a model with tied embeddings in f16: one storage under two names
tied_other/ the same with other names, and no more of a model
refused/    the format before torch 1.6, tar, TorchScript, a whole module, a training checkpoint, an expanded view, a call of os.system
Made with torch 2.15.0, safetensors 0.7."""
import io, json, os, pickle, shutil, sys, tarfile, zipfile
import torch
from safetensors.torch import load_file, save_file

here = os.path.dirname(os.path.abspath(__file__))
golden = os.path.join(here, "../tests/golden")
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(golden, "pickle")
torch.manual_seed(4)


def path(*parts):
    p = os.path.join(out, *parts)
    os.makedirs(os.path.dirname(p), exist_ok=True)
    return p


def both(name, tensors, **how):
    torch.save(tensors, path(name + ".bin"), **how)
    save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, path(name + ".safetensors"))


types = {"f32": torch.randn(3, 5), "f16": torch.randn(7).half(), "bf16": torch.randn(2, 3).bfloat16(), "f64": torch.randn(4, dtype=torch.float64),
         "i64": torch.tensor([-3, 1 << 40]), "i32": torch.tensor([[5, -6]], dtype=torch.int32), "i16": torch.tensor([-7], dtype=torch.int16),
         "i8": torch.tensor([-8, 8], dtype=torch.int8), "u8": torch.tensor([200], dtype=torch.uint8), "bool": torch.tensor([True, False]),
         "u16": torch.tensor([60000], dtype=torch.uint16), "u32": torch.tensor([4000000000], dtype=torch.uint32),
         "u64": torch.tensor([1 << 50], dtype=torch.uint64), "f8": torch.randn(4).to(torch.float8_e4m3fn), "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3)}
both("types", types)

base, deep = torch.randn(4, 6), torch.randn(2, 3, 4).bfloat16()
views = {"whole": base, "row": base[1], "rows": base[1:3], "column": base[:, 1], "turned": base.t(), "steps": base[::2], "corner": base[1:, 2:], "one": base[:1, :],
         "deep": deep, "permuted": deep.permute(2, 0, 1), "swapped": deep.transpose(1, 2), "part": deep[:, 1]}
for protocol in 2, 3, 4, 5:
    torch.save(views, path(f"views_{protocol}.bin"), pickle_protocol=protocol)
save_file({k: v.clone().contiguous() for k, v in views.items()}, path("views.safetensors"))

net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
state = net.state_dict()
assert type(state).__name__ == "OrderedDict" and hasattr(state, "_metadata")
state["parameter"] = torch.nn.Parameter(torch.randn(2, 2))
state["marked"] = torch.nn.Parameter(torch.randn(3))
state["marked"].note = "an attribute"
both("module", state)

score = {k: v.half() if v.is_floating_point() else v for k, v in load_file(os.path.join(golden, "heads/score/model.safetensors")).items()}
for layer in range(2):
    score[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = 1.0 / (10000 ** (torch.arange(0, 4, 2).float() / 4))
names = sorted(score)
shards = {"pytorch_model-00001-of-00002.bin": names[: len(names) // 2], "pytorch_model-00002-of-00002.bin": names[len(names) // 2:]}
for file, part in shards.items():
    torch.save({k: score[k] for k in part}, path("llama", file))
json.dump({"metadata": {"total_size": 0}, "weight_map": {k: f for f, part in shards.items() for k in part}}, open(path("llama", "pytorch_model.bin.index.json"), "w"))
save_file(score, path("llama.safetensors"))
config = json.load(open(os.path.join(golden, "heads/score/config.json")))
config["dtype"] = "float16"
json.dump(config, open(path("llama", "config.json"), "w"))

dam = {k: v.bfloat16() for k, v in load_file(os.path.join(golden, "heads/dam/model.safetensors")).items()}
torch.save(dam, path("dam", "pytorch_model.bin"))
shutil.copy(os.path.join(golden, "heads/dam/config.json"), path("dam", "config.json"))

torch.save(load_file(os.path.join(golden, "adapters/saved/adapter_model.safetensors")), path("adapter", "adapter_model.bin"))
shutil.copy(os.path.join(golden, "adapters/saved/adapter_config.json"), path("adapter", "adapter_config.json"))

tied = {k: v.half() for k, v in load_file(os.path.join(golden, "adapters/model/model.safetensors")).items()}
tied["lm_head.weight"] = tied["model.embed_tokens.weight"]
torch.save(tied, path("tied", "pytorch_model.bin"))
config = json.load(open(os.path.join(golden, "adapters/model/config.json")))
config["tie_word_embeddings"] = True
config["dtype"] = "float16"
json.dump(config, open(path("tied", "config.json"), "w"))

wte = torch.randn(6, 4)
torch.save({"transformer.wte.weight": wte, "transformer.ln_f.weight": torch.ones(4), "lm_head.weight": wte}, path("tied_other", "pytorch_model.bin"))
json.dump({}, open(path("tied_other", "config.json"), "w"))

one = {"w": torch.ones(2, 2)}
torch.save(one, path("refused", "legacy.bin"), _use_new_zipfile_serialization=False)
with tarfile.open(path("refused", "tar.bin"), "w") as t:
    for name in "sys", "pickle", "storages", "tensors":
        t.addfile(tarfile.TarInfo(name), io.BytesIO())
torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), path("refused", "script.bin"))
torch.save(torch.nn.Linear(1, 1), path("refused", "whole_module.bin"))
torch.save({"state_dict": one, "epoch": 3}, path("refused", "training.bin"))
torch.save({"w": torch.ones(1).expand(1 << 16, 1 << 16)}, path("refused", "expanded.bin"))
torch.save({"w": torch.ones(2, dtype=torch.complex64).conj()}, path("refused", "conjugate.bin"))
torch.save([torch.ones(2)], path("refused", "list.bin"))


class Call:
    def __reduce__(self):
        return os.system, ("true",)


torch.save({"w": Call()}, path("refused", "system.bin"))
