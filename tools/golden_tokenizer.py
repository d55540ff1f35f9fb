#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/tokenizer_{bytelevel,spm,wordpiece,unigram,word_level}.json (small vocabularies trained on the text below) and
tests/golden/tokenizer_cases.json: what the tokenizers library makes of hard and random strings with each of them under many settings.
A setting is a patch: top-level members of tokenizer.json that replace the base file's ("model" is merged member by member).
Made with tokenizers 0.23.3 and (a map of characters) sentencepiece 0.2.3. Random characters are those of Unicode 3.2, about which all Unicode tables agree.

Also writes fuzz/corpus/tokenizer/: every setting over a vocabulary of a few tokens.

    tools/golden_tokenizer.py"""
import base64
import io
import json
import os
import random
import tempfile
import unicodedata

import sentencepiece
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from protobuf_field import field

HERE = os.path.join(os.path.dirname(__file__), "..", "tests", "golden")
CORPUS = ["the quick brown fox jumps over the lazy dog. ", "it's what they're saying: we'll see, don't worry! ", "in 1999, 12 people paid $3.50 (or 100%). ",
          "naïve café déjà vu über straße ", "hello hello world world, the other theory then there ", "newline\nnewline\n\n  indented\n\ttab "] * 8
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
WORDS = ["hello", "the", "quick", "I'll", "don'T", "it'S", "they're", "'\u017f", "\u017f", " ", "  ", "\n", "\n\n", "\t", "\r\n", "123", "4567", "3.14",
         "é", "e\u0301", "\ufb01", "İ", "\u01c5", "日本語", "한국", "🙂", "👩\u200d👧", "\u0085", "\u180e", "\u200b", "\u00a0", "\u3000", "<s>", "</s>", "<pad>",
         "<sep>", "word", "_", "$", "...", "!!", "a", "b", "\u0300", "ß", "½", "Ⅷ", "٣", "<0x0A>", "▁", "▁▁", "Ġ", "==", "x.y/z?q=1"]


def special(id, content, **kw):
    return dict(dict(id=id, content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True), **kw)


def bases():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
                                                      special_tokens=["<s>", "</s>", "<pad>", "<unk>"]))
    yield "bytelevel", t
    t = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.train_from_iterator([c.strip() for c in CORPUS], trainers.BpeTrainer(vocab_size=520, show_progress=False, special_tokens=[
        "<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]))
    yield "spm", t
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=12))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=200, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"]))
    yield "wordpiece", t
    t = Tokenizer(models.Unigram())
    t.pre_tokenizer, t.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    t.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=160, unk_token="<unk>", special_tokens=["<s>", "</s>", "<pad>", "<unk>"], show_progress=False))
    yield "unigram", t
    t = Tokenizer(models.WordLevel(unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    t.train_from_iterator(CORPUS, trainers.WordLevelTrainer(vocab_size=60, special_tokens=["<s>", "</s>", "<unk>"], show_progress=False))
    yield "word_level", t


def charsmap():
    """A small map: the rules below and no others. The map lies in field 2 of the model's field 3."""
    rules = [("\ufb01", "fi"), ("\u00bd", "1/2"), ("e\u0301", "\u00e9"), ("\uff37", "w"), ("\r\n", " "), ("\r", "_"), ("\t", " "), ("\n", " "), ("\u3000", " "), ("\u200b", ""),
             ("'\u017f", "'s"), ("\u017f", "s"), ("ab", "x"), ("a", "A"), ("\U0001f642", ":)")]
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as f:
        for a, b in rules:
            f.write(" ".join(f"{ord(c):X}" for c in a) + "\t" + " ".join(f"{ord(c):X}" for c in b) + "\n")
        f.flush()
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS), model_writer=out, vocab_size=60, model_type="bpe", normalization_rule_tsv=f.name, minloglevel=2,
                                                 hard_vocab_limit=False)
    return base64.b64encode(field(field(out.getvalue(), 3), 2)).decode()


