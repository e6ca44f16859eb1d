#!/usr/bin/env bash
# conformance-shards.sh DEVICES GRID OUT [PART]: conformance of one or more devices (cpu,cuda:0) in as many processes as there
# are processors. Every case's inputs and expected results are computed once for all devices. PART such as 1/3 runs a third
# of the grid, for several machines or for one in several runs: merge-shards.mjs OUT/all OUT/GRID-*-of-3-*.json joins the parts.
#
# Needs a node (NODE, or that of PATH), a bundle of scripts/bundle.mjs (BUNDLE, or bundle/ of this repository) and the devices'
# drivers. Leaves OUT/GRID-DEVICE.json (OUT/GRID-1-of-3-DEVICE.json) and prints totals; fails when a case failed or did not run.
#
#   PROCESSES             how many, if not nproc
#   SHARDS                into how many shards the part is cut, of which a process runs one after another; default 4 a process
#   LIMIT                 seconds after which no further shard is begun, for a machine that ends what takes too long
#   POLYMLA_CPU_THREADS   threads of the device cpu in each process, default 1
set -uo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,14s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
devices=$1
grid=$2
out=$3
part=${4:-1/1}
here=$(dirname "$0")
processes=${PROCESSES:-$(nproc)}
shards=${SHARDS:-$((4 * processes))}
# A shard without cases is an error, and that grid has few.
[ "$grid" = smoke ] && [ "$shards" -gt 16 ] && shards=16
export POLYMLA_CPU_THREADS=${POLYMLA_CPU_THREADS:-1}

index=${part%/*}
parts=${part#*/}
name=$grid
[ "$parts" = 1 ] || name=$grid-$index-of-$parts
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# process NUMBER: its shards, each every (parts × shards)-th case of the grid, so that all have some of each kind.
process() {
  local shard
  for ((shard = $1; shard < shards; shard += processes)); do
    if ((SECONDS >= ${LIMIT:-100000000})); then
      echo "a shard was not begun after $SECONDS s" >>"$work/$1.err"
      : >"$work/$shard.json"
      continue
    fi
    "${NODE:-node}" "${BUNDLE:-$here/../bundle}" conformance --device "$devices" --grid "$grid" --json \
      --shard "$((index + parts * shard))/$((parts * shards))" >"$work/$shard.json" 2>>"$work/$1.err"
  done
}

SECONDS=0
pids=()
for ((number = 0; number < processes; number++)); do
  process "$number" &
  pids+=($!)
done
wait "${pids[@]}"
"${NODE:-node}" "$here/merge-shards.mjs" "$out/$name" "$work"/*.json
code=$?
cat "$work"/*.err | sort | uniq -c | head -n 10
echo "$SECONDS s in $processes processes"
exit "$code"
