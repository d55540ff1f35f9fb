# SPDX-License-Identifier: Apache-2.0
# For tests that read it: the MPIs that are here, each with its program, and how ranks are started by them.
: "${BUILD:=build}"
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
# rank_pid RANK WORDS: the process of this rank among those whose command line has these words.
rank_pid() {
  local p
  for p in $(pgrep -f -- "isara-mpic*h* .*$2"); do
    tr '\0' '\n' <"/proc/$p/environ" 2>/dev/null | grep -qxE "(OMPI_COMM_WORLD_RANK|PMI_RANK)=$1" && echo "$p" && return
  done
}
