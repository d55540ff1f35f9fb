#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/spm/*.model, small sentencepiece models of every kind, and tests/golden/spm/cases.json: what sentencepiece makes of hard and
random strings with each, and of their ids. Some models are trained on the text of golden_tokenizer.py, some are made piece by piece.
Also writes fuzz/corpus/spm/: the models that are made by hand. Made with sentencepiece 0.2.3.

    tools/golden_sentencepiece.py"""
import io
import json
import os
import random
import struct
import tempfile

import sentencepiece

from golden_tokenizer import CORPUS, texts

HERE = os.path.join(os.path.dirname(__file__), "..")
RULES = [("\ufb01", "fi"), ("\u00bd", "1/2"), ("e\u0301", "\u00e9"), ("\r\n", " "), ("\r", "_"), ("\t", " "), ("\n", " "), ("\u3000", " "), ("\u200b", ""), ("\u017f", "s"),
         ("ab", "x"), ("a", "A"), ("\U0001f642", ":)"), ("\u0085", "  ")]
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def model(pieces, kind=2, trainer=b"", normalizer=b""):
    """A ModelProto of (text, score, type)."""
    out = b"".join(field(1, field(1, t.encode()) + field(2, float(s)) + field(3, k)) for t, s, k in pieces)
    return out + field(2, field(3, kind) + trainer) + field(3, normalizer)


MARKS = [("<unk>", 0, UNKNOWN), ("<s>", 0, CONTROL), ("</s>", 0, CONTROL)]
BYTES = [(f"<0x{i:02X}>", 0, BYTE) for i in range(256)]
PLAIN = field(4, 0)  # remove_extra_whitespaces
LETTERS = [(c, -20 - i / 4, NORMAL) for i, c in enumerate("▁ehloabct")]
MADE = {
    "unused": model(MARKS + LETTERS + [("he", -1, UNUSED), ("hel", -2, UNUSED), ("lo", -3, NORMAL), ("hello", -4, UNUSED), ("▁a", -5, NORMAL)]),
    "no_letters": model(MARKS + [("▁", -9, NORMAL), ("he", -1, NORMAL), ("hello", -3, NORMAL), ("llo", -2, NORMAL), ("the", -4, NORMAL)], normalizer=PLAIN),
    "ties": model(MARKS + LETTERS + [("ab", -1, NORMAL), ("ba", -1, NORMAL), ("aba", -1, NORMAL), ("▁a", -1, NORMAL)], normalizer=PLAIN),
    "user": model(MARKS + LETTERS + [("he", 0, USER), ("hello", 0, USER), ("a b", 0, USER), ("▁▁", 0, USER), ("th", -2, NORMAL), ("the", -1, NORMAL)]),
    "escape": model(MARKS + LETTERS + [(" ", -1, NORMAL), (" t", -2, NORMAL)], normalizer=field(5, 0)),
    "bytes": model(MARKS + BYTES + LETTERS + [("he", -1, NORMAL)], trainer=field(35, 1), normalizer=PLAIN),
    "unigram_user": model(MARKS + LETTERS + [("he", 0, USER), ("ello", -1, NORMAL), ("▁▁", 0, USER), ("the", -1, UNUSED)], kind=1),
    "unigram_ties": model(MARKS + LETTERS + [("ab", -41.5, NORMAL), ("ba", -41.5, NORMAL), ("aba", -62.75, NORMAL)], kind=1, normalizer=PLAIN),
    "unigram_bonus": model(MARKS + [("▁", -1, NORMAL), ("a", 0.0625, NORMAL), ("b", 0.046875, NORMAL), ("e", 0.046875, NORMAL), ("ab", 0, USER), ("be", 0, USER), ("aba", 0, USER)], kind=1),
    "unigram_surface": model(MARKS + LETTERS, kind=1, trainer=field(44, b"[?]"), normalizer=field(3, 0)),
}
COMMON = dict(vocab_size=150, hard_vocab_limit=False, character_coverage=1.0, minloglevel=2, num_threads=1)
TRAINED = {
    "llama": dict(model_type="bpe", normalization_rule_name="identity", remove_extra_whitespaces=False, byte_fallback=True, split_digits=True, vocab_size=420),
    "gemma": dict(model_type="bpe", normalization_rule_name="identity", remove_extra_whitespaces=False, byte_fallback=True, add_dummy_prefix=False, vocab_size=420,
                  user_defined_symbols=["<pad>", "\n", "\n\n", "▁▁", "<sep>"], pad_id=-1, eos_id=1, bos_id=2, unk_id=3),
    "bpe": dict(model_type="bpe"),
    "suffix": dict(model_type="bpe", treat_whitespace_as_suffix=True, normalization_rule_name="identity"),
    "unigram": dict(model_type="unigram", control_symbols=["<sep>"]),
    "unigram_bytes": dict(model_type="unigram", byte_fallback=True, remove_extra_whitespaces=False, vocab_size=400),
    "unigram_spaces": dict(model_type="unigram", split_by_whitespace=False, remove_extra_whitespaces=False, add_dummy_prefix=False),
}


def train(rules, **options):
    out = io.BytesIO()
    rule = {} if "normalization_rule_name" in options else {"normalization_rule_tsv": rules}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS), model_writer=out, **{**COMMON, **rule, **options})
    return out.getvalue()


def main():
    folder, corpus = os.path.join(HERE, "tests/golden/spm"), os.path.join(HERE, "fuzz/corpus/spm")
    os.makedirs(folder, exist_ok=True)
    os.makedirs(corpus, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as f:
        for a, b in RULES:
            f.write(" ".join(f"{ord(c):X}" for c in a) + "\t" + " ".join(f"{ord(c):X}" for c in b) + "\n")
        f.flush()
        models = dict(MADE, **{name: train(f.name, **options) for name, options in TRAINED.items()})
    rng = random.Random(2)
    with open(os.path.join(folder, "cases.json"), "w", encoding="utf-8") as out:
        out.write("[\n")
        for k, (name, proto) in enumerate(models.items()):
            for path in (os.path.join(folder, name + ".model"),) + ((os.path.join(corpus, name),) if name in MADE else ()):
                with open(path, "wb") as f:
                    f.write(proto)
            sp = sentencepiece.SentencePieceProcessor(model_proto=proto)
            cases = []
            hard = ["hello", " hello  the  ", "  ", "abab aba b", "he hel hello", "a b▁▁a", "the ab\r\nc", "\u0085a\u0085", "ééé", "\U0001f642\U0001f642 \ufb01"]
            for text in hard + list(texts(rng, 20)):
                ids = sp.encode(text)
                cases.append([text, ids, sp.decode(ids)])
            for _ in range(12):  # any ids, not only those of a text
                ids = [rng.randrange(sp.get_piece_size()) for _ in range(rng.randrange(1, 9))]
                ids = [i for i in ids if not sp.is_control(i)]
                cases.append([None, ids, sp.decode(ids)])
            out.write(("" if k == 0 else ",\n") + json.dumps({"name": name, "cases": cases}, ensure_ascii=False, separators=(",", ":")))
        out.write("\n]\n")


if __name__ == "__main__":
    main()
