# SPDX-License-Identifier: Apache-2.0
"""isara beside its peers on the method's own load (reference data smollm2_load), each at its best settings: what `make bench-generate` runs.

Every program is a process that loads once; then they take turns, so that one run holds isara, its peers and the machine's limits under the same conditions.
Prints a table: median seconds, how many times faster isara is, the share of the measured limit, and whether the answers agree. Every single run is a line of
RESULTS; --report prints the table of all lines that are there. A peer that cannot run is named as missing."""
import argparse, collections, json, os, statistics, sys

from worker import Missing, Worker

HERE = os.path.dirname(os.path.abspath(__file__))
PLAN = [  # work, dtype, peers (name, model)
    ("W1", "bf16", ["openvino", "transformers"]), ("W2", "bf16", ["openvino", "transformers"]), ("W2", "q8", ["openvino"]), ("W3", "bf16", ["openvino", "transformers"]),
    ("W4", "bf16", ["llama.cpp"]), ("W4", "q8", ["llama.cpp"]), ("W4", "q4_1", ["llama.cpp"]), ("W6", "bf16", ["llama.cpp", "transformers"]),
    ("W1", "f32", ["transformers"]), ("W2", "f32", ["transformers"]), ("W3", "f32", ["transformers"])]
N_BEAM, MAX_NEW = {"W1": 5, "W2": 5, "W3": 1, "W4": 1}, {"W1": 32, "W2": 96, "W3": 96, "W4": 128}


def command_of(peer, dtype):
    def here(path):
        path = os.path.join(args.models, path)
        if not os.path.exists(path):
            raise Missing(f"{peer}: {path} is not there")
        return path

    def python(script, model, *more):
        return [args.python, os.path.join(HERE, script), model, args.work_json, *more]

    if peer == "isara":
        model = args.gguf if dtype == "q4_1" else here("q8_0.gguf" if dtype == "q8" else "hf-bf16")
        return [os.path.join(args.build, "bench/bench_generate"), model, args.work_json, "-", "q8" if dtype == "q4_1" else dtype]
    if peer == "transformers":
        return python("peer_transformers.py", here("hf-bf16"), dtype)
    if peer == "openvino":
        return python("peer_openvino.py", here("ov-int8" if dtype == "q8" else "ov-fp16"), dtype)
    if peer == "llama.cpp":
        return python("peer_llama_cpp.py", args.gguf if dtype == "q4_1" else here("q8_0.gguf" if dtype == "q8" else "bf16.gguf"))
    raise Missing(f"{peer}: no such peer")


def amounts():
    """work -> floating-point operations; the weights' number; how many of them are the vocabulary's."""
    c = json.load(open(os.path.join(args.models, "hf-bf16/config.json")))
    ids = json.load(open(args.work_json))["ids"]
    head, kv = c["head_dim"], c["num_key_value_heads"] * c["head_dim"]
    body = c["num_hidden_layers"] * c["hidden_size"] * (2 * c["num_attention_heads"] * head + 2 * kv + 3 * c["intermediate_size"])
    vocabulary = c["vocab_size"] * c["hidden_size"]
    flop = {}
    for w, key in (("W1", "W1"), ("W2", "W2"), ("W3", "W2")):
        new = len(ids[key]) * N_BEAM[w] * MAX_NEW[w]
        flop[w] = 2 * ((sum(map(len, ids[key])) + new) * body + new * vocabulary)
    flop["W6"] = 2 * (sum(len(p) + len(c) for p, c in ids["W6"]) * body + sum(len(c) for _, c in ids["W6"]) * vocabulary)
    return flop, body + vocabulary, vocabulary


def share(work, dtype, seconds, limits):
    flop, n_weight, n_head = amounts()
    if work == "W4":
        bytes = {"f32": 4, "bf16": 2, "q8": 34 / 32}.get(dtype)
        bytes = n_weight * bytes if bytes else (n_weight - n_head) * 20 / 32 + n_head * 34 / 32  # the file's layers are Q4_1, its vocabulary Q8_0
        return bytes * MAX_NEW[work] / 1e9 / limits["read"] / seconds
    limit = limits["q8" if dtype == "q4_1" else dtype]
    return flop[work] / 1e9 / limit / seconds if limit else None


def agreement(mine, theirs):
    if "logprobs" in mine:
        gaps = [abs(a - b) for a, b in zip(mine["logprobs"], theirs["logprobs"])]
        return f"log-probabilities differ by {statistics.mean(gaps):.3f} on average" + ("" if len(mine["logprobs"]) == len(theirs["logprobs"]) else ", UNEQUAL WORK")
    a, b = mine["ids"], theirs["ids"]
    same = sum(x == y for x, y in zip(a, b))
    lengths = (sum(map(len, a)), sum(map(len, b)))
    return f"{same} of {len(a)} answers the same" + ("" if lengths[0] == lengths[1] else f", {lengths[0]} and {lengths[1]} tokens")


