#!/usr/bin/env bash
# check-gpu.sh BUNDLE OUT [GRID]: on a machine with a Hopper GPU and nothing but a driver, conformance (GRID: smoke, standard
# or full) and the dense benchmark, through a bundle of scripts/bundle.mjs. Uses BUNDLE/node.gz where PATH has no node:
#   cp "$(command -v node)" bundle/node && strip bundle/node && gzip bundle/node
# Leaves OUT/conformance.json and OUT/bench.json, compared with bench/anchors/h200.json where that is.
set -uo pipefail
bundle=$1
out=$2
grid=${3:-smoke}
anchors=$(dirname "$0")/../../../bench/anchors/h200.json

node=$(command -v node || true)
if [ -z "$node" ]; then
  node=$(mktemp)
  gunzip -c "$bundle/node.gz" >"$node" && chmod +x "$node"
fi
mkdir -p "$out"
"$node" "$bundle" devices
"$node" "$bundle" conformance --device cuda:0 --grid "$grid" --json >"$out/conformance.json"
conformance=$?
"$node" -e '
  const { passed, failed, skipped, cases = [] } = JSON.parse(require("fs").readFileSync(process.argv[1]))
  console.log({ passed, failed, skipped })
  for (const { name, status, message } of cases) if (status === "failed") console.log(`${name}: ${message}`)
' "$out/conformance.json"

against=()
[ -f "$anchors" ] && against=(--baseline "$anchors" --baseline-kind dense.bf16)
"$node" "$bundle" bench --device cuda:0 --grid dense-h200 "${against[@]}" --json >"$out/bench.json"
bench=$?
"$node" -e '
  const { rows } = JSON.parse(require("fs").readFileSync(process.argv[1]))
  for (const { b, s_q, s_k, h_q, varlen, us, tflops, gbps, speedup } of rows)
    console.log([b, s_q, s_k, h_q, varlen, us, tflops, gbps, speedup].join("\t"))
' "$out/bench.json"
exit $((conformance + bench))