def around(before, after):
    step = lambda name: {"SpecialToken": {"id": name, "type_id": 0}}
    body = [step(n) for n, _ in before] + [{"Sequence": {"id": "A", "type_id": 0}}] + [step(n) for n, _ in after]
    return {"type": "TemplateProcessing", "single": body, "pair": body + [{"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {n: {"id": n, "ids": [i], "tokens": [n]} for n, i in before + after}}


def byte_level(**kw):
    return dict(dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True), **kw)


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def then_bytes(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps) + [byte_level(use_regex=False)]}


def settings(size):
    n = size["bytelevel"]
    bytelevel = {
        "gpt2": {"pre_tokenizer": byte_level()},
        "roberta": {"pre_tokenizer": byte_level(add_prefix_space=True),
                    "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0], "trim_offsets": True, "add_prefix_space": True}},
        "llama3": {"pre_tokenizer": then_bytes(split({"Regex": LLAMA3})), "model": {"ignore_merges": True},
                   "post_processor": {"type": "Sequence", "processors": [byte_level(), around([("<s>", 0)], [])]}},
        "qwen2": {"pre_tokenizer": then_bytes(split({"Regex": QWEN2})), "normalizer": {"type": "NFC"}},
        "smollm": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level()]}},
        "digits": {"pre_tokenizer": then_bytes({"type": "Digits", "individual_digits": False}, {"type": "Punctuation", "behavior": "Contiguous"})},
        "classes": {"pre_tokenizer": then_bytes({"type": "WhitespaceSplit"}, {"type": "Punctuation"}, {"type": "CharDelimiterSplit", "delimiter": "e"})},
        "words": {"pre_tokenizer": then_bytes({"type": "Whitespace"})},
        "empty_matches": {"pre_tokenizer": then_bytes(split({"Regex": r"(?=[A-Z\d])|"}))},
        "posix": {"pre_tokenizer": then_bytes(split({"Regex": r"[[:space:]]+|\h+|[\w']+|\W"}, "Isolated"))},
        "string": {"pre_tokenizer": then_bytes(split({"String": "e."}, "MergedWithNext"))},
        "added": {"pre_tokenizer": byte_level(), "normalizer": {"type": "Lowercase"}, "added_tokens": [
            special(0, "<s>"), special(1, "</s>", lstrip=True, rstrip=True), special(2, "<pad>", lstrip=True), special(n, "<sep>", rstrip=True),
            special(n + 1, "word", special=False, single_word=True, normalized=True), special(n + 2, "HELLO", special=False, normalized=True),
            special(n + 3, "he", special=False), special(n + 4, "hell", special=False)]},
        "template": {"pre_tokenizer": byte_level(), "post_processor": around([("<s>", 0), ("<pad>", 2)], [("</s>", 1)])},
        "suffix": {"pre_tokenizer": byte_level(), "decoder": {"type": "BPEDecoder", "suffix": "e"}},
        "no_decoder": {"pre_tokenizer": byte_level(), "decoder": None},
        "strip_both": {"pre_tokenizer": byte_level(), "decoder": {"type": "Sequence", "decoders": [byte_level(), {"type": "Strip", "content": "a", "start": 2, "stop": 0}]}},
    }
    for name, z in {"nfc": {"type": "NFC"}, "nfd": {"type": "NFD"}, "nfkc": {"type": "NFKC"}, "nfkd": {"type": "NFKD"}, "strip": {"type": "Strip", "strip_left": True, "strip_right": True},
                    "accents": {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]},
                    "replace": {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": "_"}}.items():
        bytelevel[name] = {"pre_tokenizer": byte_level(), "normalizer": z}
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            bytelevel[f"split_{behavior}_{invert}"] = {"pre_tokenizer": then_bytes(split({"Regex": r"\s|[aeiou]"}, behavior, invert))}
    yield "bytelevel", bytelevel
    plain = [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")]
    spm = {"legacy": {"added_tokens": plain, "post_processor": around([("<s>", 1)], [])},
           "no_fuse": {"added_tokens": plain, "model": {"fuse_unk": False, "byte_fallback": False}},
           "fuse": {"added_tokens": plain, "model": {"byte_fallback": False}},
           "no_unk": {"added_tokens": plain, "model": {"byte_fallback": False, "unk_token": None}}}
    for scheme in ("always", "first", "never"):
        for cut in (False, True):
            m = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": cut}
            spm[f"metaspace_{scheme}_{cut}"] = {"added_tokens": plain, "normalizer": None, "pre_tokenizer": m, "decoder": m}
    yield "spm", spm
    marks = {"added_tokens": [special(0, "[PAD]"), special(1, "[UNK]"), special(2, "[CLS]"), special(3, "[SEP]")]}
    yield "wordpiece", {
        "uncased": dict(marks, post_processor=around([("[CLS]", 2)], [("[SEP]", 3)])),
        "bert_processing": dict(marks, post_processor={"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}),
        "cased": dict(marks, normalizer={"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": False}),
        "no_cleanup": dict(marks, decoder={"type": "WordPiece", "prefix": "##", "cleanup": False})}
    n = size["unigram"]
    plain = [special(0, "<s>"), special(1, "</s>"), special(2, "<pad>"), special(3, "<unk>")]
    meta = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    table = {"type": "Precompiled", "precompiled_charsmap": charsmap()}
    strip = [{"type": "Strip", "strip_left": False, "strip_right": True}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]
    yield "unigram", {
        "xlmr": {"added_tokens": plain + [special(n, "<sep>", lstrip=True)], "normalizer": table, "post_processor": around([("<s>", 0)], [("</s>", 1)]),
                 "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, meta]}},
        "t5": {"added_tokens": plain, "normalizer": {"type": "Sequence", "normalizers": [table] + strip}},
        "nmt": {"added_tokens": plain + [special(n, "HELLO", special=False, normalized=True)], "normalizer": {"type": "Sequence", "normalizers": [{"type": "Nmt"}, {"type": "Lowercase"}]}},
        "first": {"added_tokens": plain, "pre_tokenizer": dict(meta, prepend_scheme="first", split=False)},
        "words": {"added_tokens": plain, "pre_tokenizer": {"type": "Whitespace"}, "decoder": None}}
    yield "word_level", {
        "plain": {"added_tokens": [special(0, "<s>"), special(1, "</s>")]},
        "fixed": {"added_tokens": [special(0, "<s>")], "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "FixedLength", "length": 3}]}}}


def corpus(patches, base):
    """Seeds for fuzzing: the same components, nothing else of any size."""
    chars = ["<unk>", "<s>", "</s>", "<pad>", "[UNK]", "[CLS]", "[SEP]", "<0xC2>", "<0xBD>", "<0xF0>", "a", "b", "e", "t", "s", "'", "1", "2", "\u0120", "\u2581", "##b", "ab", "##ab"]
    vocab = {c: i for i, c in enumerate(chars)}
    model = {"bytelevel": {"type": "BPE", "vocab": vocab, "merges": ["a b"]},
             "spm": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "vocab": vocab, "merges": [["a", "b"]]},
             "wordpiece": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": vocab}, "word_level": {"type": "WordLevel", "unk_token": "<unk>", "vocab": vocab},
             "unigram": {"type": "Unigram", "unk_id": 0, "byte_fallback": True, "vocab": [[c, -i / 4] for i, c in enumerate(chars)]}}[base]
    for name, patch in patches.items():
        doc = {"version": "1.0", "model": model, "decoder": {"type": "ByteLevel"} if base == "bytelevel" else {"type": "WordPiece"} if base == "wordpiece" else
               {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                                                 {"type": "Strip", "content": " ", "start": 1, "stop": 1}]}}
        for key, value in patch.items():
            if key == "added_tokens":
                value = [dict(t, id=vocab.get(t["content"], 30 + i)) for i, t in enumerate(value)]
            if key == "post_processor":
                value = around([("<s>", 1)], [("</s>", 2)])
            doc[key] = dict(doc[key], **value) if key == "model" else value
        os.makedirs(os.path.join(HERE, "../../fuzz/corpus/tokenizer"), exist_ok=True)
        with open(os.path.join(HERE, "../../fuzz/corpus/tokenizer", f"{base}_{name}"), "w", encoding="utf-8") as f:
            json.dump(doc, f, ensure_ascii=False, separators=(",", ":"))


def texts(rng, n):
    known = [chr(c) for c in range(0x20000) if unicodedata.ucd_3_2_0.category(chr(c)) not in ("Cn", "Cs", "Co")]
    for _ in range(n):
        yield "".join(rng.choice(WORDS) if rng.random() < .85 else rng.choice(known) for _ in range(rng.randrange(1, 10)))


def main():
    docs, size, out = {}, {}, []
    for name, t in bases():
        docs[name] = json.loads(t.to_str())
        size[name] = t.get_vocab_size()
        with open(os.path.join(HERE, f"tokenizer_{name}.json"), "w", encoding="utf-8") as f:
            json.dump(docs[name], f, ensure_ascii=False, separators=(",", ":"))
            f.write("\n")
    rng = random.Random(1)
    for base, patches in settings(size):
        corpus(patches, base)
        for name, patch in patches.items():
            doc = dict(docs[base])
            for key, value in patch.items():
                doc[key] = dict(doc[key], **value) if key == "model" else value
            free, vocab = size[base], doc["model"]["vocab"]
            if base == "unigram":
                vocab = {t: i for i, (t, _) in enumerate(vocab)}
            for token in doc["added_tokens"]:  # the library numbers them so, whatever the file says
                token["id"] = vocab.get(token["content"], free)
                free += token["id"] == free
            t = Tokenizer.from_str(json.dumps(doc))
            cases = []
            for text in list(texts(rng, 24)) + ["", " ", "It'S 12345 it\u2019s  \n \n x"]:
                plain, full = t.encode(text, add_special_tokens=False).ids, t.encode(text).ids
                cases.append([text, plain, full, t.decode(full, skip_special_tokens=False), t.decode(full, skip_special_tokens=True)])
            out.append({"base": base, "name": name, "patch": patch, "cases": cases})
    with open(os.path.join(HERE, "tokenizer_cases.json"), "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(json.dumps(o, ensure_ascii=False, separators=(",", ":")) for o in out) + "\n]\n")


if __name__ == "__main__":
    main()
