#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""isara serve under bad weather: hostile requests, many connections at once, a long mix of everything.

usage: tools/soak-serve.py --isara build/isara --model models/miniature [--hostile 10000] [--connections 64 --seconds 60]
                           [--soak 600]
Each part ends with the same question as before it and wants the same answer, nothing in flight, no page taken, no
connection left, and (for the soak) no more memory than after its first tenth. Python's standard library is enough.
"""
import argparse
import json
import random
import socket
import subprocess
import sys
import threading
import time

GOOD = {"prompt": "Question: How do I store apples?\nAnswer:", "max_tokens": 24}
fails = []


class Server:
    def __init__(self, args):
        self.process = subprocess.Popen([args.isara, "serve", "--model", args.model, "--port", "0", "--patience", "5", "--kv-memory", "16",
                                         "--log-level", "quiet"], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().strip().rsplit(":", 1)[1].split("/")[0])

    def connect(self, timeout=60):
        s = socket.create_connection(("127.0.0.1", self.port), timeout)
        s.settimeout(timeout)
        return s

    def memory(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) // 1024


def request(path, body=None, head=""):
    data = b"" if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
    method = "GET" if body is None else "POST"
    return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(data)}\r\n{head}\r\n"
            .encode() + data)


def read_all(s):
    parts = []
    try:
        while part := s.recv(65536):
            parts.append(part)
    except OSError:
        pass
    return b"".join(parts)


def ask(server, path, body=None):
    with server.connect() as s:
        s.sendall(request(path, body))
        head, _, rest = read_all(s).partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, rest


def text(server):
    status, body = ask(server, "/v1/completions", GOOD)
    return json.loads(body)["choices"][0]["text"] if status == 200 else f"status {status}"


def metric(server, name):
    lines = ask(server, "/metrics")[1].decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("isara_" + name + " "))


def check(server, what, before):
    end = time.time() + 30
    while time.time() < end and (metric(server, "texts_pending") or metric(server, "kv_pages_reserved") or
                                 metric(server, "http_connections") > 1):
        time.sleep(0.2)
    left = [metric(server, n) for n in ("texts_pending", "kv_pages_reserved", "http_connections")]
    same = text(server) == before
    good = same and left[:2] == [0, 0] and left[2] <= 1 and server.process.poll() is None
    if not good:
        fails.append(what)
    print(f"{'ok  ' if good else 'FAIL'}  {what}; answer {'the same' if same else 'another'}, left {left}, "
          f"{server.memory()} MiB", flush=True)


def junk(r):
    kind = r.randrange(12)
    body = json.dumps(GOOD).encode()
    if kind == 0:
        return r.randbytes(r.randrange(1, 400))
    if kind == 1:
        return request("/v1/completions", body[:r.randrange(len(body))])
    if kind == 2:
        return request("/v1/completions", b"[" * r.randrange(1, 5000))
    if kind == 3:
        return request("/v1/completions", {"prompt": r.choice([None, 5, {}, [], [[]], [""], [[-1]], [1 << 40], "\u0000", ["a"] * 5000]),
                                           "max_tokens": r.choice([None, -1, 0, 1e300, "x", 1 << 40, 5])})
    if kind == 4:
        return request("/v1/chat/completions", {"messages": r.choice([None, [], [1], [{}], [{"role": 5}], "x"])})
    if kind == 5:
        return request("/" + "a" * r.randrange(1, 70000))
    if kind == 6:
        return request("/health", head="".join(f"X-{i}: {'y' * r.randrange(900)}\r\n" for i in range(r.randrange(90))))
    if kind == 7:
        return b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\nx" % r.choice([-1, 5, 1 << 30, 1 << 70])
    if kind == 8:
        return b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\nabc\r\n" % r.choice([3, 1 << 62, 0])
    if kind == 9:
        return request("/v1/completions", dict(GOOD, stream=True, max_tokens=r.randrange(1, 200)))[:-r.randrange(1, 9)]
    if kind == 10:
        return request("/v1/models", head=r.choice(["Host: evil.org\r\n", "Origin: http://evil.org\r\n", "Origin: null\r\n"]))
    return request("/v1/completions", dict(GOOD, **{r.choice(["temperature", "top_p", "n", "best_of", "stop", "seed", "logprobs",
                   "stream_options", "num_beams", "eos_token_id"]): r.choice([None, -1, 1e9, "x", [], {}, [1], True])}, max_tokens=2))


def throw(server, r):
    try:
        with server.connect(1) as s:
            s.sendall(junk(r))
            if r.random() < 0.3:
                s.recv(r.randrange(1, 200))
    except OSError:
        pass


def clients(n, work):
    threads = [threading.Thread(target=work, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def hostile(server, n):
    before, start = text(server), time.time()

    def work(i):
        r = random.Random(i)
        for _ in range(n // 16):
            throw(server, r)
    clients(16, work)
    check(server, f"{n} hostile requests in {time.time() - start:.0f} s", before)


def connections(server, n, seconds):
    before, end, wrong, done = text(server), time.time() + seconds, [], [0] * n

    def work(i):
        while time.time() < end:
            status, body = ask(server, "/v1/completions", dict(GOOD, stream=i % 2 == 1))
            if i % 2 == 1:
                events = [e[6:] for e in body.split(b"\n\n") if e.startswith(b"data: {")] or body.split(b"\n")
                found = "".join(json.loads(e[e.index(b"{"):e.rindex(b"}") + 1])["choices"][0]["text"]
                                for e in body.split(b"data: ") if b'"choices"' in e)
            else:
                found = json.loads(body)["choices"][0]["text"] if status == 200 else ""
            if status != 429 and (status != 200 or found != before):
                wrong.append((status, found))
            done[i] += status == 200
    clients(n, work)
    if wrong:
        fails.append(f"{len(wrong)} wrong answers, the first {wrong[0]}")
    check(server, f"{n} connections for {seconds} s: {sum(done)} answers, {len(wrong)} wrong, "
                  f"each connection {min(done)} to {max(done)}", before)


def soak(server, seconds):
    before, end, wrong, early, counts = text(server), time.time() + seconds, [], [None], [0, 0]
    start = time.time()

    def work(i):
        r = random.Random(i)
        while time.time() < end:
            if early[0] is None and time.time() - start > seconds / 10:
                early[0] = server.memory()
            if r.random() < 0.3:
                throw(server, r)
                counts[1] += 1
                continue
            body = r.choice([GOOD, GOOD, dict(GOOD, logprobs=2, echo=True), dict(GOOD, temperature=1, n=3, seed=r.randrange(99)),
                             dict(GOOD, num_beams=4), dict(GOOD, prompt=["a b c", [5, 6, 7]])])
            status, answer = ask(server, "/v1/completions", body)
            counts[0] += 1
            if status not in (200, 429) or (body is GOOD and status == 200 and
                                            json.loads(answer)["choices"][0]["text"] != before):
                wrong.append((status, answer[:200]))
    clients(12, work)
    late = server.memory()
    if wrong or late > early[0] * 1.1 + 16:
        fails.append(f"soak: {wrong[:1]}, {early[0]} to {late} MiB")
    check(server, f"{seconds} s of everything: {counts[0]} requests, {counts[1]} hostile ones, {len(wrong)} wrong answers, "
                  f"{early[0]} MiB after a tenth, {late} MiB at the end", before)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--isara", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--hostile", type=int, default=10000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--soak", type=int, default=600)
    args = parser.parse_args()
    server = Server(args)
    if args.hostile:
        hostile(server, args.hostile)
    if args.seconds:
        connections(server, args.connections, args.seconds)
    if args.soak:
        soak(server, args.soak)
    server.process.terminate()
    code = server.process.wait(60)
    print("exit code", code, *fails, sep="\n" if fails else " ")
    return 1 if fails or code else 0


if __name__ == "__main__":
    sys.exit(main())
