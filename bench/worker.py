# SPDX-License-Identifier: Apache-2.0
"""A process that loads once and answers each line with a line of JSON: how bench/peers.py and bench/peers_train.py let programs take turns."""
import json, subprocess


class Missing(Exception):
    pass


class Worker:
    def __init__(self, name, command, log):
        self.name, self.log = name, log
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(self.log, "w"), text=True)
        self.about = self.read()

    def read(self):
        for line in iter(self.process.stdout.readline, ""):
            if line.startswith('{"'):  # not a peer's own prints
                return json.loads(line)
        last = [l for l in open(self.log).read().splitlines() if l.strip()][-1:] or ["no message"]
        raise Missing(f"{self.name}: {last[0]} (all of it in {self.log})")

    def do(self, work):
        self.process.stdin.write(work + "\n")
        self.process.stdin.flush()
        return self.read()
