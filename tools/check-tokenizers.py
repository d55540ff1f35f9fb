#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random strings through isara's tokenizers and through the libraries that define them: same ids, same decoded text.

    tools/check-tokenizers.py [--isara build/isara] [--strings 10000] [--seed 0] [--keep DIR] [--only NAME[,NAME...]] [PATH...]

Makes a small tokenizer of every kind (tokenizers for tokenizer.json, sentencepiece for tokenizer.model, transformers for vocab.json with merges.txt
and for vocab.txt), and reads each PATH (a tokenizer.json, a tokenizer.model or a directory) besides. For each it says how many strings differ and
shows the first ones. Characters are those that Python's own Unicode knows, up to version 14 as Debian's Oniguruma does (docs/FORMATS.md);
--all-characters takes any code point (but U+0000, which isara's records refuse). Made with tokenizers 0.23.3, sentencepiece 0.2.3 and transformers 5.24.0."""
import argparse
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402
import sentencepiece  # noqa: E402

from protobuf_field import field  # noqa: E402

CORPUS = ["the quick brown fox jumps over the lazy dog. ", "it's what they're saying: we'll see, don't worry! ", "in 1999, 12 people paid $3.50 (or 100%). ",
          "naïve café déjà vu über straße ", "hello hello world world, the other theory then there ", "newline\nnewline\n\n  indented\n\ttab ",
          "日本語のテキストと漢字かな混じり文。 ", "привет мир, как дела? ", "한국어 문장입니다 ", "مرحبا بالعالم ", "hello　ＷＯＲＬＤ ﬁne ½ ① ", "🙂🙃 👩‍👧 emoji "] * 30
WORDS = ["hello", "the", "quick", "I'll", "don'T", "it'S", "they're", "'\u017f", " ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", "123", "4567", "3.14", "é", "e\u0301", "\ufb01",
         "İ", "\u01c5", "日本語", "한국", "🙂", "👩\u200d👧", "\u0085", "\u180e", "\u200b", "\u00a0", "\u3000", "word", "_", "$", "...", "!!", "a", "b", "\u0300", "ß", "½", "Ⅷ", "٣",
         "<0x0A>", "▁", "▁▁", "Ġ", "==", "x.y/z?q=1", "ＷＯＲＬＤ", "①", "مرحبا", "привет", "\u0600a", "a\u0300\u0301", "\ufeff", "\x07", "ﷺ", "<mask>", "<sep>", "user", "<usr>",
         " user ", "\u0958", "\u1100\u1161", "각", "Å", "ﬀ", "\U0001F1E9\U0001F1EA", "`", "´", "…"]
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


class Known:
    """A tokenizer on disk, and what defines it."""

    def __init__(self, name, path, encode, decode, special=None):
        self.name, self.path, self.encode, self.decode, self.special = name, path, encode, decode, special


def of_json(name, path):
    t = Tokenizer.from_file(path)
    t.no_truncation()
    t.no_padding()
    return Known(name, path, lambda s: t.encode(s, add_special_tokens=False).ids, lambda ids: t.decode(ids, skip_special_tokens=True), lambda s: t.encode(s).ids)


def of_spm(name, path, proto=None):
    sp = sentencepiece.SentencePieceProcessor(model_proto=proto) if proto else sentencepiece.SentencePieceProcessor(path)
    return Known(name, path, sp.encode, sp.decode)


def of_directory(name, path):
    import transformers
    t = transformers.AutoTokenizer.from_pretrained(path)
    return Known(name, path, lambda s: t(s, add_special_tokens=False)["input_ids"],
                 lambda ids: t.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False), lambda s: t(s)["input_ids"])


# --- tokenizer.json ---

def around(single, names):
    return processors.TemplateProcessing(single=single, pair=f"{single} $B:1", special_tokens=names)


def byte_level(pre, normalizer=None, post=None, **model):
    t = Tokenizer(models.BPE(**model))
    t.pre_tokenizer, t.decoder = pre, decoders.ByteLevel()
    if normalizer:
        t.normalizer = normalizer
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
                                                      special_tokens=["<s>", "</s>", "<pad>", "<unk>"]))
    if post:
        t.post_processor = post
    return t


