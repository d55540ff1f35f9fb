#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""isara's tokenizers beside huggingface/tokenizers (and sentencepiece), one thread each, in turn within one run: make bench-tokenize.

    bench/tokenizers_bench.py --build build [--data ../shared/data] [--repeats 5] [--only NAME,...]

Tokenizers: those of the reference data that are there (GPT-2's and OPT's merges, LLaMA 2's tokenizer.json and tokenizer.model), and models trained here
on the texts: Llama 3's and Qwen 2's patterns, BERT's WordPiece, XLM-RoBERTa's Unigram with its map, sentencepiece's. Texts: short ones (a question or an
answer each) and long ones (30 kB each). The peer is its fastest way, encode_batch_fast, with RAYON_NUM_THREADS=1. Ids are compared through a sum."""
import argparse
import csv
import importlib.util
import json
import os
import statistics
import subprocess
import tempfile
import time

os.environ["RAYON_NUM_THREADS"], os.environ["TOKENIZERS_PARALLELISM"] = "1", "false"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import sentencepiece  # noqa: E402
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("check_tokenizers", os.path.join(HERE, "../tools/check-tokenizers.py"))
kinds = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kinds)


def texts_of(data):
    out = []
    path = f"{data}/truthfulqa/TruthfulQA.csv"
    if os.path.exists(path):
        for row in csv.DictReader(open(path, encoding="utf-8")):
            out += [row["Question"], row["Correct Answers"], row["Incorrect Answers"]]
    return out or kinds.CORPUS * 20


def train(t, trainer, texts):
    t.train_from_iterator(texts, trainer)
    return t


def jsons(texts):
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe = lambda: trainers.BpeTrainer(vocab_size=12000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)  # noqa: E731
    for name, pre, z, kw in (("gpt2", gpt2, None, {}), ("llama3", kinds.split(kinds.LLAMA3), None, {"ignore_merges": True}), ("qwen2", kinds.split(kinds.QWEN2), normalizers.NFC(), {}),
                             ("o200k", kinds.split(kinds.O200K), None, {})):
        t = Tokenizer(models.BPE(**kw))
        t.pre_tokenizer, t.decoder = pre, decoders.ByteLevel()
        if z:
            t.normalizer = z
        yield name, train(t, bpe(), texts)
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    yield "bert", train(t, trainers.WordPieceTrainer(vocab_size=8000, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]), texts)
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Precompiled(kinds.charsmap())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    yield "xlmr", train(t, trainers.UnigramTrainer(vocab_size=8000, unk_token="<unk>", special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False), texts)
    for name, kw in (("llama", {}), ("llama_first", {"first": True}), ("gemma", {"gemma": True})):
        t = kinds.spm_bpe(kw.get("first", False), gemma=kw.get("gemma", False))
        doc = json.loads(t.to_str())
        marks = doc["added_tokens"]
        t = Tokenizer.from_str(json.dumps(dict(doc, model=dict(doc["model"], vocab={"<unk>": 0}, merges=[]), added_tokens=[], post_processor=None)))
        t = train(t, trainers.BpeTrainer(vocab_size=8000, show_progress=False, max_token_length=16, special_tokens=["<unk>", "<s>", "</s>", "<pad>"] + [f"<0x{i:02X}>" for i in range(256)]),
                  [w for s in texts for w in s.split(" ")] if name != "gemma" else texts)
        doc = json.loads(t.to_str())
        yield name, Tokenizer.from_str(json.dumps(dict(doc, added_tokens=marks)))


def peers(root, data, texts):
    """(name, path, what encodes a list of texts)"""
    for name, t in jsons(texts):
        yield name, kinds.write(f"{root}/{name}/tokenizer.json", t.to_str())
    for name, kw in (("model_bpe", dict(normalization_rule_name="identity", remove_extra_whitespaces=False, byte_fallback=True)), ("model_unigram", dict(model_type="unigram"))):
        yield name, kinds.write(f"{root}/{name}/tokenizer.model", kinds.train_spm(**dict(kw, vocab_size=8000, sentence_iterator=iter(texts))))
    for name, file in (("llama2.json", "llama_tokenizer/llama2_tokenizer.json"), ("llama2.model", "llama_tokenizer/tokenizer.model")):
        if os.path.exists(f"{data}/{file}"):
            yield name, f"{data}/{file}"


def encoder(path):
    if path.endswith(".model"):
        sp = sentencepiece.SentencePieceProcessor(path)
        return lambda texts: sp.encode(texts, num_threads=1)
    t = Tokenizer.from_file(path)
    t.no_truncation()
    t.no_padding()
    return lambda texts: [e.ids for e in t.encode_batch_fast(texts, add_special_tokens=False)]


def checksum(lists):
    return sum(x * (k + 1) for ids in lists for k, x in enumerate(ids)) % 1000000007


def measure(build, path, texts, repeats):
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as f:
        json.dump(texts, f)
        f.flush()
        own = subprocess.Popen([f"{build}/bench/bench_tokenize", path, f.name, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        encode, mine, theirs = encoder(path), [], []
        for _ in range(repeats + 1):
            own.stdin.write("go\n")
            own.stdin.flush()
            line = json.loads(own.stdout.readline())
            start = time.perf_counter()
            lists = encode(texts)
            theirs.append(time.perf_counter() - start)
            mine.append(line["seconds"])
        own.stdin.close()
        own.wait()
        return line, mine[1:], theirs[1:], checksum(lists) == line["sum"]


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--build", default="build")
    a.add_argument("--data", default=os.environ.get("ISARA_DATA", "../shared/data"))
    a.add_argument("--repeats", type=int, default=5)
    a.add_argument("--only")
    o = a.parse_args()
    texts = texts_of(o.data)
    joined = "\n".join(texts)
    long = [joined[i:i + 30000] for i in range(0, len(joined), 30000)]
    print(f"{'tokenizer':14} {'texts':6} {'isara MB/s':>11} {'peer MB/s':>10} {'ratio':>6}  ids")
    with tempfile.TemporaryDirectory() as root:
        for name, path in peers(root, o.data, texts):
            if o.only and name not in o.only.split(","):
                continue
            for kind, list_ in (("short", texts), ("long", long)):
                line, mine, theirs, same = measure(o.build, path, list_, o.repeats)
                m, t = statistics.median(mine), statistics.median(theirs)
                print(f"{name:14} {kind:6} {line['bytes'] / m / 1e6:11.2f} {line['bytes'] / t / 1e6:10.2f} {t / m:6.2f}  {'same' if same else 'DIFFER'}", flush=True)


if __name__ == "__main__":
    main()
