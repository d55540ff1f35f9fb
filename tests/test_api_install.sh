#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The installed library: the example of include/isara.h compiled by gcc, clang and g++ against what make install puts there, shared and static, says what isara generate says;
# nothing but isara_* is exported.
set -u
cd "$(dirname "$0")/.."
build=${BUILD:-build} m=models/miniature
[ -f $m/model.safetensors ] || { echo "no $m"; exit 77; }
command -v make >/dev/null && command -v pkg-config >/dev/null && command -v nm >/dev/null || { echo "no make, pkg-config or nm"; exit 77; }
nm "$ISARA" 2>/dev/null | grep -q '__[at]san_init' && { echo "a sanitizer's build is not installed"; exit 77; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
fails=0 compilers=0
bad() { echo "$*"; fails=1; }

env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s install BUILD="$build" PREFIX="$tmp/usr" >"$tmp/log" 2>&1 || { tail -n 20 "$tmp/log"; echo "make install failed"; exit 1; }
export PKG_CONFIG_PATH="$tmp/usr/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}" LD_LIBRARY_PATH="$tmp/usr/lib"
[ "$(ls "$tmp/usr/include")" = isara.h ] || bad "include/ holds more than isara.h"
[ "$(wc -l <include/isara.h)" -lt 300 ] || bad "isara.h has 300 lines or more"

sed -n '/^ \*     #include <isara.h>/,/^ \*     cc example/p' include/isara.h | grep -v 'cc example' | sed 's/^ \* \{0,5\}//' >"$tmp/example.c"
[ "$(grep -c . "$tmp/example.c")" -gt 20 ] || bad "no example in the header"

# With what names are exported, in both forms, and that each is declared.
sed -n 's/^ISARA_API.*[ *]\(isara_[a-z_]*\)(.*/\1/p' include/isara.h | LC_ALL=C sort >"$tmp/declared"
nm -D --defined-only "$tmp/usr/lib/libisara.so" | awk '{print $3}' | LC_ALL=C sort >"$tmp/shared"
nm -g --defined-only "$tmp/usr/lib/libisara.a" | awk 'NF == 3 {print $3}' | LC_ALL=C sort >"$tmp/static"
[ -s "$tmp/declared" ] || bad "the header declares nothing"
cmp "$tmp/declared" "$tmp/shared" || { diff "$tmp/declared" "$tmp/shared" | head; bad "libisara.so exports other names than the header declares"; }
cmp "$tmp/declared" "$tmp/static" || { diff "$tmp/declared" "$tmp/static" | head; bad "libisara.a exports other names than the header declares"; }

question='Question: How do I store apples?\nAnswer:'
echo "{\"id\": 0, \"prompt\": \"$question\", \"max_new_tokens\": 24}" | "$ISARA" generate --model $m --log-level quiet | sed 's/.*"text": *"//; s/", *"token_ids.*//' >"$tmp/line"
printf '%b' "$(sed 's/\\"/"/g' "$tmp/line")" >"$tmp/want"
[ -s "$tmp/want" ] || bad "isara generate says nothing"

try() { # try NAME COMPILER... : shared and static
  local name=$1; shift
  command -v "$1" >/dev/null || { echo "skipped: no $1"; return; }
  compilers=$((compilers + 1))
  "$@" -Wall -Wextra -Werror -pedantic -o "$tmp/$name" "$tmp/$source" $(pkg-config --cflags --libs isara) || { bad "$name does not compile"; return; }
  "$@" -o "$tmp/$name-static" "$tmp/$source" $(pkg-config --cflags isara) -L"$tmp/usr/lib" -Wl,-Bstatic -lisara -Wl,-Bdynamic $(pkg-config --static --libs isara | sed 's/-lisara//') || { bad "$name static does not compile"; return; }
  for program in "$tmp/$name" "$tmp/$name-static"; do
    "$program" $m "$(printf '%b' "$question")" >"$tmp/got" 2>"$tmp/said" || { cat "$tmp/said"; bad "$program failed"; }
    cmp -s "$tmp/got" "$tmp/want" || { bad "$program says otherwise than isara generate"; head -c 400 "$tmp/got"; echo; }
  done
  "$tmp/$name" "$tmp/nowhere" >/dev/null 2>"$tmp/said"
  [ $? = 1 ] && [ "$(wc -l <"$tmp/said")" = 1 ] && grep -q nowhere "$tmp/said" || bad "$name: a model that is not there is not named"
}
source=example.c
try gcc gcc -std=c99
try clang clang -std=c11
cp "$tmp/example.c" "$tmp/example.cc"
source=example.cc
try g++ g++ -std=c++11
[ $compilers -gt 0 ] || { echo "no compiler"; exit 77; }
exit $fails
