#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/auto_tokenizer.json: directories of tokenizer files that say something beside tokenizer.json (or in its place), and
what transformers' AutoTokenizer makes of texts with each; and fuzz/corpus/vocab/. An entry has the files, the ids of special tokens by name, and cases of
[text, ids, ids with special tokens around, text without special tokens].
Made with transformers 5.24.0 and tokenizers 0.23.3 (and protobuf, which transformers wants for a sentencepiece model; run golden_sentencepiece.py before).

    tools/golden_auto_tokenizer.py"""
import json
import os
import tempfile

from transformers import AutoTokenizer

HERE = os.path.join(os.path.dirname(__file__), "..", "tests", "golden")
NAMES = ["bos_token", "eos_token", "unk_token", "pad_token"]
LETTERS = [chr(c) for c in range(0x21, 0x7f)] + ["Ġ", "Ċ"]
TEXTS = ["ab", " ab", "a <x> b", "<x><y>", "<s>ab</s> ab", "<pad>a <pad>", "ab<z>ab", "  a  b", "<s> ab", "x <mask>y", "A<y> b", "don'T 123 e\u0301a Ab\u65e5\u672cab,\n x"]


def token(content, **kw):
    return dict(dict(content=content, lstrip=False, normalized=False, rstrip=False, single_word=False, special=True), **kw)


def vocab(first):
    return {t: i for i, t in enumerate(first + LETTERS + ["▁", "ab", "▁a", "▁ab", "Ġa", "Ġab"])}


def around(name, id):
    return {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": name, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {name: {"id": name, "ids": [id], "tokens": [name]}}}


def document(kind, first=("<unk>", "<s>", "</s>"), added=("<unk>", "<s>", "</s>")):
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    v = vocab(list(first))
    merges = ["a b", "▁ a", "▁ ab", "Ġ a", "Ġ ab"]
    model = {"type": "BPE", "dropout": None, "unk_token": "<unk>" if kind != "bytes" else None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
             "fuse_unk": kind != "bytes", "byte_fallback": False, "ignore_merges": False, "vocab": v, "merges": merges}
    doc = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [dict(token(t), id=v[t]) for t in added], "normalizer": None, "pre_tokenizer": None,
           "post_processor": None, "decoder": None, "model": model}
    if kind == "bytes":
        doc["pre_tokenizer"] = doc["decoder"] = byte_level
    else:
        doc["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
        doc["decoder"] = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                                                           {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
        doc["post_processor"] = around("<s>", v["<s>"])
        if kind == "metaspace":
            doc["normalizer"] = None
            doc["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    return doc


def settings():
    fast = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    b = lambda **kw: {"tokenizer.json": document("bytes"), "tokenizer_config.json": dict(fast, **kw)}
    n = len(vocab(["<unk>", "<s>", "</s>"]))
    yield "plain", b()
    yield "additional", b(additional_special_tokens=["<x>", "<y>"])
    yield "additional_known", b(additional_special_tokens=["ab", "<x>"])
    yield "additional_flags", b(additional_special_tokens=[dict(token("<x>", lstrip=True, rstrip=True), __type="AddedToken"), "<y>"])
    yield "extra_list", b(extra_special_tokens=["<y>", "<x>"])
    yield "extra_over_additional", b(extra_special_tokens=["<y>"], additional_special_tokens=["<x>"])
    yield "extra_named", b(extra_special_tokens={"image_token": "<x>", "video_token": "<y>"})
    yield "own_name", b(image_token="<x>")
    yield "pad_new", b(pad_token="<pad>")
    yield "pad_known", b(pad_token="ab")
    yield "pad_is_eos", b(pad_token="</s>")
    yield "mask_flags", b(mask_token=dict(token("<mask>", lstrip=True), __type="AddedToken"))
    yield "pad_then_additional", b(pad_token="<pad>", additional_special_tokens=["<x>", "<y>"], sep_token="<z>")
    yield "not_special_yet", dict(b(eos_token="<x>"), **{"tokenizer.json": dict(document("bytes"), added_tokens=document("bytes")["added_tokens"] + [
        dict(token("<x>", special=False), id=n)])})
    yield "decoder", b(added_tokens_decoder={str(n): token("<x>"), str(n + 1): token("<y>", special=False, lstrip=True)})
    yield "decoder_gap", b(added_tokens_decoder={str(n + 9): token("<x>"), str(n + 4): token("<y>")})
    yield "decoder_other_flags", dict(b(added_tokens_decoder={str(n): token("<x>", lstrip=True)}), **{"tokenizer.json": dict(document("bytes"), added_tokens=document(
        "bytes")["added_tokens"] + [dict(token("<x>", special=False), id=n)])})
    yield "decoder_hides_map", dict(b(added_tokens_decoder={str(n): token("<x>")}), **{"special_tokens_map.json": {"pad_token": "<pad>", "eos_token": "<x>"}})
    yield "map", dict(b(), **{"special_tokens_map.json": {"pad_token": "<pad>", "eos_token": {"content": "<x>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}}})
    yield "map_over_config", dict(b(pad_token="<y>", eos_token="<y>"), **{"special_tokens_map.json": {"pad_token": "<pad>", "eos_token": "</s>"}})
    yield "map_additional", dict(b(), **{"special_tokens_map.json": {"additional_special_tokens": ["<x>", "<y>"]}})
    yield "map_additional_over_config", dict(b(additional_special_tokens=["<z>"]), **{"special_tokens_map.json": {"additional_special_tokens": ["<x>"]}})
    yield "added_file", dict(b(), **{"added_tokens.json": {"<x>": n, "<y>": n + 1}})
    yield "added_file_unsorted", dict(b(), **{"added_tokens.json": {"<y>": n + 1, "<x>": n}})
    yield "added_file_gap", dict(b(), **{"added_tokens.json": {"<y>": n + 7, "<x>": n + 3}})
    yield "added_file_named", dict(b(pad_token="<pad>"), **{"added_tokens.json": {"<pad>": n, "<x>": n + 1}})
    yield "added_file_hidden", dict(b(added_tokens_decoder={str(n): token("<y>")}), **{"added_tokens.json": {"<x>": n}})
    yield "gap", dict(b(), **{"tokenizer.json": dict(document("bytes"), added_tokens=document("bytes")["added_tokens"] + [dict(token("<x>"), id=300), dict(token("<y>"), id=290)])})
    yield "map_extra_behind_config", dict(b(extra_special_tokens=["<z>"]), **{"special_tokens_map.json": {"extra_special_tokens": ["<x>", "<z>"]}})
    yield "no_config", {"tokenizer.json": document("bytes"), "config.json": {"model_type": "llama"}, "special_tokens_map.json": {"pad_token": "<pad>", "bos_token": "<s>"}}
    yield "prefix_ignored", b(add_prefix_space=True)
    llama = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    config = {"model_type": "llama"}
    for kind in ("legacy", "metaspace"):
        for legacy in (None, True, False):
            for prefix in (None, True, False):
                if prefix is None and legacy is not False:
                    continue  # transformers 5 builds these anew too; isara keeps what tokenizer.json says
                c = dict(llama, **({} if legacy is None else {"legacy": legacy}), **({} if prefix is None else {"add_prefix_space": prefix}))
                yield f"llama_{kind}_{legacy}_{prefix}", {"tokenizer.json": document(kind), "tokenizer_config.json": c, "config.json": config}
    yield "llama_fast", {"tokenizer.json": document("legacy"), "tokenizer_config.json": dict(llama, tokenizer_class="LlamaTokenizerFast", add_prefix_space=False)}
    yield "llama_bytes", {"tokenizer.json": document("bytes"), "tokenizer_config.json": dict(llama, add_prefix_space=False), "config.json": config}
    yield "llama_of_mistral", {"tokenizer.json": document("legacy"), "tokenizer_config.json": dict(llama, add_prefix_space=False), "config.json": {"model_type": "mistral"}}
    for prefix in (None, True, False):
        c = dict(fast, tokenizer_class="GPT2Tokenizer", unk_token="<unk>", **({} if prefix is None else {"add_prefix_space": prefix}))
        yield f"gpt2_{prefix}", {"tokenizer.json": document("bytes"), "tokenizer_config.json": c}
    v = vocab(["<unk>", "<s>", "</s>"])
    merges = "#version: 0.2\n" + "\n".join(document("bytes")["model"]["merges"]) + "\n"
    for prefix in (None, True):
        c = {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "additional_special_tokens": ["<y>"],
             **({} if prefix is None else {"add_prefix_space": prefix})}
        yield f"merges_{prefix}", {"vocab.json": v, "merges.txt": merges, "tokenizer_config.json": c, "added_tokens.json": {"<x>": n}}
    marks = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}
    for name, c, m in [("opt", dict(marks, tokenizer_class="GPT2Tokenizer", bos_token="</s>", add_bos_token=True), "opt"), ("opt_by_model", dict(marks, bos_token="</s>", add_bos_token=True), "opt"),
                       ("eos", dict(marks, tokenizer_class="GPT2Tokenizer", add_bos_token=True, add_eos_token=True), "gpt2"),
                       ("qwen2", dict(marks, tokenizer_class="Qwen2Tokenizer", bos_token=None), "qwen2"), ("qwen2_fast", dict(marks, tokenizer_class="Qwen2TokenizerFast", add_prefix_space=True), "qwen2"),
                       ("qwen3_by_model", {"eos_token": "</s>", "pad_token": "<unk>", "unk_token": None}, "qwen3"), ("neox", dict(marks, tokenizer_class="GPTNeoXTokenizer"), "gpt_neox"), ("neox_by_model", dict(marks), "gpt_neox"),
                       ("roberta", dict(marks, tokenizer_class="RobertaTokenizer", cls_token="<s>", sep_token="</s>", pad_token="<unk>", mask_token="<mask>"), "roberta"),
                       ("roberta_cls", dict(marks, tokenizer_class="RobertaTokenizer", cls_token="</s>", sep_token="<s>", pad_token="<unk>", mask_token="<unk>"), "roberta")]:
        yield f"merges_{name}", {"vocab.json": v, "merges.txt": merges, "tokenizer_config.json": c, "config.json": {"model_type": m}}
    ends = dict(v)
    ends["<|endoftext|>"] = len(v)
    for name, c in [("GPT2Tokenizer", {}), ("Qwen2Tokenizer", {}), ("Qwen2Tokenizer", {"eos_token": "</s>"}), ("GPT2Tokenizer", {"unk_token": None, "bos_token": "<s>"})]:
        yield f"merges_defaults_{name}_{len(c)}", {"vocab.json": ends, "merges.txt": merges, "tokenizer_config.json": dict(c, tokenizer_class=name)}
    words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb \nab\n##b\nA\n##b\nx\n'\ndon\nt\n\u00e9\ne\n##a\n\u65e5\n\u672c\n,\n##\u65e5\n##\u672c\n##ab\n<\n>"
    mp = "<s>\n<pad>\n</s>\n[UNK]\n<mask>\na\nb\nab\n##b\n"
    for name, c, text in [("uncased", {"tokenizer_class": "BertTokenizer", "do_lower_case": True}, words), ("cased", {"tokenizer_class": "BertTokenizer", "do_lower_case": False}, words),
                          ("accents", {"tokenizer_class": "BertTokenizerFast", "strip_accents": False}, words), ("cased_strip", {"do_lower_case": False, "strip_accents": True}, words),
                          ("chinese", {"tokenizer_class": "DistilBertTokenizer", "tokenize_chinese_chars": False}, words), ("none", None, words),
                          ("added", {"tokenizer_class": "BertTokenizer", "added_tokens_decoder": {"30": token("<x>", special=False, single_word=True)}}, words.replace("A\n##b", "A\n##c")),
                          ("mpnet", {"tokenizer_class": "MPNetTokenizer", "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "[UNK]", "pad_token": "<pad>",
                                     "mask_token": "<mask>"}, mp)]:
        yield f"vocab_txt_{name}", dict({"vocab.txt": text, "config.json": {"model_type": "mpnet" if name == "mpnet" else "bert"}}, **({"tokenizer_config.json": c} if c else {}))
    spm = {"hex": open(os.path.join(HERE, "spm", "unigram.model"), "rb").read().hex()}
    for name, c in [("xlmr", {"tokenizer_class": "XLMRobertaTokenizer"}), ("xlmr_mask", {"tokenizer_class": "XLMRobertaTokenizerFast", "mask_token": dict(token("<mask>", lstrip=True), __type="AddedToken")}),
                    ("xlmr_by_model", None)]:
        yield name, dict({"sentencepiece.bpe.model": spm, "config.json": {"model_type": "xlm-roberta"}}, **({"tokenizer_config.json": c} if c else {}))


def load(files):
    with tempfile.TemporaryDirectory() as d:
        for name, content in files.items():
            with open(os.path.join(d, name), "wb") as f:
                f.write(bytes.fromhex(content["hex"]) if name.endswith(".model") else (content if isinstance(content, str) else json.dumps(content)).encode())
        return AutoTokenizer.from_pretrained(d)


def corpus():
    """fuzz/corpus/vocab: some of the directories without a tokenizer.json, with a small vocabulary (fuzz_vocab.c says how a file is laid out)."""
    folder = os.path.join(HERE, "../../fuzz/corpus/vocab")
    os.makedirs(folder, exist_ok=True)
    small = {t: i for i, t in enumerate(["<unk>", "<s>", "</s>", "<|endoftext|>", "a", "b", "\u0120", "ab", "\u0120ab", "I", "t", "'", "s"])}
    for name, files in settings():
        if not name.startswith(("merges_", "vocab_txt_")):
            continue
        if "vocab.json" in files:
            files = dict(files, **{"vocab.json": small, "merges.txt": "#version: 0.2\na b\n\u0120 ab\n"})
        parts = [files.get(f, b"") for f in ("tokenizer_config.json", "vocab.json", "merges.txt", "vocab.txt")]
        with open(os.path.join(folder, name), "wb") as f:
            f.write(b"\xff".join(p if isinstance(p, bytes) else (p if isinstance(p, str) else json.dumps(p)).encode() for p in parts))


def main():
    corpus()
    out = []
    for name, files in settings():
        try:
            t = load(files)
        except Exception as why:
            print(name, type(why).__name__, why)
            continue
        ids = {k: getattr(t, k + "_id") for k in NAMES}
        cases = []
        for text in TEXTS:
            plain, full = t.encode(text, add_special_tokens=False), t.encode(text)
            cases.append([text, plain, full, t.decode(full, skip_special_tokens=True, clean_up_tokenization_spaces=False)])
        out.append({"name": name, "files": files, "ids": ids, "cases": cases})
    base = {}
    for e in out:  # the documents repeat: a file is written once, and named after that
        for f, content in e["files"].items():
            text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
            if f in ("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "sentencepiece.bpe.model"):
                key = base.setdefault(text, f"{f} {len(base)}")
                e["files"][f] = key
    with open(os.path.join(HERE, "auto_tokenizer.json"), "w", encoding="utf-8") as f:
        shared = ",\n".join(json.dumps(k) + ":" + text for text, k in base.items())
        f.write('{"shared":{\n' + shared + '\n},\n"entries":[\n' + ",\n".join(json.dumps(o, ensure_ascii=False, separators=(",", ":")) for o in out) + "\n]}\n")


if __name__ == "__main__":
    main()
