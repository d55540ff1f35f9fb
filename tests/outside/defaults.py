# SPDX-License-Identifier: Apache-2.0
"""A run that is told nothing has the settings that docs/METHOD.md and `isara align --help` promise."""
import json
import pathlib
import re
import signal
import subprocess
import time

# What a run was given or is compared by, and not a default: files and their hashes (also "model/config.json" and the like), the build.
NOT_IN_HELP_AS_SUCH = {"model", "seeds", "test", "template", "bits", "build"}
WORDS = {"on": 1, "off": 0, "": 0, "all": "all"}


def plain_settings(o):
    """config.resolved.json of a run with nothing but what must be given; it is broken off as soon as that is written."""
    out = o.scratch / "plain"
    command = [o.isara.binary, "align", "--model", str(o.model), "--seeds", str(o.seeds), "--output", str(out), "--log-level", "quiet"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        while running.poll() is None and not (out / "config.resolved.json").exists():
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        running.wait()
    return json.loads((out / "config.resolved.json").read_text(encoding="utf-8"))


def help_of(o):
    """{"rounds": "2", ...}: what stands in brackets at the end of an option's line, "" where nothing does."""
    text = o.isara("align", "--help").stdout.decode()
    return {m[1]: (re.search(r"\[([^\]]*)\]$", m[2]) or ["", ""])[1] for m in re.finditer(r"^  --([a-z0-9-]+)(.*)$", text, re.M)}


def told(bracket, phase):
    """The default that a bracket names, for a phase: "256; align: 64 ask, 256 answer" and the like."""
    general, _, align = bracket.partition("; align:")
    for part in align.split(","):
        value, _, of = part.strip().partition(" ")
        if value and (not of or of == phase):
            return value
    return general.split(";")[0].split(":")[0].strip() if general else ""


def as_number(text):
    text = WORDS.get(text, text)
    try:
        return float(text)
    except ValueError:
        return text


def check_help(o, settings):
    options = help_of(o)
    for name, value in settings.items():
        phase = next((p for p in ("ask", "answer", "train") if name.startswith(p + "-") and name[len(p) + 1:] in options and name not in options), None)
        option = name[len(phase) + 1:] if phase else name
        if name in NOT_IN_HELP_AS_SUCH or name.endswith("-sha256") or "/" in name or not o.ledger.true(f"defaults: --help does not have --{option}", option in options):
            continue
        wanted = as_number(told(options[option], phase))
        if option == "eos-token-id":
            wanted, value = "the model's", "the model's" if value == [0] else value
        if option == "holdout":
            wanted, value = "one in eight", "one in eight" if value == -1 else value
        if option in ("stop", "judge", "encoder", "lora-target-modules", "min-score", "min-score-rank"):
            wanted, value = 0.0, 1.0 if value else 0.0  # none
        if option == "max-steps":
            wanted = wanted if wanted != "0 = by epochs" else 0.0
        o.ledger.same(f"defaults: --{name}, by --help", as_number(value) if isinstance(value, str) else value, wanted, 1e-6)


# What docs/METHOD.md's table says of a setting; the pattern's group is the value.
PROMISED = [
    (r"^\| `--rounds`, `--attempts` \| (\d+), \d+ ", "rounds"), (r"^\| `--rounds`, `--attempts` \| \d+, (\d+) ", "attempts"), (r"^\| `--count` \| `(\w+)`", "count"),
    (r"^\| `--k` \| (\d+) ", "k"), (r"^\| `--ask-contexts` \| `(\w+)`", "ask-contexts"), (r"^\| `--retriever` \| `(\w+)`", "retriever"), (r"^\| `--pool` \| `(\w+)`", "pool"),
    (r"^\| `--start` \| `(\w+)`", "start"), (r"^\| `--stop-novelty` \| ([0-9.]+):", "stop-novelty"), (r"^\| `--sift-threshold` \| ([0-9.]+):", "sift-threshold"),
    (r"-max-words` \| (\d+), \d+, \d+, \d+ ", "question-min-words"), (r"-max-words` \| \d+, (\d+), \d+, \d+ ", "question-max-words"),
    (r"-max-words` \| \d+, \d+, (\d+), \d+ ", "answer-min-words"), (r"-max-words` \| \d+, \d+, \d+, (\d+) ", "answer-max-words"),
    (r"^\| `--sift-repetition` \| ([0-9.]+):", "sift-repetition"), (r"^\| `--sift-copy` \| ([0-9.]+):", "sift-copy"), (r"^\| decoding \| (\d+) beams", "ask-num-beams"),
    (r"^\| decoding \| (\d+) beams", "answer-num-beams"), (r"ask: (\d+) new tokens", "ask-max-new-tokens"), (r"repetition penalty ([0-9.]+), no", "ask-repetition-penalty"),
    (r"no (\d)-gram twice", "ask-no-repeat-ngram-size"), (r"answer: (\d+) new tokens, no penalties", "answer-max-new-tokens"),
    (r"^\| training \| ([0-9.e-]+), ", "train-learning-rate"), (r"^\| training \| \S+ (\w+), ", "train-lr-scheduler-type"), (r"warm-up ([0-9.]+), ", "train-warmup-ratio"),
    (r", batch (\d+), ", "train-per-device-train-batch-size"), (r", (\d+) epochs, AdamW", "train-num-train-epochs"), (r"AdamW ([0-9.]+)/", "train-adam-beta1"),
    (r"AdamW [0-9.]+/([0-9.]+), no decay", "train-adam-beta2"), (r", clip ([0-9.]+), ", "train-max-grad-norm"), (r", clip [0-9.]+, (\d+) tokens ", "train-max-length"),
    (r"measured on; (\d+) questions are answered", "samples"),
]
UNSAID = {"ask-do-sample": 0, "answer-do-sample": 0, "answer-repetition-penalty": 1.0, "answer-no-repeat-ngram-size": 0, "train-weight-decay": 0.0, "sift-need-end": 1,
          "ask-penalty-scope": "generated", "answer-penalty-scope": "generated", "seed": "0", "dtype": "bf16", "judge": ""}


def check(o):
    settings, same = plain_settings(o), o.ledger.same
    text = (pathlib.Path(o.models).parent / "docs" / "METHOD.md").read_text(encoding="utf-8")
    for pattern, name in PROMISED:
        found = re.search(pattern, text, re.M)
        if o.ledger.true(f"defaults: docs/METHOD.md does not say {name} ({pattern})", found):
            same(f"defaults: {name}, by docs/METHOD.md", as_number(settings[name]) if isinstance(settings[name], str) else settings[name], as_number(found[1]), 1e-6)
    for name, value in UNSAID.items():
        same(f"defaults: {name}", settings[name], value)
    pair = re.search(r"^\| `--template` \| `(.*?)`", text, re.M)[1].replace("\\n", "\n")
    same("defaults: the template", [settings["template"]["pair"], settings["template"]["separator"]], [pair, "\n\n"])
    check_help(o, settings)
