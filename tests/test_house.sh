#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The house keeps its walls: no file includes or calls a higher floor, none what is inside of another room, no two files need each other, no function has more than
# 60 lines or six parameters and no file more than 600 lines, no conditional expression stands inside another and no statement is a chain of commas.
# First each check is shown a small tree with that fault and has to find it; then they look at this tree.
set -u
FLOORS="base dist io jinja text tensor cpu remote model generate train crew run retrieve stats measure report judge answer eval method api experiment serve talk cli"
fails=0
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
say() { echo "$1"; fails=1; }

# Calls that may go up or close a circle: FROM TO REASON, with * for any letters.
cat >"$tmp/allowed" <<'A'
jinja/* jinja/* a template is evaluated by recursion through statements, expressions, filters and tests
tensor/device cpu/device opens the kind of device that is asked for
tensor/device remote/remote opens the kind of device that is asked for
A

# Functions that may have more than six parameters: callbacks of libraries keep theirs, the others are from before the rule; take a name out when its parameters become a struct.
tr ' ' '\n' >"$tmp/wide" <<'A'
handle http_handle
A

# includes ROOT: "FILE INCLUDED" for each include of a file of the house.
includes() { (cd "$1" && grep -rE --include='*.[ch]' '^ *# *include *"' src | sed -E 's/^([^:]*): *# *include *"([^"]*)".*/\1 \2/'); }

# floors ROOT: includes of a higher floor, and files or includes on no floor.
floors() {
  includes "$1" | awk -v floors="$FLOORS" '
    BEGIN { n = split(floors, f, " "); for (i = 1; i <= n; i++) rank[f[i]] = i }
    { split($1, a, "/"); split($2, b, "/")
      if (!(a[2] in rank)) print $1 ": src/" a[2] " is no floor of the house"
      else if (!(b[1] in rank) || $2 !~ "/") { if ($2 != "isara.h") print $1 " includes \"" $2 "\", which is on no floor" }
      else if (rank[b[1]] > rank[a[2]]) print $1 " includes \"" $2 "\" of a higher floor" }'
}

# parts ROOT: includes of what another room's files share among themselves.
parts() {
  includes "$1" | awk '{ split($1, a, "/"); split($2, b, "/")
    if ($2 ~ /[\/_]parts\.h$/ && a[2] != b[1]) print $1 " includes \"" $2 "\", which only files of " b[1] " may" }'
}

# calls ROOT BUILD: "FROM TO SYMBOL" for each function or table of another file that an object needs.
calls() {
  local f
  for f in $(cd "$1" && ls src/*/*.c); do
    [ ! -f "$2/${f%.c}.o" ] || echo "$2/${f%.c}.o"
  done | xargs nm -A -P | awk -v cut="$2/src/" '
    { sub(/\.o:$/, "", $1); from = substr($1, length(cut) + 1) }
    $3 == "U" { need[from " " $2] = 1 }
    $3 ~ /^[TDBRVWC]$/ { home[$2] = from }
    END { for (k in need) { split(k, a, " "); if (a[2] in home && home[a[2]] != a[1]) print a[1], home[a[2]], a[2] } }' | LC_ALL=C sort
}

# higher <CALLS: calls of a higher floor, which need no include.
higher() {
  allowed | awk -v floors="$FLOORS" '
    BEGIN { n = split(floors, f, " "); for (i = 1; i <= n; i++) rank[f[i]] = i }
    { split($1, a, "/"); split($2, b, "/"); if (rank[b[1]] > rank[a[1]]) print "src/" $1 ".c calls " $3 " of the higher floor " b[1] }'
}

# allowed <CALLS: those that no line of the list excepts; in $tmp/used which lines did.
allowed() {
  awk -v used="$tmp/used" '
    function like(s, pattern) { gsub(/\*/, ".*", pattern); return s ~ "^" pattern "$" }
    BEGIN { printf "" >used }
    NR == FNR { from[NR] = $1; to[NR] = $2; n = NR; next }
    { for (i = 1; i <= n; i++) if (like($1, from[i]) && like($2, to[i])) { if (!(i in seen)) print from[i], to[i] >used; seen[i] = 1; next }
      print }' "$tmp/allowed" -
}

# circles <CALLS: files that need each other.
circles() {
  allowed >"$tmp/edges"
  cut -d' ' -f1,2 "$tmp/edges" | tsort 2>&1 >/dev/null | awk '/loop/ { n++; next } { files[n] = files[n] " " $2 } END { for (i = 1; i <= n; i++) print "need each other:" files[i] }'
}

# unused: lines of the list that except nothing. After circles.
unused() { cut -d' ' -f1,2 "$tmp/allowed" | while read -r line; do grep -qxF "$line" "$tmp/used" || echo "test_house.sh excepts \"$line\", which no file does any more: take that line out"; done; }

# sizes ROOT DIRECTORY...: functions over 60 lines and files over 600.
sizes() {
  local root=$1; shift
  (cd "$root" && find "$@" -name '*.[ch]' | LC_ALL=C sort | while read -r f; do
    awk -v f="$f" '/^{$/ { begin = NR } /^}/ { if (begin && NR - begin - 1 > 60) print f ":" begin ": a function of " NR - begin - 1 " lines, wanted at most 60"; begin = 0 }
      END { if (NR > 600) print f ": " NR " lines, wanted at most 600" }' "$f"
  done)
}

# scanned ROOT DIRECTORY...: conditional expressions inside others, statements chained by commas, functions of more than six parameters.
scanned() { local root=$1; shift; (cd "$root" && find "$@" -name '*.[ch]' | LC_ALL=C sort | xargs "$tmp/scan"); }

