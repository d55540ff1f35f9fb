#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""isara serve beside llama.cpp's own server: the same streamed requests from so many clients at once, interleaved.

usage: bench/serve_bench.py --isara build/isara --model DIR|FILE.gguf --llama-server BIN --gguf FILE.gguf [--clients 16]
                            [--requests 48] [--new 64] [--repeats 2] [--threads 2] [--dtype bf16] [--words 100,300]
                            [--llama-options "-fa off"]
       ... --llama-python PYTHON instead of --llama-server: llama-cpp-python's server, which answers one request at a time
Prints tokens a second over the whole and the time to the first token (median and 95th percentile). The GGUF file is the
same weights as llama.cpp takes them (isara convert --to gguf --type bf16). Either server may be left out. Prompts are of
so many words and have nothing in common; each answer is exactly --new tokens long (no end of sequence).
"""
import argparse
import json
import random
import socket
import statistics
import subprocess
import threading
import time
import urllib.request

WORDS = ("time year people way day man thing woman life child world school state family student group country problem hand "
         "part place case week company system program question work government number night point home water room mother "
         "area money story fact month lot right study book eye job word business issue side kind head house").split()


def prompts(n, least, most):
    r = random.Random(7)
    return [" ".join(r.choice(WORDS) for _ in range(r.randrange(least, most))) for _ in range(n)]


class Server:
    def __init__(self, name, command, port):
        self.name, self.port = name, port
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models").read()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{name} does not answer")


def one(server, prompt, args, out):
    body = {"prompt": prompt, "max_tokens": args.new, "temperature": 0, "stream": True, "ignore_eos": True,
            "eos_token_id": [], "stream_options": {"include_usage": True}, "cache_prompt": False}
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/v1/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    start, first, usage, pieces = time.perf_counter(), None, {}, 0
    with urllib.request.urlopen(request) as answer:
        for line in answer:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            if first is None and event.get("choices"):
                first = time.perf_counter() - start
            pieces += any(c.get("text") for c in event.get("choices", []))
            usage = event.get("usage") or usage
    out.append((first, usage.get("completion_tokens", pieces), usage.get("prompt_tokens", 0)))  # or a piece a token


def measure(server, texts, args):
    queue, out, lock = list(texts), [], threading.Lock()

    def work():
        while True:
            with lock:
                if not queue:
                    return
                text = queue.pop()
            one(server, text, args, out)
    start = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(args.clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    seconds, tokens = time.perf_counter() - start, sum(n for _, n, _ in out)
    firsts = sorted(f for f, _, _ in out)
    return (tokens / seconds, statistics.median(firsts), firsts[int(len(firsts) * 0.95)], tokens, sum(p for _, _, p in out),
            seconds)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    parser = argparse.ArgumentParser()
    for name in ("isara", "model", "llama-server", "llama-python", "gguf"):
        parser.add_argument("--" + name)
    for name, value in (("clients", 16), ("requests", 48), ("new", 64), ("repeats", 2), ("threads", 2)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--words", default="100,300")
    parser.add_argument("--llama-options", default="")
    args = parser.parse_args()
    servers = []
    if args.isara:
        port = free_port()
        servers.append(Server("isara", [args.isara, "serve", "--model", args.model, "--dtype", args.dtype, "--port", str(port),
                                        "--threads", str(args.threads)], port))
    if args.llama_server:
        port = free_port()
        servers.append(Server("llama.cpp", [args.llama_server, "-m", args.gguf, "--port", str(port), "-np", str(args.clients),
                                            "-c", str(1024 * args.clients), "-t", str(args.threads), "-tb", str(args.threads),
                                            "--no-cache-prompt", "--cache-ram", "0", *args.llama_options.split()], port))
    if args.llama_python:
        port = free_port()
        servers.append(Server("llama-cpp-python", [args.llama_python, "-m", "llama_cpp.server", "--model", args.gguf, "--port",
                                                   str(port), "--n_ctx", "1024", "--n_threads", str(args.threads),
                                                   "--n_threads_batch", str(args.threads), "--interrupt_requests", "False"],
                              port))
    texts, results = prompts(args.requests, *map(int, args.words.split(","))), {s.name: [] for s in servers}
    try:
        for s in servers:
            measure(s, texts[:2], args)
        for _ in range(args.repeats):
            for s in servers:
                results[s.name].append(measure(s, texts, args))
                print(s.name, "%.1f tokens/s, first token after %.2f s (median), %.2f s (95 %%), %d tokens after %d of prompts, "
                      "%.1f s" % results[s.name][-1], flush=True)
    finally:
        for s in servers:
            s.process.terminate()
            s.process.wait()
    if len(servers) == 2:
        best = {name: max(r[0] for r in rows) for name, rows in results.items()}
        peer = servers[1].name
        print(f"isara / {peer}: {best['isara'] / best[peer]:.2f} times the tokens a second")


if __name__ == "__main__":
    main()
