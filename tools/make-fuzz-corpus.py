#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first seeds of fuzz/corpus/{safetensors,pickle,hub,gguf,jsonl,csv,config,yaml,run}: small valid files and one file for each thing that must be refused.
Needs nothing but Python 3."""
import json, os, re, sqlite3, struct, tempfile

ROOT = os.path.join(os.path.dirname(__file__), "..", "fuzz", "corpus")


def save(target, name, data):
    os.makedirs(os.path.join(ROOT, target), exist_ok=True)
    open(os.path.join(ROOT, target, name), "wb").write(data)


def st(header, data=b"", length=None):
    h = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(h) if length is None else length) + h + data


def safetensors():
    one = {"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    t = lambda **k: {"a": {**one["a"], **k}}
    d = bytes(range(16))
    save("safetensors", "one", st(one, d))
    save("safetensors", "padded", st(json.dumps(one).encode() + b"   ", d))
    save("safetensors", "empty", st({}))
    save("safetensors", "scalar_and_empty_tensor", st({"__metadata__": {"format": "pt"}, "s": {"dtype": "BF16", "shape": [], "data_offsets": [0, 2]},
         "z": {"dtype": "F16", "shape": [0, 7], "data_offsets": [2, 2]}, "i": {"dtype": "I64", "shape": [1], "data_offsets": [2, 10]}}, d[:10]))
    save("safetensors", "all_types", st({n: {"dtype": n, "shape": [4], "data_offsets": [i * 32, i * 32 + 32]} for i, n in enumerate(["F64", "I64", "U64", "C64"])}, bytes(128)))
    save("safetensors", "huge_header", st(one, d, 1 << 60))
    save("safetensors", "header_past_end", st(one, d, 400))
    save("safetensors", "truncated", st(one, d[:9]))
    save("safetensors", "trailing", st(one, d + b"x"))
    save("safetensors", "overlap", st({**one, "b": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}, d))
    save("safetensors", "hole", st({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "b": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}}, d[:12]))
    save("safetensors", "negative", st(t(data_offsets=[-1, 15]), d))
    save("safetensors", "reversed", st(t(data_offsets=[16, 0]), d))
    save("safetensors", "overflow", st(t(shape=[1 << 40, 1 << 40]), d))
    save("safetensors", "float_shape", st(t(shape=[2.0, 2]), d))
    save("safetensors", "bad_dtype", st(t(dtype="F31"), d))
    save("safetensors", "nul_name", st(b'{"a\\u0000b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"))
    save("safetensors", "duplicate", st(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"))
    save("safetensors", "deep", st(b'{"a":' + b"[" * 3000))
    save("safetensors", "metadata_number", st({"__metadata__": {"a": 1}}))


def s(x):
    x = x if isinstance(x, bytes) else x.encode()
    return struct.pack("<Q", len(x)) + x


def kv(key, kind, payload):
    return s(key) + struct.pack("<I", kind) + payload


def gguf(pairs, tensors, data=b"", version=3, n_kv=None, n_tensor=None):
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors) if n_tensor is None else n_tensor, len(pairs) if n_kv is None else n_kv) + b"".join(pairs)
    for name, dims, kind, offset in tensors:
        out += s(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, offset)
    return out + bytes(-len(out) % 32) + data


def u32(key, v):
    return kv(key, 4, struct.pack("<I", v))


def ggufs():
    arr = lambda kind, n, body: struct.pack("<IQ", kind, n) + body
    base = [kv("general.architecture", 8, s("llama")), u32("llama.block_count", 1), u32("llama.embedding_length", 32), u32("llama.attention.head_count", 4),
            u32("llama.attention.head_count_kv", 2), u32("llama.feed_forward_length", 32), u32("llama.context_length", 16),
            kv("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)), kv("tokenizer.ggml.tokens", 9, arr(8, 2, s("a") + s("b"))),
            kv("tokenizer.ggml.scores", 9, arr(6, 2, bytes(8))), kv("nested", 9, arr(9, 1, arr(0, 3, b"abc")))]
    tensors = [("token_embd.weight", [32, 2], 8, 0), ("blk.0.attn_q.weight", [32, 2], 2, 96), ("output_norm.weight", [2], 0, 160)]
    data = bytes(range(200))
    save("gguf", "small", gguf(base, tensors, data))
    save("gguf", "version2", gguf(base, tensors, data, 2))
    save("gguf", "version1", gguf(base, tensors, data, 1))
    save("gguf", "big_endian", gguf(base, tensors, data, 3 << 24))
    save("gguf", "empty", gguf([], []))
    save("gguf", "scaled_rope", gguf(base + [kv("llama.rope.scaling.type", 8, s("linear")), kv("llama.rope.scaling.factor", 6, struct.pack("<f", 2))], tensors, data))
    save("gguf", "llama3_rope", gguf(base + [("llama.rope.freq_base" and kv("llama.rope.freq_base", 6, struct.pack("<f", 5e5)))], tensors + [("rope_freqs.weight", [4], 0, 192)], data + bytes(8)))
    save("gguf", "many_pairs", gguf(base, tensors, data, n_kv=1 << 62))
    save("gguf", "many_tensors", gguf(base, tensors, data, n_tensor=1 << 62))
    save("gguf", "long_string", b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 63) + b"x" * 16)
    save("gguf", "long_array", gguf([kv("a", 9, arr(8, 1 << 61, b""))], []))
    save("gguf", "deep_array", gguf([kv("a", 9, arr(9, 1, arr(9, 1, arr(9, 1, arr(9, 1, arr(9, 1, arr(0, 0, b"")))))))], []))
    save("gguf", "bad_type", gguf([kv("a", 77, b"")], []))
    save("gguf", "duplicate_key", gguf([u32("a", 1), u32("a", 2)], []))
    save("gguf", "duplicate_tensor", gguf([], [("a", [1], 0, 0), ("a", [1], 0, 32)], bytes(64)))
    save("gguf", "overlap", gguf([], [("a", [16], 0, 0), ("b", [16], 0, 32)], bytes(96)))
    save("gguf", "past_end", gguf([], [("a", [64], 0, 0)], bytes(32)))
    save("gguf", "offset_wraps", gguf([], [("a", [64], 0, (1 << 64) - 32)], bytes(32)))
    save("gguf", "dims_overflow", gguf([], [("a", [1 << 33, 1 << 33], 0, 0)], bytes(32)))
    save("gguf", "odd_blocks", gguf([], [("a", [33], 8, 0)], bytes(64)))
    save("gguf", "five_dims", gguf([], [("a", [1] * 5, 0, 0)], bytes(32)))
    save("gguf", "nul_name", gguf([], [(b"a\0b", [1], 0, 0)], bytes(32)))
    save("gguf", "alignment", gguf([u32("general.alignment", 7)], [("a", [1], 0, 0)], bytes(32)))


def text():
    import gzip
    z = lambda b: gzip.compress(b, mtime=0)
    for i, b in enumerate([b'{"a": 1}\n{"b": [1.5, null, true]}\r\n\n{"c": "\xc3\xa4\\n"}', b'\xef\xbb\xbf[{"a": "]}\\""}, {"b": {}}]', b'{"a": "\\ud83d x"}',
                           b'{"a": 1, "a": 2}', b'{"a": "\xff"}', b'[{"a": 1}', b'[' * 3000, b'{"a": 1e400}', b'{"a": "\\u0000"}', z(b'{"a": 1}\n' * 50), z(b'{"a": 1}\n')[:-9],
                           z(b'[{"a": 1}]') + z(b'\n')]):
        save("jsonl", "%02d" % i, b)
    for i, b in enumerate([b'a,b\n1,2\n', b'\xef\xbb\xbfa,"b ""q"""\r\n\r\n"x\r\ny",z\r\n', b'a\n"open', b'a\n"x"y', b'a,b\n1', b'a\n\0', b'a\n\xff', b',' * 9000, z(b'a,b\n1,2\n')]):
        save("csv", "%02d" % i, b)


