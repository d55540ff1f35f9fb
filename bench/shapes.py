# SPDX-License-Identifier: Apache-2.0
"""isara beside its peers on a shape of 1.1 billion parameters with random weights (tools/make-shape): what `make bench-shapes` runs.

Works: start (from the process to its first token: bf16 beside transformers' loading, Q4_K_M beside `cat FILE`), one (one sequence of 64 tokens), prefill (512 tokens),
beams (16 prompts, 5 beams, 64 tokens), lora (2 steps of 4 rows of 256 tokens, r = 16 on q_proj and v_proj). Each of a work's programs loads by itself and ends before
the next loads, so that memory holds one of them; within a round they take turns. A peer that cannot run is named as missing."""
import argparse, json, os, random, statistics, subprocess, sys, time

from worker import Missing, Worker

HERE = os.path.dirname(os.path.abspath(__file__))
N_VOCAB, FIRST_PIECE = 32000, 259
# work, dtype, the peer of each goal: isara has to be so many times as fast
PLAN = [("start", "bf16", {"transformers": 1 / 1.5}), ("start", "q4_k_m", {"cat": None}), ("one", "q4_k_m", {"llama.cpp": 1.15}), ("one", "q8_0", {"llama.cpp": 1.15}),
        ("prefill", "q4_k_m", {"llama.cpp": 1.5}), ("prefill", "q8_0", {"llama.cpp": 1.5}), ("beams", "bf16", {"transformers": 5}), ("beams", "q8_0", {"openvino": 2}),
        ("lora", "bf16", {"peft": 1.7}), ("lora", "q4_k_m", {"isara bf16": 1 / 1.2})]


def model_of(dtype):
    """The shape's file of a type, made once."""
    path = os.path.join(args.models, "bf16" if dtype == "bf16" else dtype + ".gguf")
    if not os.path.exists(os.path.join(path, "config.json") if dtype == "bf16" else path):
        subprocess.run([os.path.join(args.build, "tools/make_shape"), args.shape, "--type", dtype, path], check=True)
    return path


