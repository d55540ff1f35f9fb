#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Completion in each shell, by the script that isara --completion prints for it: verbs, options, a phase's options, values, files. zsh and fish where they are.
set -u
fails=0
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/bin" "$tmp/here" "$tmp/here/runs" "$tmp/hub" "$tmp/hub/models--some--model" && touch "$tmp/here/rows.jsonl"
ln -s "$ISARA" "$tmp/bin/isara"
export PATH="$tmp/bin:$PATH" HF_HUB_CACHE="$tmp/hub" HOME="$tmp"
for shell in bash zsh fish; do isara --completion $shell >"$tmp/script.$shell" || fails=1; done
isara --completion csh 2>"$tmp/said"; [ $? = 2 ] && grep -q 'wanted bash, zsh or fish' "$tmp/said" || { echo "--completion csh is taken"; fails=1; }

# asked SHELL LINE: what the last word of the line may become, sorted
asked_bash() {
  bash -c '. "$1"; cd "$2"; read -ra COMP_WORDS <<<"$3"; [ "${3: -1}" != " " ] || COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _isara; printf "%s\n" "${COMPREPLY[@]}"' \
    - "$tmp/script.bash" "$tmp/here" "${1//=/ = }"
}
asked_fish() { (cd "$tmp/here" && fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$tmp/script.fish" "$1" | cut -f1); }
# A zsh in a terminal of its own lists what it would offer; the marks are not in what is typed, which it echoes.
cat >"$tmp/ask.zsh" <<'Z'
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "stty -echo cols 400; PROMPT=; fpath=($2 \$fpath); autoload -Uz compinit; compinit -u -d $2/dump; cd $3"
zpty -w z 'zstyle ":completion:*" list-grouped false; zstyle ":completion:*" insert-tab false; zstyle ":completion:*" list-separator ""; LISTMAX=0
compadd() { local -a all; builtin compadd -O all "$@"; [[ ${@[1,(i)-(a|O|D|A)]} == *-[OAD]* ]] || for w in $all; do print -r -- "<$w>"; done; builtin compadd "$@"; }
print REA""DY'
zpty -r z got '*READY*'
zpty -w -n z "$1"$'\t'$'\C-u'$'print DO""NE\n'
zpty -r z got '*DONE*'
print -r -- "$got"
Z
mkdir "$tmp/functions" && cp "$tmp/script.zsh" "$tmp/functions/_isara"
asked_zsh() { timeout 20 zsh -f "$tmp/ask.zsh" "$1" "$tmp/functions" "$tmp/here" | tr -d '\r' | grep -o '<[^<>$]*>' | tr -d '<>'; }

want() { # want LINE WORDS: in each shell that is here
  local shell found wanted; wanted=$(tr ' ' '\n' <<<"$2" | sort)
  for shell in $shells; do
    found=$("asked_$shell" "$1" | sed 's#/$##' | sort -u)
    [ "$found" = "$wanted" ] || { echo "$shell, \"$1\": wanted" $wanted "found" $found; fails=1; }
  done
}
shells=bash
for shell in fish zsh; do
  command -v $shell >/dev/null && shells="$shells $shell" || echo "skipped: completion in $shell, which is not installed"
done
want "isara al" "align"
want "isara t" "tokenize train"
want "isara help conv" "convert"
want "isara train --lora-" "--lora-r --lora-alpha --lora-target-modules"
want "isara train --lr-scheduler-type " "cosine linear constant"
want "isara align --train-lr-scheduler-type l" "linear"
want "isara align --answer-num" "--answer-num-beams --answer-num-return-sequences"
want "isara align --recipe self-i" "self-instruct"
want "isara train --task " "sft classify reward"
want "isara eval --task t" "truthfulqa"
want "isara export runs --format " "messages sharegpt alpaca prompt-completion csv dpo"
want "isara generate --no-p" "--no-prefix-cache"
want "isara align --seeds r" "rows.jsonl runs"
want "isara align --attempts-from r" "runs"
want "isara inspect ro" "rows.jsonl"
want "isara score --model some" "some/model"
want "isara align --template ch" "chat"
want "isara chat r" "rows.jsonl runs"
shells=bash want "isara train --lr_sched" "--lr_scheduler-type"
shells=bash want "isara generate --early-stopping=n" "never"
shells=bash want "isara train --learning-rate " ""
shells=${shells#bash} want "isara generate --early-stopping=n" "--early-stopping=never"
# Every verb's options are offered, as its help lists them.
for verb in $(isara --complete "" | sed 1d | cut -f1); do
  missing=$(comm -23 <(isara "$verb" --help | awk '/^  --/ { print $1 }' | sort) <(isara --complete "$verb" -- | cut -f1 | sort))
  [ -z "$missing" ] || { echo "completion of isara $verb lacks" $missing; fails=1; }
done
[ "$(isara --complete eval --task '' | sed 1d)" = "$(isara eval --task list | sed 's/ \+/\t/' | sed 's/[:;].*//')" ] || { echo "eval's tasks are not those of --task list"; fails=1; }
exit $fails
