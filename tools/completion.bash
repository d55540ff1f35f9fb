# SPDX-License-Identifier: Apache-2.0
# Completes verbs, and a verb's options as its --help lists them.
_isara() {
  local cur=${COMP_WORDS[COMP_CWORD]} words
  if [ "$COMP_CWORD" = 1 ]; then words=$(isara --help 2>/dev/null | sed -n 's/^  \([a-z]*\)  .*/\1/p')
  elif [[ $cur == -* ]]; then words=$(isara "${COMP_WORDS[1]}" --help 2>/dev/null | grep -o '^  --[a-z0-9-]*')
  fi
  [ -n "$words" ] && mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur") || COMPREPLY=()
}
complete -o default -F _isara isara
