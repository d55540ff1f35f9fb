# SPDX-License-Identifier: Apache-2.0
# Completes verbs, a verb's options as its --help lists them, and the choices of an option that has some.
_isara() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words name
  [ "$cur" != = ] || cur=
  [ "$prev" != = ] || prev=${COMP_WORDS[COMP_CWORD-2]}
  if [ "$COMP_CWORD" = 1 ]; then words=$(isara --help 2>/dev/null | sed -n 's/^  \([a-z]*\)  .*/\1/p')
  elif [[ $cur == -* ]]; then words=$(isara "${COMP_WORDS[1]}" --help 2>/dev/null | grep -o '^  --[a-z0-9-]*')
  elif [[ $prev == --* ]]; then
    name=${prev#--}; name=${name//_/-}
    words=$(isara "${COMP_WORDS[1]}" --help 2>/dev/null | awk -v name="$name" -v bare="$(sed -E 's/^(ask|answer|train)-//' <<<"$name")" '
      $1 == "--" name || $1 == "--" bare { if ($2 ~ /[|]/) { gsub(/[|]/, " ", $2); found[$1] = $2 } }
      END { print ("--" name in found) ? found["--" name] : found["--" bare] }')
  fi
  [ -n "$words" ] && mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur") || COMPREPLY=()
}
complete -o default -F _isara isara
