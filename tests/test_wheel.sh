#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Python module as its wheel brings it (tools/wheel), unpacked: it says what the command says, errors are exceptions with the command's line, and an exception or Ctrl-C in
# the middle of a run leaves a run that goes on. (tools/check-packages installs the wheel with pip.)
set -u
cd "$(dirname "$0")/.."
build=${BUILD:-build} m=models/miniature
[ -f $m/model.safetensors ] || { echo "no $m"; exit 77; }
command -v python3 >/dev/null && python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' || { echo "no Python 3.8 or later"; exit 77; }
nm "$ISARA" 2>/dev/null | grep -q '__[at]san_init' && { echo "a sanitizer's library is not loaded by python"; exit 77; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s "$build/lib/libisara.so" BUILD="$build" >"$tmp/log" 2>&1 || { tail -n 20 "$tmp/log"; exit 1; }
mkdir -p "$tmp/share/man/man1" && "$ISARA" --man >"$tmp/share/man/man1/isara.1"
for n in 1 2; do
  tools/wheel --program "$ISARA" --library "$build/lib/libisara.so" --tag linux_x86_64 --output "$tmp/$n" --share "$tmp/share" --level 1 >"$tmp/log" || exit 1
done
cmp "$tmp"/[12]/*.whl || { echo "the same files give two wheels"; exit 1; }
mkdir "$tmp/site" && python3 -m zipfile -e "$tmp"/1/*.whl "$tmp/site" && mv "$tmp"/site/isara-*.data/scripts "$tmp/site/bin" && chmod +x "$tmp/site/bin/isara"
cat >"$tmp/use.py" <<'P'
import os, signal, subprocess, sys, threading, json, base64, hashlib, glob
import isara

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
model, seeds, run, program = sys.argv[1:]
here = os.path.dirname(os.path.dirname(isara.__file__))
for line in open(glob.glob(here + "/isara-*.dist-info/RECORD")[0]):  # what pip checks
    name, digest, size = line.strip().rsplit(",", 2)
    if digest and not name.split("/")[0].endswith(".data"):
        data = open(os.path.join(here, name), "rb").read()
        assert digest == "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode() and int(size) == len(data), name

def raises(kind, call, said):
    try:
        call()
    except kind as e:
        assert said in str(e), e
    else:
        raise AssertionError("no %s: %s" % (kind.__name__, said))

prompt, said, seen = "Question: How do I store apples?\nAnswer:", [], []
options = {"max_new_tokens": 12, "num_beams": 2, "num_return_sequences": 2}
with isara.Model(model, dtype="f32") as m:
    ids = m.tokenize(prompt)
    assert m.detokenize(ids) == prompt
    plain = m.generate([prompt, ids], max_new_tokens=12, on_token=lambda t: said.append(t["text"]) if t["prompt"] == 0 else None)
    assert "".join(said) == plain[0]["text"] and len(plain[0]["token_logprobs"]) == 12 and plain[0]["finish_reason"] == "length"
    beams = m.generate(prompt, **options)[0]
    lines = json.dumps({"prompt": prompt}) + "\n"
    theirs = json.loads(subprocess.run([program, "generate", "--model", model, "--dtype", "f32", "--log-level", "quiet"] + ["--%s=%d" % o for o in options.items()],
                                       input=lines, stdout=subprocess.PIPE, universal_newlines=True, check=True).stdout)
    assert [s["token_ids"] for s in beams["sequences"]] == [s["token_ids"] for s in theirs["sequences"]] and beams["text"] == theirs["text"], (beams, theirs)
    assert "error" in m.generate(["", prompt], max_new_tokens=1)[0]
    scored = m.score([(prompt, " Keep")])[0]
    assert abs(sum(scored["token_logprobs"]) - scored["sum_logprob"]) < 1e-4
    a, b = m.embed(["apples", "apples"])
    assert a == b and abs(sum(x * x for x in a) - 1) < 1e-5
    raises(isara.Error, lambda: m.generate(prompt, temprature=3), '"temprature" is no option of this call; did you mean "temperature"?')
    raises(isara.Error, lambda: m.train(seeds, run + "-sft", lr=1e-4), 'did you mean "learning_rate"?')
raises(isara.Error, lambda: isara.align(model, seeds, run, ask_max_tokens=3), 'did you mean "ask_max_new_tokens"?')
raises(isara.Error, lambda: isara.align(model, seeds, run, zzzz=3), '"zzzz" is no option of this call')
raises(ValueError, lambda: m.tokenize("x"), "closed")
raises(isara.Error, lambda: isara.generate("/nowhere/at/all", "x"), "/nowhere/at/all: no such file")
assert "qa" in isara.eval("list")["text"]

class Stop(Exception):
    pass

def stop(progress):
    seen.append(progress)
    raise Stop("here")

how = dict(dtype="f32", rounds=1, attempts=2, k=2, num_beams=1, max_new_tokens=8, sift_need_end=False, holdout=1, samples=1, train_max_steps=1, stop_novelty=0)
raises(Stop, lambda: isara.align(model, seeds, run, progress=stop, **how), "here")
assert len(seen) == 1 and seen[0]["stage"]

def interrupt(level, line):
    seen.append(line)
    if len(seen) == 2:
        os.kill(os.getpid(), signal.SIGINT)

try:
    isara.align(model, seeds, run, log=interrupt, **how)
    raise AssertionError("Ctrl-C was not seen")
except KeyboardInterrupt:
    pass
done = isara.align(model, seeds, run, **how)
assert done["rounds"] and "round 1" in done["text"] and isara.results(run)["arms"] == done["arms"]
P
PYTHONPATH="$tmp/site" python3 "$tmp/use.py" $m models/seeds.jsonl "$tmp/run" "$ISARA" 2>"$tmp/log" || { tail -n 20 "$tmp/log"; exit 1; }
[ "$(cd "$tmp" && PYTHONPATH="$tmp/site" python3 -m isara --version)" = "$("$ISARA" --version)" ] || { echo "python -m isara is not the command"; exit 1; }