def configs():
    base = {"model_type": "llama", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 80, "vocab_size": 100,
            "max_position_embeddings": 64, "eos_token_id": [2, 5], "bos_token_id": 1}
    c = lambda name, **k: save("config", name, json.dumps({**base, **k}).encode())
    c("plain")
    c("tied", tie_word_embeddings=True, head_dim=20, rms_norm_eps=1e-5, hidden_act="silu", architectures=["LlamaForCausalLM"], pad_token_id=None, initializer_range=0.02)
    c("linear", rope_scaling={"type": "linear", "factor": 4.0})
    c("llama3", rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 1024})
    c("joint_rope", rope_parameters={"rope_type": "default", "rope_theta": 500000.0})
    c("tiny_theta", rope_theta=5e-324, head_dim=1024)
    c("huge_theta", rope_theta=1e308, rope_scaling={"type": "linear", "factor": 1e-308})
    c("classifier", architectures=["LlamaForSequenceClassification"], id2label={"0": "safe", "1": "unsafe"}, num_labels=2)
    c("many_labels", architectures=["LlamaForSequenceClassification"], num_labels=1 << 20)
    c("greatest", hidden_size=1 << 20, num_hidden_layers=4096, intermediate_size=1 << 24, vocab_size=1 << 24, num_attention_heads=16384, num_key_value_heads=16384, head_dim=1024)
    c("generation", do_sample=True, temperature=0.7, top_k=50, top_p=0.9, repetition_penalty=1.1, num_beams=4, max_new_tokens=64, no_repeat_ngram_size=3, early_stopping="never")
    c("negative", hidden_size=-4)
    c("odd_head", head_dim=13)
    c("eos_outside", eos_token_id=100)
    c("quantized", quantization_config={"bits": 4})
    save("config", "list", b"[]")
    save("config", "duplicate", b'{"model_type":"llama","model_type":"opt"}')

