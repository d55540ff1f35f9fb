# SPDX-License-Identifier: Apache-2.0
"""What the peers of `make bench-generate` have in common: one process that loads once and then does the work each line of its standard input names.

A line is a work's name (W1, W2, W3, W4, W6; of bench/shapes.py one, prefill, beams); the answer is one JSON line: seconds, and ids (one list of new tokens a prompt) or logprobs (of all scored tokens)."""
import json, sys, time

N_THREAD = 2
N_BEAM = {"W1": 5, "W2": 5, "W3": 1, "W4": 1, "one": 1, "prefill": 1, "beams": 5}
MAX_NEW = {"W1": 32, "W2": 96, "W3": 96, "W4": 128, "one": 64, "prefill": 1, "beams": 64}


def load_ids(path):
    ids = json.load(open(path))["ids"]
    if "W2" in ids:
        ids["W3"], ids["W4"] = ids["W2"], ids["W2"][:1]
    return ids


def serve(works, versions, threads=N_THREAD):
    """works: name -> function of no arguments that returns (key, value)."""
    print(json.dumps({"ready": True, "works": sorted(works), "versions": versions}), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        key, value = works[line.strip()]()
        print(json.dumps({"seconds": time.perf_counter() - start, key: value}), flush=True)
