#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# isara chat through a pipe: its answers are generate's for the prompts that earlier turns make; commands; a run's two models; a terminal.
set -u
fails=0
no() { echo "$*"; fails=1; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
m=models/miniature
[ -f $m/model.safetensors ] || { echo "no models/miniature here"; exit 77; }
command -v python3 >/dev/null || { echo "no python3 here"; exit 77; }
quick=(--max-new-tokens 24 --stop $'\n')
answers() { # answers FILE OPTIONS...: what generate writes for its records, a line each
  "$ISARA" generate --input "$1" "${@:2}" "${quick[@]}" --log-level quiet |
    python3 -c 'import json, sys; [print(" ".join(json.loads(l)["text"].split("\n")).strip()) for l in sys.stdin]'
}

# A plain model: questions and answers, earlier ones as pairs; /reset forgets them; CR LF, blank lines.
printf 'How do I store apples?\r\n\n  And my maps?\n/reset\nHow do I store apples?' | "$ISARA" chat $m "${quick[@]}" >"$tmp/said" 2>"$tmp/err" || no "exit $? of a plain chat"
first=$(sed -n 1p "$tmp/said")
python3 - "$first" >"$tmp/in.jsonl" <<'P'
import json, sys
q = "Question: How do I store apples?\nAnswer:"
for p in (q, q + " " + sys.argv[1] + "\n\nQuestion: And my maps?\nAnswer:", q):
    print(json.dumps({"prompt": p}))
P
answers "$tmp/in.jsonl" --model $m | diff - "$tmp/said" || no "a plain chat does not answer as generate does"
[ "$("$ISARA" chat $m --max-new-tokens 60 --log-level quiet <<<'How do I store apples?' | wc -l)" = 1 ] || no "white space behind an answer is shown"
grep -q "no chat template.*Question: ... Answer:" "$tmp/err" || no "the form of a plain chat is not said"

# A chat template: turns, a system turn set, shown and taken away; // is a /.
mkdir "$tmp/chat"; cp $m/* "$tmp/chat"
python3 - "$tmp/chat/tokenizer_config.json" <<'P'
import json, sys
c = json.load(open(sys.argv[1]))
c["chat_template"] = "{% for m in messages %}{{ m.role ~ ': ' ~ m.content ~ '\n' }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
json.dump(c, open(sys.argv[1], "w"))
P
printf 'How do I store apples?\n/system Be kind.\n/system\nAnd\\\n my maps?\n/system none\n/reset\n//etc\n' | "$ISARA" chat --model "$tmp/chat" "${quick[@]}" >"$tmp/said" 2>"$tmp/err" || no "exit $? of a chat in turns"
python3 - "$(sed -n 1p "$tmp/said")" >"$tmp/in.jsonl" <<'P'
import json, sys
u = lambda x: {"role": "user", "content": x}
a, s = {"role": "assistant", "content": sys.argv[1]}, {"role": "system", "content": "Be kind."}
for m in ([u("How do I store apples?")], [s, u("How do I store apples?"), a, u("And\n my maps?")], [u("/etc")]):
    print(json.dumps({"messages": m}))
P
answers "$tmp/in.jsonl" --model "$tmp/chat" | diff - "$tmp/said" || no "a chat in turns does not answer as generate does"
grep -q "in its chat template" "$tmp/err" && grep -q "(system: Be kind.;" "$tmp/err" || no "what is said of a chat in turns"

# What is no message: said, and in the exit code.
printf '/nosuch\n\xff\xfe\n/help\n/quit\nnever\n' | "$ISARA" chat $m "${quick[@]}" >"$tmp/said" 2>"$tmp/err"; rc=$?
[ $rc = 1 ] && [ ! -s "$tmp/said" ] && grep -q "/nosuch: no such command" "$tmp/err" && grep -q "UTF-8" "$tmp/err" && grep -q "^/compare" "$tmp/err" || no "exit $rc of commands"
"$ISARA" chat >/dev/null 2>"$tmp/err" </dev/null; [ $? = 2 ] || no "exit of a chat without a model"
"$ISARA" chat $m --system X --template chat >/dev/null 2>"$tmp/err" </dev/null && no "a chat template where there is none"

# A run: its last model, its words, and the model before it; a run by its settings.
align() { "$ISARA" align --model "$tmp/chat" --seeds models/seeds.jsonl --log-level quiet "$@" >/dev/null || no "align $*"; }
align --output "$tmp/run" --template chat --system 'Be kind.' --attempts 0 --rounds 1 --train-max-steps 1 --samples 0 --holdout 0
align --output "$tmp/again" --config "$tmp/run/config.resolved.json"
cmp -s "$tmp"/run/config.resolved.json "$tmp/again/config.resolved.json" || no "a run by the settings of another has others"
first=$("$ISARA" chat "$tmp/chat" --system 'Be kind.' "${quick[@]}" <<<'How do I store apples?' 2>/dev/null)
printf '/system\n/compare\nHow do I store apples?\n/compare\nAnd plums?\n' | "$ISARA" chat "$tmp/run" "${quick[@]}" >"$tmp/said" 2>"$tmp/err" || no "exit $? of a run's chat"
[ "$(sed 's/:.*//' "$tmp/said" | head -2 | tr '\n' ' ')" = "pretrained aligned " ] && [ "$(wc -l <"$tmp/said")" = 3 ] || no "what both models say"
[ "pretrained: $first" = "$(head -1 "$tmp/said")" ] && grep -q "(system: Be kind.;" "$tmp/err" || no "the model before the run answers otherwise"

"$ISARA" chat "$tmp/run/round-1/model" "${quick[@]}" <<<'/compare How do I store apples?' 2>/dev/null | diff - <(head -2 "$tmp/said") || no "a round's model is not known as one"

# A terminal: a prompt, two columns, Ctrl-C ends nothing, Ctrl-D does.
cat >"$tmp/terminal.py" <<'P'
import fcntl, os, pty, select, signal, struct, sys, termios, time
signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs tests in the background may have it ignored, and the child inherits that
pid, fd = pty.fork()
if not pid:
    os.execv(sys.argv[1], sys.argv[1:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 90, 0, 0))
seen = b""
def until(mark):
    global seen
    end = time.time() + 60
    while mark not in seen and time.time() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                seen += os.read(fd, 4096)
            except OSError:
                break
    found, _, seen = seen.partition(mark)
    return found
until(b"\n> ")
os.write(fd, b"\x03\x03\x03")
assert b"Ctrl-D ends" in until(b"> "), "Ctrl-C"
os.write(fd, b"/compare How do I store apples?\n")
until(b"apples?\r\n")
lines = until(b"\n> ").decode().split("\r\n")
assert lines[0].split() == ["pretrained", "aligned"], lines
at = lines[0].index("aligned")
assert all(len(l) <= 90 for l in lines) and lines[1][at - 1] == " " and lines[1][at] != " ", lines
os.write(fd, b"\x04")
until(b"never")
assert os.waitpid(pid, 0)[1] == 0
P
TERM=xterm python3 "$tmp/terminal.py" "$ISARA" chat "$tmp/run" "${quick[@]}" || no "in a terminal"
exit $fails