def split(regex, use_regex=False):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)])


def spm_bpe(first, split_space=False, gemma=False):
    t = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if gemma:
        t.normalizer, t.pre_tokenizer = normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous")
    elif first:
        t.pre_tokenizer = pre_tokenizers.Metaspace("▁", "first", split=split_space)
    else:
        t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()] + ([] if gemma else [decoders.Strip(" ", 1, 0)])
    t.decoder = decoders.Sequence(steps)
    t.train_from_iterator([c.strip() for c in CORPUS], trainers.BpeTrainer(vocab_size=1200, show_progress=False,
                          special_tokens=["<unk>", "<s>", "</s>", "<pad>"] + [f"<0x{i:02X}>" for i in range(256)]))
    doc = json.loads(t.to_str())
    doc["added_tokens"] = [a for a in doc["added_tokens"] if not a["content"].startswith("<0x")]
    t = Tokenizer.from_str(json.dumps(doc))
    t.post_processor = around("<s> $A", [("<s>", 1)])
    return t


def word_piece(**kw):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.BertNormalizer(**kw), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=600, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    t.post_processor = around("[CLS] $A [SEP]", [("[CLS]", 2), ("[SEP]", 3)])
    return t


def charsmap(rule="nmt_nfkc"):
    return field(field(train_spm(model_type="unigram", normalization_rule_name=rule, vocab_size=300), 3), 2)


def unigram(normalizer, pre, decoder=None, **kw):
    t = Tokenizer(models.Unigram())
    t.normalizer, t.pre_tokenizer = normalizer, pre
    t.decoder = decoder or decoders.Metaspace()
    t.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=700, unk_token="<unk>", special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False))
    doc = json.loads(t.to_str())
    doc["model"].update(kw.pop("model", {}))
    if kw.pop("bytes", False):
        doc["model"]["vocab"] += [[f"<0x{i:02X}>", 0.0] for i in range(256)]
    t = Tokenizer.from_str(json.dumps(doc))
    t.add_tokens([AddedToken("<mask>", lstrip=True, special=True), AddedToken("user", single_word=True, normalized=True)])
    t.post_processor = around("<s> $A </s>", [("<s>", 0), ("</s>", 2)])
    return t


def word_level():
    t = Tokenizer(models.WordLevel(unk_token="<unk>"))
    t.normalizer, t.pre_tokenizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Lowercase()]), pre_tokenizers.Whitespace()
    t.train_from_iterator(CORPUS, trainers.WordLevelTrainer(vocab_size=200, special_tokens=["<unk>", "<s>"], show_progress=False))
    return t


def added(t):
    t.add_tokens([AddedToken("<sep>", lstrip=True, rstrip=True, special=True), AddedToken("user", single_word=True), AddedToken("hell", normalized=False),
                  AddedToken("QUICK", normalized=True), AddedToken("<usr>", rstrip=True, normalized=False), AddedToken("▁▁", normalized=False)])
    return t