def yaml():
    files = {
        "plain": "rounds: 3\nattempts: 100\nask-num-beams: 1\nlearning-rate: 1e-3\n", "comment": "# nothing\n\n---\n...\n", "empty": "", "list": "stop: [a, 'b c', \"\\n\"]\neos-token-id: [1, 2]\n",
        "nested": "stop: [[a]]\n", "mapping": "rounds: {a: 1}\n", "sequence": "- rounds\n- 3\n", "scalar": "rounds\n", "twice": "rounds: 1\nk: 2\nrounds: 3\n", "nul_name": "\"rounds\\0x\": 3\n",
        "nul_value": "output: \"a\\0b\"\n", "anchor": "model: &m a\noutput: *m\nstop: [*m, *m]\n", "self": "stop: &s [*s]\n", "no_anchor": "k: *nowhere\n", "key": "? [a]\n: 1\n",
        "range": "k: 99999999999999999999\nseed: -1\n", "nan": "learning-rate: .nan\n", "tabs": "rounds:\t3\n\tk: 1\n", "flag": "packing: true\nbaselines: no\n", "unknown": "round: 3\n",
        "unclosed": "stop: [a, b\n", "long": "output: " + "x" * 5000 + "\n", "deep": "stop: " + "[" * 3000 + "\n", "bytes": b"output: \xff\xfe\n", "utf16": "rounds: 3\n".encode("utf-16"),
        "laughs": "a: &a [x, x]\nb: &b [*a, *a]\nstop: [*b, *b]\n", "tag": "rounds: !!str 3\nk: !<tag:yaml.org,2002:int> 2\n", "documents": "k: 1\n---\nk: 2\n",
    }
    for name, text in files.items():
        save("yaml", name, text if isinstance(text, bytes) else text.encode())


def run():
    """Journals: the tables as src/run/open.c has them and one thing wrong; and cells by instructions (fuzz/fuzz_run.c)."""
    source = open(os.path.join(ROOT, "..", "..", "src", "run", "open.c")).read()
    schema = "".join(re.findall(r'"([^"]*)"', source.split("schema[] =")[1].split(";\n\n")[0]))
    sha, blob = "0123456789abcdef" * 4, struct.pack
    journals = {"whole": "", "state": "UPDATE round SET state='dreaming'", "attempts": "UPDATE round SET attempts=2000000000, state='ask', model_sha256=''", "view": "CREATE VIEW v AS SELECT 1",
                "trigger": "CREATE TRIGGER t AFTER INSERT ON event BEGIN DELETE FROM attempt; END", "text": "UPDATE attempt SET question=x'fffe00ff'", "orphan": "UPDATE attempt SET round=7",
                "generated": "DROP TABLE event; CREATE TABLE event(id INTEGER PRIMARY KEY, time REAL, kind TEXT, text TEXT GENERATED ALWAYS AS (zeroblob(1000000000)))"}
    for name, sql in journals.items():
        with tempfile.TemporaryDirectory() as d:
            c = sqlite3.connect(os.path.join(d, "run.db"))
            c.isolation_level = None
            c.executescript("PRAGMA page_size=512; PRAGMA application_id=1769169266; PRAGMA user_version=3;" + schema)
            c.execute("INSERT INTO round VALUES(1, 'done', 1, 1, 7, ?)", (sha,))
            c.execute("INSERT INTO attempt(round, idx, question, question_ids, question_logprobs, question_ended, question_contexts, question_dropped, neighbours, nearness, answer,"
                      " kept, reason, matched, f1) VALUES(1, 0, 'Why?', ?, ?, 1, ?, 0, ?, ?, 'So.', 1, 'kept', -1, 0.5)",
                      (blob("<2i", 0, 39), blob("<2f", -1, -0.5), blob("<2i", 3, 1), blob("<2i", 3, 1), blob("<2d", 0.5, 0.25)))
            c.execute("INSERT INTO result(arm, part, idx, text, logprob, n_token, flagged) VALUES('pretrained', 'test', 1, 'So.', -2, 2, -1)")
            c.execute("INSERT INTO fact VALUES('settings', '{}')")
            c.executescript(sql)
            c.close()
            data = open(os.path.join(d, "run.db"), "rb").read()
        save("run", name, data)
    damaged = bytearray(open(os.path.join(ROOT, "run", "whole"), "rb").read())
    damaged[520:560] = b"\xff" * 40
    save("run", "page", bytes(damaged))
    save("run", "sound", b"")
    for column in range(37):
        for kind in (3 * (column % 2), 5):
            save("run", f"cell-{column:02}-{kind}", bytes([column, 1, kind, 3 + kind]) + struct.pack("<i", (-1, 40, 1 << 30, 4, 2, 0)[kind]))


