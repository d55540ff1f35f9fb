#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that an exported tokenizer loads in the tokenizers and transformers libraries and gives the ids that isara gives.

    isara tokenize --model MODEL < texts.jsonl > ids.jsonl
    tools/check-tokenizer-export.py DIR texts.jsonl ids.jsonl

texts.jsonl has {"text"} a line; ids.jsonl {"token_ids"} a line, with what the tokenizer puts around a text (BOS, ...).
Made with tokenizers 0.23.3 and transformers 5.24.0."""
import json
import sys

import tokenizers
import transformers


def main():
    directory, texts, ids = sys.argv[1:4]
    texts = [json.loads(line)["text"] for line in open(texts, encoding="utf-8")]
    ids = [json.loads(line)["token_ids"] for line in open(ids, encoding="utf-8")]
    assert len(texts) == len(ids), f"{len(texts)} texts, {len(ids)} lines of ids"
    plain = tokenizers.Tokenizer.from_file(f"{directory}/tokenizer.json")
    plain.no_truncation()
    plain.no_padding()
    auto = transformers.AutoTokenizer.from_pretrained(directory)
    bad = 0
    for text, want in zip(texts, ids):
        for name, got in (("tokenizers", plain.encode(text).ids), ("transformers", auto(text)["input_ids"])):
            if got != want:
                bad += 1
                print(f"{name}: {text!r}\n  isara {want}\n  {name} {got}")
    print(f"{directory}: {len(texts)} texts, {bad} differ (tokenizers {tokenizers.__version__}, transformers {transformers.__version__}, "
          f"{type(auto).__name__}, bos {auto.bos_token!r}, eos {auto.eos_token!r}, pad {auto.pad_token!r})")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