def jsons():
    gpt2 = lambda **kw: pre_tokenizers.ByteLevel(add_prefix_space=False, **kw)  # noqa: E731
    meta = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    yield "gpt2", byte_level(gpt2())
    yield "opt", byte_level(gpt2(), post=around("</s> $A", [("</s>", 1)]))
    yield "roberta", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True), post=processors.RobertaProcessing(("</s>", 1), ("<s>", 0)))
    yield "llama3", byte_level(split(LLAMA3), ignore_merges=True, post=processors.Sequence([processors.ByteLevel(trim_offsets=False), around("<s> $A", [("<s>", 0)])]))
    yield "qwen2", byte_level(split(QWEN2), normalizers.NFC())
    yield "o200k", byte_level(split(O200K))
    yield "neox", byte_level(gpt2(), normalizers.NFC())
    yield "smollm", byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2()]))
    yield "bytelevel_added", added(byte_level(gpt2(), normalizers.Lowercase()))
    yield "fixed_length", byte_level(pre_tokenizers.Sequence([pre_tokenizers.FixedLength(3), gpt2(use_regex=False)]))
    yield "llama_legacy", spm_bpe(False)
    yield "llama_first", spm_bpe(True)
    yield "llama_split", spm_bpe(True, True)
    yield "gemma", spm_bpe(False, gemma=True)
    yield "gemma_added", added(spm_bpe(False, gemma=True))
    yield "phi3", added(spm_bpe(False))
    yield "bert_uncased", word_piece(lowercase=True)
    yield "bert_cased", word_piece(lowercase=False)
    yield "bert_accents", word_piece(lowercase=True, strip_accents=False, handle_chinese_chars=False)
    yield "xlmr", unigram(normalizers.Precompiled(charsmap()), meta)
    yield "xlmr_cf", unigram(normalizers.Precompiled(charsmap("nmt_nfkc_cf")), meta)
    yield "t5", unigram(normalizers.Sequence([normalizers.Precompiled(charsmap()), normalizers.Strip(left=False), normalizers.Replace(Regex(" {2,}"), "▁")]),
                        pre_tokenizers.Metaspace("▁", "always"))
    yield "unigram_bytes", unigram(normalizers.NFKC(), pre_tokenizers.Metaspace("▁", "first", split=False), bytes=True, model={"byte_fallback": True},
                                   decoder=decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]))
    yield "albert", unigram(normalizers.Sequence([normalizers.Replace("``", '"'), normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(),
                                                  normalizers.Precompiled(charsmap())]), meta)
    yield "word_level", word_level()


# --- tokenizer.model ---

def train_spm(**kw):
    out = io.BytesIO()
    options = dict(sentence_iterator=iter(c.strip() for c in CORPUS), model_writer=out, vocab_size=700, model_type="bpe", hard_vocab_limit=False, character_coverage=0.995,
                   minloglevel=2)
    options.update(kw)
    sentencepiece.SentencePieceTrainer.train(**options)
    return out.getvalue()


SPM = {
    "llama": dict(normalization_rule_name="identity", remove_extra_whitespaces=False, byte_fallback=True, split_digits=True, allow_whitespace_only_pieces=True),
    "gemma": dict(normalization_rule_name="identity", remove_extra_whitespaces=False, byte_fallback=True, split_digits=True, allow_whitespace_only_pieces=True,
                  add_dummy_prefix=False, user_defined_symbols=["<mask>", "<sep>", "▁▁", "▁▁▁", "\n", "\n\n", "user"], pad_id=0, eos_id=1, bos_id=2, unk_id=3),
    "bpe_default": dict(),
    "bpe_nfkc": dict(normalization_rule_name="nfkc", byte_fallback=True),
    "bpe_user": dict(user_defined_symbols=["<mask>", "user", "hell", "é"], control_symbols=["<ctl>"]),
    "bpe_suffix": dict(treat_whitespace_as_suffix=True),
    "unigram_default": dict(model_type="unigram"),
    "unigram_identity": dict(model_type="unigram", normalization_rule_name="identity", remove_extra_whitespaces=False, byte_fallback=True),
    "unigram_nfkc_cf": dict(model_type="unigram", normalization_rule_name="nmt_nfkc_cf", byte_fallback=True),
    "unigram_user": dict(model_type="unigram", user_defined_symbols=["<mask>", "user", "hell", "é", "▁▁"], control_symbols=["<ctl>"]),
    "unigram_no_prefix": dict(model_type="unigram", add_dummy_prefix=False, remove_extra_whitespaces=False),
    "unigram_spaces": dict(model_type="unigram", split_by_whitespace=False, remove_extra_whitespaces=False),
    "unigram_surface": dict(model_type="unigram", unk_surface="[?]", unk_id=3, bos_id=0, eos_id=1, pad_id=2),
}


# --- vocab.json with merges.txt, and vocab.txt ---