# narrow <FAULTS: without the functions that may have more than six parameters; in $tmp/narrow_used which those were.
narrow() {
  awk -v used="$tmp/narrow_used" 'BEGIN { printf "" >used } NR == FNR { may[$1]; next }
    /more than six parameters/ && $NF in may { print $NF >used; next } { print }' "$tmp/wide" -
}

# finds WANTED FOUND
finds() { [[ $2 == *"$1"* ]] || say "the check itself: wanted '$1', found '$2'"; }

tree=$tmp/tree; mkdir -p "$tree/src/base" "$tree/src/text" "$tree/src/attic"
printf '#include "text/up.h"\n#include "base/fine.h"\n# include  "nowhere.h"\n' >"$tree/src/base/up.c"
printf '#include "base/fine.h"\n#include "base/parts.h"\n#include "base/up_parts.h"\n#include "text/parts.h"\n#include "base/counterparts.h"\n' >"$tree/src/text/fine.c"
printf '#include "base/fine.h"\n' >"$tree/src/attic/lost.c"
found=$(floors "$tree")
finds 'src/base/up.c includes "text/up.h" of a higher floor' "$found"
finds 'src/base/up.c includes "nowhere.h", which is on no floor' "$found"
finds 'src/attic is no floor' "$found"
[ "$(echo "$found" | wc -l)" = 3 ] || say "the check itself: wanted three faults, found '$found'"
found=$(parts "$tree")
finds 'src/text/fine.c includes "base/parts.h"' "$found"
finds 'src/text/fine.c includes "base/up_parts.h"' "$found"
[ "$(echo "$found" | wc -l)" = 2 ] || say "the check itself: wanted two faults, found '$found'"
finds 'src/base/up.c calls text_up of the higher floor text' "$(echo base/up text/fine text_up | higher)"
finds 'need each other: run/one run/three run/two' "$(printf '%s\n' 'run/one run/two f' 'run/two run/three g' 'run/three run/one h' 'run/one io/file i' | circles | sed 's/\(each other:\) .*/\1 run\/one run\/three run\/two/')"
[ -z "$(printf '%s\n' 'run/one run/two f' 'run/two io/file g' 'jinja/eval jinja/test h' 'jinja/test jinja/eval h' | circles)" ] || say "the check itself: finds a circle where none is"
finds 'excepts "tensor/device cpu/device"' "$(unused)"
{ echo "int f(void)"; echo "{"; yes "    ;" | head -61; echo "}"; } >"$tree/src/base/long.c"
yes "int x;" | head -601 >"$tree/src/base/large.c"
found=$(sizes "$tree" src)
finds 'src/base/long.c:2: a function of 61 lines' "$found"
finds 'src/base/large.c: 601 lines' "$found"

compiler=${CC:-$(command -v cc gcc clang | head -1)}
$compiler -O1 -o "$tmp/scan" tools/house_scan.c || say "tools/house_scan.c: wanted a compiler that makes it, found '$compiler'"
cat >"$tree/src/base/bad.c" <<'C'
static int f(int a, int b) { return a ? b ? 1 : 2 : 3; }
static int g(int a, int b) { return a ? f(b, b ? 1 : 2) : 3; }
#define H(a, b) ((a) ? 1 : (b) ? 2 : 3)
static void chained(int a, int *b)
{
    a = 1, *b = 2;
    if (a)
        f(a, 1), g(a, 2);
}
int wide(int a, int b, int c, int d, int e, int f, int (*g)(int, int));
C
cat >"$tree/src/base/good.c" <<'C'
/* a ? b ? 1 : 2 : 3, "x */
int six(int a, int b, int c, int d, int e, int (*f)(int, int));
static int f(int a, int b)
{
    const char *s = "a ? b ? 1 : 2 : 3", t = '?', u = '"';
    int x[2] = {a ? 1 : 2, b ? 3 : 4}, y = (a ? 1 : 2) + (b ? 1 : 2);
    struct { int i; } *p, *q;
    for (a = 0, b = 1; a < 2; a++, b++)
        six(a ? 1 : 2, b ? 1 : 2, 3, 4, 5, NULL);
    switch (a ? 1 : 0) {
    case 1: return b ? 1 : 2;
    default: return (a ? b : a) ? 1 : 2;
    }
}
C
found=$(scanned "$tree" src)
for line in 1 2 3; do finds "src/base/bad.c:$line: a conditional expression inside another" "$found"; done
for line in 6 8; do finds "src/base/bad.c:$line: a statement chained by commas" "$found"; done
finds 'src/base/bad.c:10: more than six parameters: wide' "$found"
[[ $found != *good.c* ]] || say "the check itself: finds faults where none are: $found"
cp "$tmp/wide" "$tmp/kept"; echo wide >"$tmp/wide"
[[ $(echo "$found" | narrow) != *six\ parameters* && $(cat "$tmp/narrow_used") = wide ]] || say "the check itself: does not except what is listed"
mv "$tmp/kept" "$tmp/wide"

check() { local line; while read -r line; do [ -z "$line" ] || say "$line"; done; }
check <<<"$(floors .)"
check <<<"$(parts .)"
check <<<"$(sizes . src include tests tools bench fuzz)"
scanned . src include tests tools bench fuzz | narrow >"$tmp/scanned"
check <"$tmp/scanned"
while read -r name; do grep -qx "$name" "$tmp/narrow_used" || say "test_house.sh lists $name among functions with more than six parameters, which it has no more: take it out"; done <"$tmp/wide"
calls . "${BUILD:-build}" >"$tmp/calls"
[ "$(wc -l <"$tmp/calls")" -gt 500 ] || say "found $(wc -l <"$tmp/calls") calls between files; wanted the objects of a build in ${BUILD:-build}"
check <<<"$(higher <"$tmp/calls")"
check <<<"$(circles <"$tmp/calls")"
check <<<"$(unused)"
exit $fails
