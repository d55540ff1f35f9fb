#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden files for the GGUF reader, made with the Python packages gguf, torch and transformers (their versions are written into
tests/golden/gguf.md).

    tools/golden_gguf.py                      tests/golden/gguf_types.gguf + .safetensors, tests/golden/tiny_llama.gguf + .safetensors + .json
    tools/golden_gguf.py SmolLM2-...gguf      tests/golden/smollm2_tensors.txt: "sha256  name" of every tensor as transformers loads it, in f32

gguf_types holds random blocks of every storage type; the expectation is gguf.quants.dequantize. tiny_llama is a random LLaMA whose rows are
permuted as llama.cpp's conversion does; the expectation (names, layout, values, configuration) is transformers' own GGUF loader."""
import hashlib, json, os, sys
import numpy as np

OUT = os.path.join(os.path.dirname(__file__), "..", "tests", "golden")
TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "Q2_K", "Q3_K", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4"]
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "Q2_K": [80, 82],
          "Q3_K": [108], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [], "NVFP4": []}


def random_blocks(name, rng):
    """2 rows of 512 elements as raw bytes; f16 scales are finite numbers of either sign, some subnormal."""
    import gguf
    kind = gguf.GGMLQuantizationType[name]
    n, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (2 * 512 // n, size), dtype=np.uint8)
    if name == "F32":
        blocks = rng.standard_normal(1024).astype(np.float32).view(np.uint8).reshape(-1, 4)
    for at in HALVES.get(name, [0] if name in ("F16", "BF16") else []):
        half = rng.integers(0, 0x7c00 if name != "BF16" else 0x7f80, len(blocks)).astype(np.uint16)
        half |= (rng.integers(0, 2, len(blocks)) << 15).astype(np.uint16)
        blocks[:, at:at + 2] = half.view(np.uint8).reshape(-1, 2)
    if name == "NVFP4":
        blocks[0, :2] = 0x7f, 0  # no number, and zero
    return kind, blocks.reshape(2, -1)


def types():
    import gguf
    from safetensors.numpy import save_file
    rng = np.random.default_rng(1)
    w = gguf.GGUFWriter(os.path.join(OUT, "gguf_types.gguf"), "llama")
    expect = {}
    w.add_uint32("test.u32", 7)
    w.add_int64("test.i64", -5)
    w.add_float32("test.f32", 0.5)
    w.add_bool("test.bool", True)
    w.add_string("test.string", "gr\u00fc\u00df")
    w.add_array("test.strings", ["a", "", "\u00e9"])
    w.add_array("test.ints", [3, -1, 2])
    w.add_array("test.floats", [0.25, -2.5])
    for name in TYPES:
        kind, raw = random_blocks(name, rng)
        w.add_tensor(name, raw.view(np.float32) if name == "F32" else raw.view(np.float16) if name == "F16" else raw, raw_dtype=None if name in ("F32", "F16") else kind)
        expect[name] = np.ascontiguousarray(gguf.quants.dequantize(raw, kind).reshape(2, 512).astype(np.float32))
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
    save_file(expect, os.path.join(OUT, "gguf_types.safetensors"))


def quantised():
    """Q8_0 as the package makes it, of values with zeros, ties and subnormal scales."""
    import gguf
    from safetensors.numpy import save_file
    rng = np.random.default_rng(7)
    x = (rng.standard_normal((6, 64)) * np.array([[1], [1e-7], [300], [0], [2e-3], [1]])).astype(np.float32)
    x[5] = np.tile(np.arange(-16, 16) * np.float32(0.5) * np.float32(1 / 127), 2)
    save_file({"values": x, "q8_0": gguf.quants.quantize(x, gguf.GGMLQuantizationType.Q8_0)}, os.path.join(OUT, "gguf_quantised.safetensors"))


def permute(x, heads):
    return x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def load_with_transformers(path):
    import torch, transformers
    m = transformers.AutoModelForCausalLM.from_pretrained(os.path.dirname(os.path.abspath(path)), gguf_file=os.path.basename(path), dtype=torch.float32)
    state = {k: v.detach().numpy() for k, v in m.state_dict().items()}
    if m.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    return m.config.to_dict(), state


def tiny():
    import gguf
    from safetensors.numpy import save_file
    rng = np.random.default_rng(2)
    H, C, KV, D, F, V, L = 4, 32, 2, 8, 64, 40, 2
    path = os.path.join(OUT, "tiny_llama.gguf")
    w = gguf.GGUFWriter(path, "llama")
    w.add_block_count(L); w.add_context_length(128); w.add_embedding_length(C); w.add_feed_forward_length(F); w.add_head_count(H)
    w.add_head_count_kv(KV); w.add_rope_freq_base(10000.0); w.add_layer_norm_rms_eps(1e-5); w.add_vocab_size(V); w.add_rope_dimension_count(D)
    w.add_tokenizer_model("gpt2"); w.add_tokenizer_pre("gpt-2")
    w.add_token_list([chr(33 + i) for i in range(V)]); w.add_token_types([3, 3, 3] + [1] * (V - 3)); w.add_token_merges(["$ %"])
    w.add_bos_token_id(1); w.add_eos_token_id(2); w.add_pad_token_id(0); w.add_add_bos_token(False)

    def put(name, shape, kind="F32"):
        x = rng.standard_normal(shape).astype(np.float32) * 0.1
        kind = gguf.GGMLQuantizationType[kind]
        if kind == gguf.GGMLQuantizationType.F32:
            w.add_tensor(name, x)
        else:
            w.add_tensor(name, gguf.quants.quantize(x, kind), raw_dtype=kind)

    put("token_embd.weight", (V, C), "Q8_0"); put("output_norm.weight", (C,)); put("output.weight", (V, C), "F16")
    for i in range(L):
        b = f"blk.{i}."
        put(b + "attn_norm.weight", (C,)); put(b + "attn_q.weight", (H * D, C), "Q4_1"); put(b + "attn_k.weight", (KV * D, C), "Q8_0")
        put(b + "attn_v.weight", (KV * D, C), "Q5_1"); put(b + "attn_output.weight", (C, H * D), "Q4_0"); put(b + "ffn_norm.weight", (C,))
        put(b + "ffn_gate.weight", (F, C), "Q5_0"); put(b + "ffn_up.weight", (F, C), "F16"); put(b + "ffn_down.weight", (C, F), "Q4_1")
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
    config, state = load_with_transformers(path)
    save_file({k: np.ascontiguousarray(v) for k, v in state.items()}, os.path.join(OUT, "tiny_llama.safetensors"), metadata={"format": "pt"})
    keep = ["model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size", "vocab_size",
            "max_position_embeddings", "tie_word_embeddings", "bos_token_id", "eos_token_id", "pad_token_id", "hidden_act"]
    json.dump({k: config[k] for k in keep}, open(os.path.join(OUT, "tiny_llama.json"), "w"), indent=1)


def four_bits():
    """Layer 0 all Q4_0; layer 1 all Q4_1, but its gate and up differ; the embedding Q8_0 and tied."""
    import gguf
    rng = np.random.default_rng(3)
    H, C, KV, D, F, V, L = 4, 64, 2, 16, 96, 50, 2
    w = gguf.GGUFWriter(os.path.join(OUT, "tiny_q4.gguf"), "llama")
    w.add_block_count(L); w.add_context_length(128); w.add_embedding_length(C); w.add_feed_forward_length(F); w.add_head_count(H)
    w.add_head_count_kv(KV); w.add_rope_freq_base(10000.0); w.add_layer_norm_rms_eps(1e-5); w.add_vocab_size(V); w.add_rope_dimension_count(D)
    w.add_tokenizer_model("gpt2"); w.add_tokenizer_pre("gpt-2")
    w.add_token_list([chr(33 + i) for i in range(V)]); w.add_token_types([3, 3, 3] + [1] * (V - 3)); w.add_token_merges(["$ %"])
    w.add_bos_token_id(1); w.add_eos_token_id(2); w.add_pad_token_id(0); w.add_add_bos_token(False)

    def put(name, shape, kind):
        x = (rng.standard_normal(shape) * 0.3).astype(np.float32)
        kind = gguf.GGMLQuantizationType[kind]
        w.add_tensor(name, gguf.quants.quantize(x, kind), raw_dtype=kind)

    put("token_embd.weight", (V, C), "Q8_0"); w.add_tensor("output_norm.weight", np.ones(C, np.float32))
    for i, kind in enumerate(["Q4_0", "Q4_1"]):
        b = f"blk.{i}."
        w.add_tensor(b + "attn_norm.weight", np.ones(C, np.float32)); w.add_tensor(b + "ffn_norm.weight", np.ones(C, np.float32))
        put(b + "attn_q.weight", (H * D, C), kind); put(b + "attn_k.weight", (KV * D, C), kind); put(b + "attn_v.weight", (KV * D, C), kind)
        put(b + "attn_output.weight", (C, H * D), kind); put(b + "ffn_gate.weight", (F, C), kind); put(b + "ffn_up.weight", (F, C), "Q4_0")
        put(b + "ffn_down.weight", (C, F), kind)
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


def k_types():
    """One layer whose q, k and v, and gate and up, all differ in type; random blocks, centred on zero."""
    import gguf
    rng = np.random.default_rng(4)
    H, C, KV, D, F, V = 2, 256, 1, 32, 256, 48
    w = gguf.GGUFWriter(os.path.join(OUT, "tiny_k.gguf"), "llama")
    w.add_block_count(1); w.add_context_length(128); w.add_embedding_length(C); w.add_feed_forward_length(F); w.add_head_count(H)
    w.add_head_count_kv(KV); w.add_key_length(D); w.add_value_length(D); w.add_rope_freq_base(10000.0); w.add_layer_norm_rms_eps(1e-5); w.add_vocab_size(V); w.add_rope_dimension_count(D)
    w.add_tokenizer_model("gpt2"); w.add_tokenizer_pre("gpt-2")
    w.add_token_list([chr(33 + i) for i in range(V)]); w.add_token_types([3, 3, 3] + [1] * (V - 3)); w.add_token_merges(["$ %"])
    w.add_bos_token_id(1); w.add_eos_token_id(2); w.add_pad_token_id(0); w.add_add_bos_token(False)

    def put(name, shape, kind):
        kind = gguf.GGMLQuantizationType[kind]
        if kind == gguf.GGMLQuantizationType.Q5_0:
            w.add_tensor(name, gguf.quants.quantize((rng.standard_normal(shape) * 0.3).astype(np.float32), kind), raw_dtype=kind)
            return
        n, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, (shape[0], shape[1] // n, size), dtype=np.uint8)
        middle = {"Q4_K": 7.5, "Q5_K": 15.5, "Q6_K": 1}[kind.name]  # of the integers; scales and minima are equally often 0 to 63
        d = (rng.uniform(0.5, 1.5, (*blocks.shape[:2], 1)) * {"Q4_K": 2.5e-4, "Q5_K": 1.2e-4, "Q6_K": 3e-5}[kind.name]).astype(np.float16)
        at = 208 if kind.name == "Q6_K" else 0
        blocks[..., at:at + 2] = d.view(np.uint8)
        if at == 0:
            blocks[..., 2:4] = (d * np.float16(middle)).view(np.uint8)
        w.add_tensor(name, blocks.reshape(shape[0], -1), raw_dtype=kind)

    put("token_embd.weight", (V, C), "Q6_K"); w.add_tensor("output_norm.weight", np.ones(C, np.float32))
    w.add_tensor("blk.0.attn_norm.weight", np.ones(C, np.float32)); w.add_tensor("blk.0.ffn_norm.weight", np.ones(C, np.float32))
    for name, shape, kind in [("attn_q", (H * D, C), "Q4_K"), ("attn_k", (KV * D, C), "Q5_K"), ("attn_v", (KV * D, C), "Q6_K"), ("attn_output", (C, H * D), "Q5_0"),
                              ("ffn_gate", (F, C), "Q4_K"), ("ffn_up", (F, C), "Q5_K"), ("ffn_down", (C, F), "Q6_K")]:
        put(f"blk.0.{name}.weight", shape, kind)
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


def smollm2(path):
    _, state = load_with_transformers(path)
    with open(os.path.join(OUT, "smollm2_tensors.txt"), "w") as f:
        for k in sorted(state):
            f.write(f"{hashlib.sha256(np.ascontiguousarray(state[k]).tobytes()).hexdigest()}  {k}\n")


if __name__ == "__main__":
    import gguf, torch, transformers
    from importlib.metadata import version
    os.makedirs(OUT, exist_ok=True)
    if len(sys.argv) > 1:
        smollm2(sys.argv[1])
    else:
        types()
        quantised()
        tiny()
        four_bits()
        k_types()
    open(os.path.join(OUT, "gguf.md"), "w").write(
        "gguf_types.*, gguf_quantised.*, tiny_llama.*, tiny_q4.gguf, tiny_k.gguf, smollm2_tensors.txt: made by tools/golden_gguf.py with gguf %s, torch %s, transformers %s, numpy %s, safetensors %s.\n"
        % (version("gguf"), torch.__version__, transformers.__version__, np.__version__, version("safetensors")))