def measure():
    workers, missing = {}, {}

    def worker(name, dtype):
        key = f"{name}-{dtype}"
        if key in missing:
            raise Missing(missing[key])
        if key not in workers:
            try:
                workers[key] = Worker(key, command_of(name, dtype), os.path.join(args.models, f"{key}.log"))
            except (Missing, OSError) as e:
                missing[key] = str(e)
                raise Missing(str(e))
        return workers[key]

    plan = [(w, d, [p for p in peers if p in args.peers]) for w, d, peers in PLAN if w in args.works and d in args.dtypes]
    limits = Worker("limits", [os.path.join(args.build, "bench/bench_limits"), "-"], os.path.join(args.models, "limits.log"))
    for _, dtype, peers in plan:
        for name in ["isara"] + peers:
            try:
                print(f"{name} {dtype}: loaded, {worker(name, dtype).about.get('versions', '')}", file=sys.stderr, flush=True)
            except Missing as e:
                print(f"missing: {e}", file=sys.stderr, flush=True)
    with open(args.results, "a") as results:
        for r in range(args.repeats):
            for work, dtype, peers in plan:
                line = take_turns(work, dtype, peers, worker, limits)
                print(f"round {r + 1} {work} {dtype}: " + ", ".join(f"{k} {v:.2f} s" for k, v in line["seconds"].items()), file=sys.stderr, flush=True)
                results.write(json.dumps(line) + "\n")
                results.flush()


def take_turns(work, dtype, peers, worker, limits):
    """One round of one work: the machine's limits, isara, each peer."""
    line = {"work": work, "dtype": dtype, "limits": limits.do("go"), "seconds": {}, "agreement": {}, "missing": {}, "versions": {}}
    mine = worker("isara", dtype).do(work)
    line["seconds"]["isara"], line["isara"] = mine["seconds"], {k: v for k, v in mine.items() if k not in ("ids", "logprobs")}
    for peer in peers:
        try:
            theirs = worker(peer, dtype).do(work)
            line["seconds"][peer], line["agreement"][peer] = theirs["seconds"], agreement(mine, theirs)
            line["versions"].update(worker(peer, dtype).about["versions"])
        except Missing as e:
            line["missing"][peer] = str(e)
    return line


def table(lines):
    groups = collections.OrderedDict()
    for line in lines:
        if line["work"] in args.works and line["dtype"] in args.dtypes:
            groups.setdefault((line["work"], line["dtype"]), []).append(line)
    print("| work | dtype | runs | isara, s | share of the limit | peer | s | isara is faster by | answers |\n|---|---|---|---|---|---|---|---|---|")
    for (work, dtype), some in sorted(groups.items()):
        mine = statistics.median(l["seconds"]["isara"] for l in some)
        shares = [share(work, dtype, l["seconds"]["isara"], l["limits"]) for l in some]
        limit = "" if None in shares else f"{100 * statistics.median(shares):.0f} %" + (" of DRAM" if work == "W4" else "")
        peers = sorted({p for l in some for p in list(l["seconds"]) + list(l["missing"]) if p != "isara"}) or [""]
        for peer in peers:
            pairs = [(l["seconds"]["isara"], l["seconds"][peer]) for l in some if peer in l["seconds"]]
            end = "missing: " + str(next((l["missing"][peer] for l in some if peer in l["missing"]), "not asked for")) if not pairs else ""
            if pairs:
                theirs, said = statistics.median(p for _, p in pairs), next(l["agreement"][peer] for l in reversed(some) if peer in l["agreement"])
                print(f"| {work} | {dtype} | {len(pairs)} | {mine:.2f} | {limit} | {peer} | {theirs:.2f} | {statistics.median(p / i for i, p in pairs):.2f} | {said} |")
            else:
                print(f"| {work} | {dtype} | {len(some)} | {mine:.2f} | {limit} | {peer} | {end} | | |")
    print("versions: " + ", ".join(f"{k} {v}" for k, v in sorted({k: v for l in lines for k, v in l["versions"].items()}.items())))
    print("limits: " + ", ".join(f"{k} {statistics.median(l['limits'][k] for l in lines):.0f} {'GB/s' if k == 'read' else 'G/s'}" for k in ("f32", "bf16", "q8", "read")))
    print("a cache line from thread to thread and back, by run: " + ", ".join(f"{l['limits'].get('there_and_back', 0):.0f}" for l in lines) + " ns")


words = lambda text: [w for w in text.replace(",", " ").split() if w]
parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--build", default="build")
parser.add_argument("--models", default="build/peers", help="where hf-bf16, ov-fp16, ov-int8, bf16.gguf, q8_0.gguf are (bench/peer-models makes them)")
parser.add_argument("--gguf", required=True, help="SmolLM2-135M-Instruct.Q4_1.gguf")
parser.add_argument("--work-json", required=True)
parser.add_argument("--python", default=sys.executable, help="the interpreter that has the peers (bench/requirements.txt)")
parser.add_argument("--works", type=words, default=words("W1 W2 W3 W4 W6"))
parser.add_argument("--dtypes", type=words, default=words("bf16 q8 q4_1 f32"))
parser.add_argument("--peers", type=words, default=words("openvino transformers llama.cpp"))
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--results", default="")
parser.add_argument("--report", action="store_true", help="measure nothing, print the table of the results so far")
args = parser.parse_args()
args.results = args.results or os.path.join(args.models, "results.jsonl")
before = os.path.getsize(args.results) if os.path.exists(args.results) and not args.report else 0
if not args.report:
    measure()
with open(args.results) as file:
    file.seek(before)
    table([json.loads(l) for l in file])
