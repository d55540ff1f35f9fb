#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hub as tests/test_cli_pull.sh needs it: hub_server.py LOG FOLDER. Two ports (the hub, and another host that it sends for files in LFS), printed on one line. Every
repository org/NAME holds the files of FOLDER and fails in its own way; LOG gets a line a request: port's name, path, Range or -, Authorization or -."""
import hashlib, http.server, json, os, sys, threading, time

LOG, FOLDER = sys.argv[1:3]
COMMIT = "c0ffee" * 6 + "0123"
files = {name: open(os.path.join(FOLDER, name), "rb").read() for name in sorted(os.listdir(FOLDER))}
files |= {"tf_model.h5": b"no", "onnx/model.onnx": b"no", "1_Pooling/config.json": b"{}", "a b%c.json": b"{ }"}
LFS = {"model.safetensors", "pytorch_model.bin", "x.Q4_K_M.gguf", "x.Q8_0.gguf"}
lock, seen = threading.Lock(), {}


def sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def entry(name, data):
    e = {"rfilename": name, "size": len(data), "blobId": sha1(data)}
    if name in LFS:
        e["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return e


def content(repo):
    if repo == "gguf":
        return {"README.md": b"x", "x.Q4_K_M.gguf": b"GGUF4", "x.Q8_0.gguf": b"GGUF8"}
    if repo == "bin":
        return {**{k: v for k, v in files.items() if k != "model.safetensors"}, "pytorch_model.bin": b"PK"}
    if repo == "both":
        return {**files, "pytorch_model.bin": b"PK"}
    return files


def listing(repo):
    siblings = [entry(n, d) for n, d in content(repo).items()]
    for e in siblings:
        if repo == "huge" and e["rfilename"] == "model.safetensors":
            e["size"] = e["lfs"]["size"] = 1 << 60
        if repo == "nohash":
            e.pop("blobId")
            e.pop("lfs", None)
    siblings += {"evil": [{"rfilename": "../../../evil.json", "size": 1}], "absolute": [{"rfilename": "/tmp/evil.json", "size": 1}],
                 "dots": [{"rfilename": "a/../../b.json", "size": 1}]}.get(repo, [])
    return {"id": "org/" + repo, "sha": "../../.." if repo == "badcommit" else COMMIT, "siblings": siblings}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def answer(self, status, body=b"", headers=(), length=None):
        self.send_response(status)
        for k, v in headers:
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def drop(self):
        self.close_connection = True
        self.connection.shutdown(2)

    def do_GET(self):
        with lock:
            with open(LOG, "a") as f:
                f.write(" ".join([self.server.role, self.path, self.headers.get("Range") or "-", (self.headers.get("Authorization") or "-").replace(" ", ":")]) + "\n")
            key = self.server.role + self.path
            seen[key] = seen.get(key, 0) + 1
            times = seen[key]
        parts = self.path.split("?")[0].strip("/").split("/")
        repo = parts[3] if parts[0] == "api" else parts[1]
        token = self.headers.get("Authorization")
        error = lambda status, code="", headers=(): self.answer(status, json.dumps({"error": "said the hub; key " + str(token)}).encode(), [("X-Error-Code", code), *headers])
        if self.server.role == "hub":
            if repo == "private" and token != "Bearer hf_secret":
                return error(401, "RepoNotFound")
            if repo == "gated":
                return error(403 if token else 401, "GatedRepo")
            if repo == "none":
                return error(404, "RepoNotFound")
            if repo == "busy" and times <= 2:
                return error(429, "", [("Retry-After", "0")])
            if repo == "down":
                return error(503, "", [("Retry-After", "0")])
        if parts[0] == "api":
            if parts[5] not in ("main", "v1.0", COMMIT):
                return error(404, "RevisionNotFound")
            body = json.dumps(listing(repo)).encode()
            return self.answer(200, b"<html>" if repo == "nolist" else body)
        return self.send_file(repo, "/".join(parts[4:]).replace("%20", " ").replace("%25", "%"), times)

    def send_file(self, repo, name, times):
        if repo == "loop":
            return self.answer(302, headers=[("Location", self.path)])
        if name in LFS and self.server.role == "hub":
            return self.answer(302, headers=[("Location", f"http://localhost:{other.server_address[1]}{self.path}")])
        data = content(repo)[name]
        if repo == "changed" and name in LFS or repo == "tampered" and name == "config.json":
            data = b"!" + data[1:]
        size, asked = len(data), self.headers.get("Range")
        start = int(asked[6:-1]) if asked else 0
        if start and start >= size:
            return self.answer(416)
        headers, status = [], 200
        if start and not (repo == "norange" and name in LFS):
            status, headers = 206, [("Content-Range", f"bytes {start}-{size - 1}/{size}")]
        else:
            start = 0
        rest = data[start:]
        if name in LFS and repo == "drop" and len(rest) > size // 5:
            self.answer(status, rest[: size // 5], headers, len(rest))
            return self.drop()
        if name in LFS and repo == "norange" and times == 1:
            self.answer(status, rest[:1000], headers, len(rest))
            return self.drop()
        if name in LFS and repo == "short" and times == 1:
            return self.answer(status, rest[:1000], headers)
        if name in LFS and repo == "stuck":
            return self.answer(206 if start else 200, data[start:1000], headers) if start < 1000 else self.answer(206, b"", headers)
        if name in LFS and repo == "early":
            return self.answer(200, data[: 1000 if times % 2 else 900])
        if name in LFS and repo == "long":
            return self.answer(status, rest + b"more", headers)
        if name in LFS and repo == "wrongrange":
            if start:
                return self.answer(206, data[start + 1:], [("Content-Range", f"bytes {start + 1}-{size - 1}/{size}")])
            self.answer(200, data[:1000], headers, size)
            return self.drop()
        if name in LFS and repo == "slow" and times == 1:
            self.answer(200, data[:1000], headers, size)
            time.sleep(60)
            return
        self.answer(status, rest, headers)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


hub, other = Server(("127.0.0.1", 0), Handler), Server(("127.0.0.1", 0), Handler)
hub.role, other.role = "hub", "other"
threading.Thread(target=other.serve_forever, daemon=True).start()
print(hub.server_address[1], other.server_address[1], flush=True)
hub.serve_forever()
