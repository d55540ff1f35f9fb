# SPDX-License-Identifier: Apache-2.0
"""isara beside its peers in fine-tuning (reference data smollm2_load): what `make bench-train` runs.

Programs load once and take turns: the machine's limits, isara, each peer. Prints median seconds, how many times faster isara is, the share of the limit (products at
the measured rate of the arithmetic, plus what the optimizer must move through memory at the measured rate of copying), and the losses of both.
--load: end to end, W1 + W2 by the best peer of `make bench-generate` and three epochs of W5a and 32 rows of W5b (`make bench-load`)."""
import argparse, collections, json, os, statistics, sys

from worker import Missing, Worker

HERE = os.path.dirname(os.path.abspath(__file__))
PLAN = [("W5a", "bf16", ["autocast", "trl"]), ("W5b", "bf16", ["autocast"]), ("W5b", "f32", ["f32"]), ("W5b", "lora", ["peft"])]


def amounts(work, way):
    """(floating-point operations, bytes that optimizer steps must move) of isara's run: a row's last token has no target behind it and needs no computing."""
    c, ids = json.load(open(os.path.join(args.models, "hf-bf16/config.json"))), json.load(open(args.work_json))["ids"]
    rows = {"W5a": ids["W5a"], "W5b": ids["W5b"][:32], "load": ids["W5a"] + ids["W5b"][:32]}[work]
    epochs, q, kv = 3 if work == "load" else 1, c["num_attention_heads"] * c["head_dim"], c["num_key_value_heads"] * c["head_dim"]
    body = c["num_hidden_layers"] * c["hidden_size"] * (2 * q + 2 * kv + 3 * c["intermediate_size"])
    vocabulary = c["vocab_size"] * c["hidden_size"]
    tokens, targets = sum(len(p) + len(a) - 1 for p, a in rows), sum(len(a) for _, a in rows)
    adapter = c["num_hidden_layers"] * 16 * (2 * c["hidden_size"] + q + kv) if way == "lora" else 0
    passes = 2 if way == "lora" else 3
    flop = epochs * (2 * passes * (tokens * body + targets * vocabulary) + 6 * tokens * adapter)
    # gradient written and read for its norm; gradient, master and moments read; master and moments written; the copy that is computed with written
    moved = (4 + 4 + 16 + 12 + (4 if way == "f32" else 2)) * (adapter or body + vocabulary) * epochs * ((len(rows) + 3) // 4)
    return flop, moved


def share(work, way, seconds, limits):
    flop, moved = amounts(work, way)
    rate = limits["f32" if way == "f32" else "bf16"]
    return (flop / rate + moved / limits["copy"]) / 1e9 / seconds if rate else None


def close(mine, theirs):
    gaps = [abs(a - b) for a, b in zip(mine, theirs)]
    return f"losses differ by {statistics.mean(gaps):.4f} on average, {max(gaps):.4f} at most" if len(mine) == len(theirs) else f"UNEQUAL STEPS {len(mine)} and {len(theirs)}"


def measure():
    start = lambda name, command: Worker(name, command, os.path.join(args.models, f"{name}.log"))
    isara = start("train-isara", [os.path.join(args.build, "bench/bench_train"), os.path.join(args.models, "hf-bf16"), args.work_json])
    limits = start("limits", [os.path.join(args.build, "bench/bench_limits"), "-"])
    try:
        peers = start("train-peers", [args.python, os.path.join(HERE, "peer_train.py"), os.path.join(args.models, "hf-bf16"), args.work_json])
    except Missing as e:
        peers = None
        print(f"missing: {e}", file=sys.stderr)
    lines = []
    for r in range(args.repeats):
        for work, way, names in PLAN:
            if f"{work}-{way}" not in args.works:
                continue
            line = {"work": work, "way": way, "limits": limits.do("go"), "isara": isara.do(f"{work} {way}"), "peers": {}}
            for name in names if peers else []:
                if name in args.peers:
                    line["peers"][name] = peers.do(f"{work} {name}")
            print(f"round {r + 1} {work} {way}: isara {line['isara']['seconds']:.2f} s" + "".join(f", {k} {v.get('seconds', 0):.2f} s {v.get('error', '')}" for k, v in line["peers"].items()),
                  file=sys.stderr, flush=True)
            lines.append(line)
            with open(args.results, "a") as f:
                f.write(json.dumps(line) + "\n")
    if args.profile:
        for work, way in dict.fromkeys((l["work"], l["way"]) for l in lines):
            operators = isara.do(f"{work} {way} profile")["operators"]
            whole = sum(operators.values())
            print(f"{work} {way} by operator: " + ", ".join(f"{k} {100 * v / whole:.1f} %" for k, v in sorted(operators.items(), key=lambda kv: -kv[1]) if v > 0.003 * whole))
    return lines, peers.about["versions"] if peers else {}


def table(lines, versions):
    groups = collections.OrderedDict()
    for line in lines:
        groups.setdefault((line["work"], line["way"]), []).append(line)
    print("| work | way | runs | isara, s | share of the limit | peer | s | isara is faster by | losses |\n|---|---|---|---|---|---|---|---|---|")
    for (work, way), some in groups.items():
        mine = statistics.median(l["isara"]["seconds"] for l in some)
        shares = [share(work, way, l["isara"]["seconds"], l["limits"]) for l in some]
        for peer in some[0]["peers"] or [""]:
            pairs = [(l["isara"], l["peers"][peer]) for l in some if "seconds" in l["peers"].get(peer, {})]
            head = f"| {work} | {way} | {len(some)} | {mine:.2f} | {'' if None in shares else f'{100 * statistics.median(shares):.0f} %'} | {peer} |"
            if pairs:
                ratio = statistics.median(p["seconds"] / i["seconds"] for i, p in pairs)
                print(head, f"{statistics.median(p['seconds'] for _, p in pairs):.2f} | {ratio:.2f} | {close(pairs[-1][0]['loss'], pairs[-1][1]['loss'])} |")
            else:
                print(head, f"{some[0]['peers'].get(peer, {}).get('error', 'not asked for')} | | |")
    if ("W5b", "lora") in groups and ("W5b", "bf16") in groups:
        full, lora = (statistics.median(l["isara"]["seconds"] for l in groups["W5b", k]) for k in ("bf16", "lora"))
        print(f"LoRA is {full / lora:.2f} times as fast as our own full fine-tuning")
    print("versions: " + ", ".join(f"{k} {v}" for k, v in versions.items()))
    print("limits: " + ", ".join(f"{k} {statistics.median(l['limits'][k] for l in lines):.0f} {'GB/s' if k in ('read', 'copy') else 'G/s'}" for k in ("f32", "bf16", "read", "copy")))
    print("a cache line from thread to thread and back, by run: " + ", ".join(f"{l['limits'].get('there_and_back', 0):.0f}" for l in lines) + " ns")


def load():
    """isara's own three steps against the best peer of each."""
    start = lambda name, command: Worker(name, command, os.path.join(args.models, f"{name}.log"))
    model, ours, theirs = os.path.join(args.models, "hf-bf16"), {}, {}
    generate = start("isara-bf16", [os.path.join(args.build, "bench/bench_generate"), model, args.work_json, "-", "bf16"])
    train = start("train-isara", [os.path.join(args.build, "bench/bench_train"), model, args.work_json])
    ours.update({w: generate.do(w)["seconds"] for w in ("W1", "W2")}, load=train.do("load bf16")["seconds"])
    for w in (generate, train):
        w.process.stdin.close()
    peer = start("openvino-bf16", [args.python, os.path.join(HERE, "peer_openvino.py"), os.path.join(args.models, "ov-fp16"), args.work_json, "bf16"])
    theirs.update({w: peer.do(w)["seconds"] for w in ("W1", "W2")})
    peer.process.stdin.close()
    peer = start("train-peers", [args.python, os.path.join(HERE, "peer_train.py"), model, args.work_json])
    theirs["load"] = peer.do("load autocast")["seconds"]
    for w in ours:
        print(f"{w}: isara {ours[w]:.1f} s, best peer {theirs[w]:.1f} s, ratio {theirs[w] / ours[w]:.2f}")
    print(f"end to end: isara {sum(ours.values()):.1f} s, best mix of peers {sum(theirs.values()):.1f} s, ratio {sum(theirs.values()) / sum(ours.values()):.2f}")


words = lambda text: [w for w in text.replace(",", " ").split() if w]
parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--build", default="build")
parser.add_argument("--models", default="build/peers", help="where hf-bf16 is (bench/peer-models makes it)")
parser.add_argument("--work-json", required=True)
parser.add_argument("--python", default=sys.executable, help="the interpreter that has the peers (bench/requirements.txt)")
parser.add_argument("--works", type=words, default=[f"{w}-{d}" for w, d, _ in PLAN])
parser.add_argument("--peers", type=words, default=words("autocast trl f32 peft"))
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--results", default="")
parser.add_argument("--profile", action="store_true", help="also the share of each operator")
parser.add_argument("--load", action="store_true")
args = parser.parse_args()
args.results = args.results or os.path.join(args.models, "results_train.jsonl")
if args.load:
    load()
else:
    table(*measure())