def zipped(entries, **wrong):
    """A zip of stored entries, (name, bytes) each; wrong: fields of records to spoil."""
    body, central = b"", b""
    for name, data in entries:
        at, n, flags = len(body), name.encode(), wrong.get("flags", 0)
        body += b"PK\3\4" + struct.pack("<HHHIIIIHH", 20, flags, 0, 0, 0, 0 if flags & 8 else len(data), 0 if flags & 8 else len(data), len(n), 0) + n + data
        body += b"PK\7\x08" + struct.pack("<III", 0, len(data), len(data)) if flags & 8 else b""
        size, extra = wrong.get("size", len(data)), b""
        if wrong.get("zip64"):
            size, at, extra = 0xFFFFFFFF, 0xFFFFFFFF, struct.pack("<HHQQQ", 1, 24, len(data), len(data), at)
        central += b"PK\1\2" + struct.pack("<HHHHIIIIHHHHHII", 20, 20, flags, wrong.get("method", 0), 0, 0, size, size, len(n), len(extra), 0, 0, 0, 0, at + wrong.get("shift", 0)) + n + extra
    n, at, length = len(entries), len(body), len(central)
    if wrong.get("zip64"):
        end = body + central + b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, n, n, length, at)
        return end + b"PK\6\7" + struct.pack("<IQI", 0, len(body + central), 1) + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return body + central + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, n, n, length, at, len(wrong.get("comment", b""))) + wrong.get("comment", b"")


def text_of(t):
    return b"X" + struct.pack("<I", len(t)) + t.encode()


def ints(*n):
    return b"(" + b"".join(b"J" + struct.pack("<i", i) for i in n) + b"t"


def tensor(key="0", size=(2, 2), stride=(2, 1), offset=0, count=4, kind="FloatStorage"):
    pid = b"(" + text_of("storage") + f"ctorch\n{kind}\n".encode() + text_of(key) + text_of("cpu") + b"J" + struct.pack("<i", count) + b"tQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + pid + b"J" + struct.pack("<i", offset) + ints(*size) + ints(*stride) + b"\x89ccollections\nOrderedDict\n)RtR"


def state(items, protocol=2):
    return bytes([0x80, protocol]) + b"}(" + b"".join(text_of(k) + v for k, v in items) + b"u."


