# SPDX-License-Identifier: Apache-2.0
# For tests over ranks, which read it first: the MPIs that are here, each with its program, how ranks are started by them, a directory and how a fault is told.
: "${BUILD:=build}"
ISARA="${ISARA:-$PWD/$BUILD/isara}"
fails=0
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
say() { echo "$1"; fails=1; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none

# program openmpi|mpich: of the two programs the one of this MPI, where it is built and can be started.
program() {
  local f
  for f in "$PWD/$BUILD/isara-mpi" "$PWD/$BUILD/isara-mpich"; do
    [ -x "$f" ] && command -v "mpirun.$1" >/dev/null || continue
    if ldd "$f" | grep -q libmpich; then [ $1 = mpich ] && echo "$f" && return; else [ $1 = openmpi ] && echo "$f" && return; fi
  done
}
mpis() { local m; for m in openmpi mpich; do [ -z "$(program $m)" ] || echo $m; done; }
launcher() { case $1 in openmpi) echo "mpirun.openmpi --oversubscribe --bind-to none" ;; mpich) echo "mpirun.mpich" ;; esac; }
# start MPI N ARGUMENT...
start() { local mpi=$1 n=$2; shift 2; timeout -k 1 60 $(launcher $mpi) -n "$n" "$(program $mpi)" "$@" --threads 1; }
# mpi_of N: where there are both MPIs, one of them takes jobs of 2 ranks, the other the rest.
mpi_of() { case "$1 $(mpis | tr '\n' ' ')" in "2 openmpi mpich ") echo mpich ;; *) mpis | head -n 1 ;; esac; }
# ranks N ARGUMENT...
ranks() { start "$(mpi_of $1)" "$@"; }
# rank_pid RANK WORDS: the process of this rank among those whose command line has these words.
rank_pid() {
  local p e
  for p in $(pgrep -f -- "isara-mpic*h* .*$2"); do
    { mapfile -d '' -t e <"/proc/$p/environ"; } 2>/dev/null
    [[ " ${e[*]} " =~ " "(OMPI_COMM_WORLD_RANK|PMI_RANK)=$1" " ]] && echo "$p" && return
  done
}
# nap SECONDS: sleep as a process of its own takes longer than what is waited for.
exec {idle}<> <(:)
nap() { read -rt "$1" -u $idle; }
# until_lines N FILE PID: waits until the file has more than N lines; fails where the process has ended before.
until_lines() {
  local l=()
  while kill -0 $3 2>/dev/null; do
    [ ! -s "$2" ] || mapfile -t l <"$2"
    [ ${#l[@]} -le $1 ] || return 0
    nap 0.005
  done
  return 1
}
# lines FILE: how many it has; 0: there is none.
lines() { if [ -s "$1" ]; then wc -l <"$1"; else echo 0; fi; }
# disk SIZE: $tmp/disk is a file system of its own, with so much room from now on; fails where none can be mounted.
disk() {
  mkdir -p "$tmp/disk"
  ! mountpoint -q "$tmp/disk" || { mount -o "remount,size=$1" "$tmp/disk"; return; }
  trap 'umount "$tmp/disk" 2>/dev/null; rm -rf "$tmp"' EXIT
  mount -t tmpfs -o "size=$1" isara "$tmp/disk" 2>/dev/null || { echo "skipped: a full disk: no file system can be mounted here"; return 1; }
}
# one_line WHAT PATTERN: what isara itself says at the end, in $tmp/log, is one line.
one_line() { [ "$(grep -c '^isara' "$tmp/log")" = 1 ] && grep -q "^isara.*$2" "$tmp/log" || say "$1: wanted one line with '$2', found: $(cat "$tmp/log")"; }
[ -n "$(mpis)" ] || { echo "skipped: no MPI is installed (libopenmpi-dev or libmpich-dev)"; exit 77; }