def work_json():
    """Prompts of made-up tokens, the same in every run."""
    draw = random.Random(5)
    some = lambda n: [draw.randrange(FIRST_PIECE, N_VOCAB) for _ in range(n)]
    path = os.path.join(args.models, "work.json")
    ids = {"one": [some(32)], "prefill": [some(512)], "beams": [some(draw.randrange(60, 120)) for _ in range(16)][:args.prompts], "W5a": [],
           "W5b": [[some(args.row_tokens // 2), some(args.row_tokens // 2)] for _ in range(8)]}
    json.dump({"ids": ids}, open(path, "w"))
    return path


def timed(command):
    start = time.perf_counter()
    out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if out.returncode:
        raise Missing(f"{command[0]}: {(out.stderr.strip().splitlines() or ['no message'])[-1]}")
    return time.perf_counter() - start, out.stdout


def start_of(name, dtype):
    """Seconds from nothing to the first token; of transformers: of loading and one token, without imports."""
    model = model_of(dtype)
    if name == "cat":
        return {"seconds": timed(["sh", "-c", 'cat "$0" >/dev/null', model])[0]}
    if name == "transformers":
        about = json.loads(timed([args.python, os.path.join(HERE, "peer_start.py"), model])[1].splitlines()[-1])
        return {"seconds": about["load"] + about["token"], **about}
    prompt = os.path.join(args.models, "prompt.jsonl")
    open(prompt, "w").write('{"prompt": "the rest of it"}\n')
    return {"seconds": timed([os.path.join(args.build, "isara"), "generate", "--model", model, "--input", prompt, "--max-new-tokens", "1", "--dtype",
                              "bf16" if dtype == "bf16" else "q8", "--log-level", "quiet"])[0]}


def command_of(name, work, dtype):
    model, bench = model_of(dtype), os.path.join(args.build, "bench")
    python = lambda script, *more: [args.python, os.path.join(HERE, script), *more]
    if work == "lora":
        return python("peer_train.py", model, args.work_json) if name == "peft" else [os.path.join(bench, "bench_train"), model, args.work_json]
    if name == "isara":
        return [os.path.join(bench, "bench_generate"), model, args.work_json, "-", "bf16" if dtype == "bf16" else "q8"]
    if name == "transformers":
        return python("peer_transformers.py", model, args.work_json, "bf16")
    if name == "llama.cpp":
        return [args.llama_python, os.path.join(HERE, "peer_llama_cpp.py"), model, args.work_json]
    if name == "openvino":
        folder = os.path.join(args.models, "ov-int8")
        if not os.path.exists(folder):
            raise Missing(f"openvino: {folder} is not there (optimum-cli export openvino --model {model_of('bf16')} --task text-generation-with-past --weight-format int8)")
        return python("peer_openvino.py", folder, args.work_json, "q8")
    raise Missing(f"{name}: no such peer")


def once(name, work, dtype):
    if work == "start":
        return start_of(name, dtype)
    worker = Worker(f"{name}-{dtype}", command_of(name, work, dtype), os.path.join(args.models, f"{name}-{work}-{dtype}.log"))
    try:
        said = {"isara": f"{'W5b lora' if work == 'lora' else work}", "peft": "W5b peft"}.get(name, work)
        best = {}
        for _ in range(1 if work in ("lora", "beams") else 3):
            result = worker.do(said)
            if "error" in result:
                raise Missing(f"{name}: {result['error']}")
            best = result if not best or result["seconds"] < best["seconds"] else best
        if work == "lora":
            best["seconds"] /= len(best["loss"])
        return {k: v for k, v in best.items() if k not in ("ids", "logprobs")}
    finally:
        worker.process.stdin.close()
        worker.process.wait()


def read_share(dtype, seconds, limits):
    """One sequence reads every matrix but the embedding once a token."""
    size = os.path.getsize(model_of(dtype))
    bits = {"q4_k_m": 4.5, "q8_0": 8.5}[dtype]
    return (size - N_VOCAB * 2048 * bits / 8) * 64 / 1e9 / limits["read"] / seconds


def measure():
    lines = []
    for r in range(args.repeats):
        for work, dtype, goals in PLAN:
            if work not in args.only and f"{work}-{dtype}" not in args.only:
                continue
            line = {"work": work, "dtype": dtype, "seconds": {}, "missing": {}, "limits": json.loads(timed([os.path.join(args.build, "bench/bench_limits")])[1])}
            for name in ["isara", *goals]:
                try:
                    line["seconds"][name] = once("isara" if name == "isara bf16" else name, work, "bf16" if name == "isara bf16" else dtype)["seconds"]
                except (Missing, OSError, subprocess.CalledProcessError, KeyError) as e:
                    line["missing"][name] = str(e)
            print(f"round {r + 1} {work} {dtype}: " + ", ".join(f"{k} {v:.2f} s" for k, v in line["seconds"].items()) + "".join(f"; missing: {v}" for v in line["missing"].values()),
                  file=sys.stderr, flush=True)
            lines.append(line)
            with open(os.path.join(args.models, "results.jsonl"), "a") as f:
                f.write(json.dumps(line) + "\n")
    return lines


def table(lines):
    print("| work | weights | runs | isara, s | peer | s | isara is faster by | goal |\n|---|---|---|---|---|---|---|---|")
    for work, dtype, goals in PLAN:
        some = [l for l in lines if (l["work"], l["dtype"]) == (work, dtype) and "isara" in l["seconds"]]
        if not some:
            continue
        mine = statistics.median(l["seconds"]["isara"] for l in some)
        share = f" ({100 * statistics.median(read_share(dtype, l['seconds']['isara'], l['limits']) for l in some):.0f} % of DRAM)" if work == "one" else ""
        for peer, goal in goals.items():
            pairs = [(l["seconds"]["isara"], l["seconds"][peer]) for l in some if peer in l["seconds"]]
            if not pairs:
                print(f"| {work} | {dtype} | {len(some)} | {mine:.2f}{share} | {peer} | missing | | |")
                continue
            theirs = statistics.median(p for _, p in pairs)
            wanted = f"{goal:.2f}" if goal else f"{2 * theirs + 0.3:.2f} s"
            print(f"| {work} | {dtype} | {len(pairs)} | {mine:.2f}{share} | {peer} | {theirs:.2f} | {statistics.median(p / i for i, p in pairs):.2f} | {wanted} |")


words = lambda text: [w for w in text.replace(",", " ").split() if w]
parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--build", default="build")
parser.add_argument("--models", default="build/shapes", help="where the shape's files are made (4 GB)")
parser.add_argument("--shape", default="tinyllama-1.1b")
parser.add_argument("--python", default=sys.executable, help="the interpreter that has transformers and peft (bench/requirements.txt)")
parser.add_argument("--llama-python", default="", help="the one that has llama-cpp-python")
parser.add_argument("--only", type=words, default=words("start one prefill beams lora"), help="works, or works with a type (one-q8_0)")
parser.add_argument("--prompts", type=int, default=16, help="of beams: fewer take less time")
parser.add_argument("--row-tokens", type=int, default=256, help="of lora, likewise")
parser.add_argument("--repeats", type=int, default=3)
args = parser.parse_args()
args.llama_python = args.llama_python or args.python
os.makedirs(args.models, exist_ok=True)
args.work_json = work_json()
table(measure())
