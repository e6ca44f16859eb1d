#!/usr/bin/env bash
# Checks and times the backend on a machine with a Hopper GPU and nothing but a driver, from a bundle of scripts/bundle.mjs:
#
#   check-gpu.sh BUNDLE OUT smoke               devices, the smoke grid, some times: under a minute
#   check-gpu.sh BUNDLE OUT bench               the grid dense-h200 in bf16, some of it in fp16, calls and steps
#   check-gpu.sh BUNDLE OUT tests               the GPU tests that scripts/bundle-gpu-tests.mjs put into the bundle
#   check-gpu.sh BUNDLE OUT conformance GRID    smoke, standard or full, a process per processor
#   check-gpu.sh BUNDLE OUT sanitize            compute-sanitizer's memcheck, racecheck and synccheck over a covering subset
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
  NODE=$node BUNDLE=$bundle "$(dirname "$0")/../../../scripts/conformance-shards.sh" "$device" "$1" "$out/conformance" || failed=1
}

# bench NAME OPTION…: a report in OUT/NAME.json, its rows on stdout
bench() {
  local name=$1 against=()
  shift
  [ -f "$bundle/anchors/h200.json" ] && against=(--baseline "$bundle/anchors/h200.json" --baseline-kind dense.bf16,dense.fa3.bf16)
  polymla bench --device "$device" "${against[@]}" --commit "$(cat "$bundle/commit" 2>/dev/null || echo unknown)" "$@" --json >"$out/$name.json" || failed=1
  "$node" "$(dirname "$0")/show-bench.mjs" "$out/$name.json"
}

tests() {
  # One after the other, since they watch the memory of the device; but the grids, which take longest, side by side.
  local all=("$bundle"/dist/gpu-*.js) grids=("$bundle"/dist/gpu-dense-grid-*.js) file
  : >"$out/tests.txt"
  for file in "${all[@]}"; do
    [[ $file = */gpu-dense-grid-* ]] || "$node" --test --test-reporter=spec "$file" >>"$out/tests.txt" 2>&1 || failed=1
  done
  "$node" --test --test-reporter=spec "${grids[@]}" >>"$out/tests.txt" 2>&1 || failed=1
  grep -E '^ *(✔|✖) ' "$out/tests.txt" | cut -c 1-150 | head -n 90
  grep -A 14 'failing tests' "$out/tests.txt" | cut -c 1-300
}

# sanitize TOOL FILTER: one tool over the cases of the smoke grid whose names have FILTER
sanitize() {
  local log="$out/$1.txt" start=$SECONDS
  compute-sanitizer --tool "$1" --error-exitcode 99 --launch-timeout 300 "$node" "$bundle" conformance --device "$device" --grid smoke \
    --filter "$2" --timeout 600 >>"$log" 2>&1
  local code=$?
  echo "$1 $2: exit $code after $((SECONDS - start)) s; $(grep -E 'ERROR SUMMARY|passed' "$log" | tail -n 2 | tr '\n' ' ')"
  [ $code = 0 ] || { failed=1; grep -E '=========' "$log" | head -n 12; }
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
  bench h200-ops --grid ops
  ;;
conformance) conformance "$grid" ;;
tests) tests ;;
sanitize)
  for cases in dense/bf16 append merge copy invariant; do sanitize memcheck "$cases"; done
  for cases in dense/bf16/b2 merge append; do sanitize racecheck "$cases"; done
  for cases in dense/bf16/b2 merge append; do sanitize synccheck "$cases"; done
  ;;
*)
  sed -n 's/^# \{0,1\}//; 2,11p' "$0" >&2
  exit 2
  ;;
esac
exit "$failed"