NAMES = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
MERGES = {  # tokenizer_config.json, config.json
    "gpt2": ({"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "eos_token": "<s>", "unk_token": "<s>"}, None),
    "gpt2_prefix": (dict(NAMES, tokenizer_class="GPT2Tokenizer", add_prefix_space=True), None),
    "opt": (dict(NAMES, tokenizer_class="GPT2Tokenizer", bos_token="</s>", add_bos_token=True, errors="replace"), {"model_type": "opt"}),
    "opt_objects": ({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, **{k: {"__type": "AddedToken", "content": "</s>", "lstrip": False, "normalized": True, "rstrip": False,
                    "single_word": False} for k in ("bos_token", "eos_token", "unk_token")}}, {"model_type": "opt"}),
    "opt_by_model": (dict(NAMES, bos_token="</s>", add_bos_token=True), {"model_type": "opt"}),
    "qwen2": ({"tokenizer_class": "Qwen2Tokenizer", "eos_token": "</s>", "pad_token": "<pad>", "bos_token": None, "unk_token": None, "add_prefix_space": False}, {"model_type": "qwen2"}),
    "qwen3_by_model": ({"eos_token": "</s>", "pad_token": "<pad>"}, {"model_type": "qwen3"}),
    "roberta": (dict(NAMES, tokenizer_class="RobertaTokenizer", cls_token="<s>", sep_token="</s>", mask_token="<unk>"), {"model_type": "roberta"}),
    "roberta_prefix": (dict(NAMES, tokenizer_class="RobertaTokenizer", cls_token="<s>", sep_token="</s>", mask_token="<unk>", add_prefix_space=True), {"model_type": "roberta"}),
    "neox": ({"tokenizer_class": "GPTNeoXTokenizer", "bos_token": "<s>", "eos_token": "<s>", "unk_token": "<s>"}, {"model_type": "gpt_neox"}),
    "eos": (dict(NAMES, tokenizer_class="GPT2Tokenizer", add_bos_token=True, add_eos_token=True), None),
    "added": (dict(NAMES, tokenizer_class="GPT2Tokenizer", added_tokens_decoder={"900": {"content": "<sep>", "lstrip": True, "normalized": False, "rstrip": True, "single_word": False, "special": True},
              "901": {"content": "user", "lstrip": False, "normalized": False, "rstrip": False, "single_word": True, "special": False}}), None),
    "bare_gpt2": (None, {"model_type": "gpt2"}),
    "bare_opt": (None, {"model_type": "opt"}),
    "bare_qwen2": (None, {"model_type": "qwen2"}),
}
BERT = {
    "uncased": ({"tokenizer_class": "BertTokenizer", "do_lower_case": True}, {"model_type": "bert"}),
    "cased": ({"tokenizer_class": "BertTokenizer", "do_lower_case": False}, {"model_type": "bert"}),
    "accents": ({"tokenizer_class": "BertTokenizerFast", "do_lower_case": True, "strip_accents": False, "tokenize_chinese_chars": False}, {"model_type": "bert"}),
    "cased_strip": ({"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": True, "cls_token": "[CLS]", "sep_token": "[SEP]"}, {"model_type": "bert"}),
    "distil": ({"tokenizer_class": "DistilBertTokenizer", "do_lower_case": True}, {"model_type": "distilbert"}),
    "bare": (None, {"model_type": "bert"}),
    "added": ({"tokenizer_class": "BertTokenizer", "added_tokens_decoder": {"5": {"content": "<sep>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": True, "special": False}}},
              {"model_type": "bert"}),
}


def directories(root):
    doc = json.loads(byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False)).to_str())["model"]
    merges = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in doc["merges"])
    words = json.loads(word_piece().to_str())["model"]["vocab"]
    listed = "".join(w + "\n" for w in sorted(words, key=words.get))
    for group, table, files in (("merges", MERGES, {"vocab.json": json.dumps(doc["vocab"]), "merges.txt": merges}), ("vocab_txt", BERT, {"vocab.txt": listed})):
        for name, (config, model_config) in table.items():
            path = f"{root}/{group}_{name}"
            for file, text in dict(files, **{"tokenizer_config.json": config and json.dumps(config), "config.json": model_config and json.dumps(model_config)}).items():
                if text:
                    write(f"{path}/{file}", text)
            yield path, f"{group}_{name}"


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())
    return path