def pickles():
    file = lambda p, **k: zipped([("a/data.pkl", p), ("a/byteorder", b"little"), ("a/data/0", bytes(range(16)))], **k)
    one = state([("w", tensor())])
    save("pickle", "one", file(one))
    save("pickle", "tied", file(state([("a", tensor()), ("b", tensor())])))
    save("pickle", "views", file(state([("a", tensor(stride=(1, 2))), ("b", tensor(size=(2,), stride=(2,), offset=1)), ("c", tensor(size=(), stride=())), ("d", tensor(size=(0, 3), stride=(3, 1)))])))
    save("pickle", "zip64", file(one, zip64=1))
    save("pickle", "descriptors", file(one, flags=8))
    save("pickle", "comment", file(one, comment=b"said"))
    save("pickle", "encrypted", file(one, flags=1))
    save("pickle", "compressed", file(one, method=8))
    save("pickle", "large_entry", file(one, size=1 << 30))
    save("pickle", "shifted", file(one, shift=1))
    save("pickle", "truncated", file(one)[:-40])
    save("pickle", "twice", zipped([("a/data.pkl", one), ("a/data.pkl", one)]))
    save("pickle", "no_pickle", zipped([("a/version", b"3")]))
    save("pickle", "no_storage", zipped([("a/data.pkl", one)]))
    save("pickle", "big_endian", zipped([("a/data.pkl", one), ("a/byteorder", b"big"), ("a/data/0", bytes(16))]))
    save("pickle", "script", zipped([("a/data.pkl", one), ("a/constants.pkl", b"."), ("a/data/0", bytes(16))]))
    save("pickle", "beyond", file(state([("w", tensor(offset=1))])))
    save("pickle", "expanded", file(state([("w", tensor(size=(1 << 20, 1 << 20), stride=(0, 0)))])))
    save("pickle", "steep", file(state([("w", tensor(size=(2, 2), stride=(1 << 30, 1 << 30)))])))
    save("pickle", "short_storage", file(state([("w", tensor(count=5))])))
    save("pickle", "same_name", file(state([("w", tensor()), ("w", tensor())])))
    save("pickle", "unknown_storage", file(state([("w", tensor(kind="QInt8Storage"))])))
    save("pickle", "bare", one)
    save("pickle", "protocol5", b"\x80\x05\x95" + struct.pack("<Q", 40) + b"}\x94(\x8c\x01w\x94" + tensor() + b"u.")
    save("pickle", "memo", b"\x80\x02}q\0" + text_of("w") + tensor() + b"q\1sh\0" + b"0.")
    save("pickle", "memo_far", b"\x80\x02}r\xff\xff\xff\x7f.")
    save("pickle", "call", b"\x80\x02cposix\nsystem\n" + text_of("true") + b"\x85R.")
    save("pickle", "call4", b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.")
    save("pickle", "itself", b"\x80\x02}q\0" + text_of("w") + b"h\0s.")
    save("pickle", "doubling", b"\x80\x02)" + b"2\x86" * 200 + b".")
    save("pickle", "marks", b"\x80\x02" + b"(" * 2000 + b"0" * 2000 + b"}.")
    save("pickle", "from_type", b"\x80\x02}" + text_of("w") + b"ctorch._tensor\n_rebuild_from_type_v2\n(" + tensor().replace(b"tR", b"t").replace(b"r_v2\n(", b"r_v2\nctorch\nTensor\n(", 1) + b"}tRs.")
    save("pickle", "old", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.")


def hub():
    commit = "c0ffee" * 6 + "0123"
    lfs = {"sha256": "ab" * 32, "size": 5, "pointerSize": 130}
    file = lambda name, **more: {"rfilename": name, "size": 5, "blobId": "cd" * 20, **more}
    answer = lambda *files, **more: json.dumps({"id": "org/name", "sha": commit, "siblings": list(files), **more}).encode()
    save("hub", "model", answer(file("config.json"), file("model.safetensors", lfs=lfs), file("onnx/model.onnx"), file("1_Pooling/config.json")))
    save("hub", "shards", answer(file("pytorch_model-00001-of-00002.bin", lfs=lfs), file("pytorch_model-00002-of-00002.bin", lfs=lfs), file("pytorch_model.bin.index.json")))
    save("hub", "gguf", answer(file("x.Q4_K_M.gguf", lfs=lfs), file("x.Q8_0.gguf", lfs=lfs)))
    save("hub", "no_hash", answer({"rfilename": "config.json"}))
    for name, path in {"up": "../x", "inside": "a/../../x", "absolute": "/etc/passwd", "windows": "a\\..\\x", "control": "a\nb", "nothing": "", "slashes": "a//b", "dots": "...", "long": "a" * 300}.items():
        save("hub", "path_" + name, answer(file(path)))
    save("hub", "size_negative", answer(file("config.json", size=-1)))
    save("hub", "size_text", answer(file("config.json", size="5")))
    save("hub", "size_large", answer(file("model.safetensors", lfs={**lfs, "size": 1 << 62}), file("config.json", size=1 << 62)))
    save("hub", "commit_path", answer(file("config.json"), sha="../../../../../../../../../../../../../etc"))
    save("hub", "no_list", b'{"error": "Invalid username or password."}')
    save("hub", "page", b"<html><body>502</body></html>")
    save("hub", "headers", b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 5-9/10\r\nRetry-After: 3\r\nX-Error-Code: GatedRepo\r\nX-Error-Message: \x1b[31mno\r\n")
    save("hub", "headers_odd", b"HTTP/1.1 429\r\nContent-Range: bytes */99999999999999999999\nRetry-After: 1e999\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT\nContent-Range: bytes -1-\n")


hub()
safetensors()
pickles()
ggufs()
text()
configs()
yaml()
run()
