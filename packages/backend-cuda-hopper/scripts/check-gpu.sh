#!/usr/bin/env bash
# Checks and times the backend on a machine with a Hopper GPU and nothing but a driver, from a bundle of scripts/bundle.mjs:
#
#   check-gpu.sh BUNDLE OUT smoke               devices, the smoke grid, some times: under a minute
#   check-gpu.sh BUNDLE OUT bench               the grid dense-h200 in bf16, some of it in fp16, calls and steps
#   check-gpu.sh BUNDLE OUT conformance GRID    smoke, standard or full, a process per processor
#
# Uses NODE, or the node of PATH. Leaves JSON reports in OUT; compares with BUNDLE/anchors/h200.json where that is.
set -uo pipefail
bundle=$1
out=$2
mode=${3:-smoke}
grid=${4:-full}
node=${NODE:-node}
device=${DEVICE:-cuda:0}
mkdir -p "$out"
failed=0

polymla() { "$node" "$bundle" "$@"; }

conformance() {
  local shards pids=() shard work
  shards=$(nproc)
  work=$(mktemp -d)
  for shard in $(seq "$shards"); do
    polymla conformance --device "$device" --grid "$1" --shard "$shard/$shards" --json >"$work/$shard.json" 2>"$work/$shard.err" &
    pids+=($!)
  done
  wait "${pids[@]}"
  "$node" "$(dirname "$0")/merge-shards.mjs" "$out/conformance-$1.json" "$work"/*.json || failed=1
  cat "$work"/*.err | sort | uniq -c | head -n 10
  rm -rf "$work"
}

# bench NAME OPTION…: a report in OUT/NAME.json, its rows on stdout
bench() {
  local name=$1 against=()
  shift
  [ -f "$bundle/anchors/h200.json" ] && against=(--baseline "$bundle/anchors/h200.json" --baseline-kind dense.bf16,dense.fa3.bf16)
  polymla bench --device "$device" "${against[@]}" --commit "$(cat "$bundle/commit" 2>/dev/null || echo unknown)" "$@" --json >"$out/$name.json" || failed=1
  "$node" "$(dirname "$0")/show-bench.mjs" "$out/$name.json"
}

case $mode in
smoke)
  polymla devices || failed=1
  conformance smoke
  bench smoke --grid dense-h200 --filter 's_k4096 h_q' --runs 5 --calls
  ;;
bench)
  bench h200-dense-bf16 --grid dense-h200 --calls
  bench h200-dense-fp16 --grid dense-h200 --format fp16 --filter 's_k8192 h_q'
  ;;
conformance) conformance "$grid" ;;
*)
  sed -n 's/^# \{0,1\}//; 2,9p' "$0" >&2
  exit 2
  ;;
esac
exit "$failed"