def kinds(root):
    for name, t in jsons():
        yield of_json(name, write(f"{root}/{name}/tokenizer.json", t.to_str()))
    for name, options in SPM.items():
        proto = train_spm(**options)
        yield of_spm(f"model_{name}", write(f"{root}/model_{name}/tokenizer.model", proto), proto)
    for path, name in directories(root):
        try:
            yield of_directory(name, path)
        except Exception as why:  # transformers does not load it
            print(f"{name:22} transformers: {why}")


# --- comparing ---

def strings(rng, n, any_character):
    known = [chr(c) for c in range(1, 0x110000) if not 0xd800 <= c < 0xe000 and (any_character or unicodedata.category(chr(c)) not in ("Cn", "Co"))]
    rare = lambda: rng.choice(known)  # noqa: E731
    low = [c for c in known if ord(c) < 0x600]
    for _ in range(n):
        kind = rng.random()
        if kind < .6:
            yield "".join(rng.choice(WORDS) if rng.random() < .8 else rare() for _ in range(rng.randrange(1, 14)))
        elif kind < .8:
            yield "".join(rng.choice(low) for _ in range(rng.randrange(1, 30)))
        else:
            yield "".join(rare() for _ in range(rng.randrange(1, 20)))


def run(isara, path, records, *options):
    lines = "".join(json.dumps(r) + "\n" for r in records)
    done = subprocess.run([isara, "tokenize", "--model", path, "--log-level", "quiet", *options], input=lines, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        return done.stderr.strip()
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def compare(what, texts, got, want, field, show):
    bad = 0
    for text, g, w in zip(texts, got, want):
        if g.get(field, [] if field == "token_ids" else "") != w:
            bad += 1
            if bad <= show:
                print(f"    {what} of {text!r}:\n      isara   {g.get(field, g)!r}\n      wanted  {w!r}")
    return bad


def check(isara, k, texts, show):
    want = [list(k.encode(s)) for s in texts]
    got = run(isara, k.path, [{"text": s} for s in texts])
    if isinstance(got, str):
        print(f"{k.name:22} {got}")
        return 1
    bad = compare("ids", texts, got, want, "token_ids", show)
    some = [w for w in want if w]
    back = run(isara, k.path, [{"token_ids": w} for w in some], "--decode")
    bad_text = compare("text", some, back, [k.decode(w) for w in some], "text", show)
    bad_full = 0
    if k.special:
        few = texts[:1000]
        bad_full = compare("ids with special tokens", few, run(isara, k.path, [{"text": s} for s in few], "--special-tokens"), [list(k.special(s)) for s in few], "token_ids", show)
    print(f"{k.name:22} {len(texts)} strings, {sum(map(len, want))} tokens: {bad} differ in ids, {bad_full} with special tokens, {bad_text} in text")
    return bad + bad_text + bad_full


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--isara", default="build/isara")
    a.add_argument("--strings", type=int, default=10000)
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--keep", help="a directory for the tokenizers that are made")
    a.add_argument("--only", help="names of kinds, with commas between")
    a.add_argument("--show", type=int, default=3)
    a.add_argument("--all-characters", action="store_true")
    a.add_argument("path", nargs="*")
    o = a.parse_args()
    texts = list(strings(random.Random(o.seed), o.strings, o.all_characters))
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        for path in o.path:
            read = of_spm if path.endswith(".model") else of_json if path.endswith(".json") else of_directory
            bad += check(o.isara, read(path, path), texts, o.show)
        for k in kinds(o.keep or tmp) if not o.path else ():
            if not o.only or k.name in o.only.split(","):
                bad += check(o.isara, k, texts, o.show)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
