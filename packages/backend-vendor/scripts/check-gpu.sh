#!/usr/bin/env bash
# check-gpu.sh BUNDLE LIBRARY OUT [GRID [PART]]: on a machine with a GPU and nothing but its driver, what the portable kernels
# do there, through the public API: conformance (GRID: smoke, standard or full) and the dense benchmark as a ratio to
# FlashMLA's times on an H200. BUNDLE is made by scripts/bundle.mjs, LIBRARY by
#
#   POLYMLA_CUDA_ARCHS=90 cmake -S . -B build/cuda -G Ninja && ninja -C build/cuda polymla_cuda
#
# Conformance runs in as many processes as there are processors. `full` takes long: PART,
# such as 2/4, is one of so many equal parts of it; bench is the benchmark alone. GRID quick, after a change to a kernel: the
# dense cases of smoke with a few seeds, and eight rows of the benchmark, in some 20 s. BENCH replaces the benchmark's
# options, REPEATS the number of seeds. Uses BUNDLE/node.gz where PATH has no node:
# cp "$(command -v node)" bundle/node && strip bundle/node && gzip bundle/node
#
# Leaves OUT/conformance-*.json, OUT/bench.json and OUT/summary.txt. Exits with the number of failed cases, at most 99, or
# with 1 where the benchmark failed.
set -uo pipefail
bundle=$1
library=$2
out=$3
grid=${4:-standard}
part=${5:-1/1}
anchors=$(dirname "$0")/../../backend-cuda-hopper/bench/anchors-h200.tsv
processes=$(nproc)
bench=(--grid dense-h200)
if [ "$grid" = quick ]; then bench=(--batch 32,128 --len 8192 --heads 16,32,64,128 --runs 5 --warmup 1); fi
if [ -n "${BENCH:-}" ]; then read -ra bench <<<"$BENCH"; fi

mkdir -p "$out"
own=$(mktemp -d)
trap 'rm -rf "$own"' EXIT
node=$(command -v node || true)
if [ -z "$node" ]; then
  node=$own/node
  gunzip -c "$bundle/node.gz" >"$node" && chmod +x "$node"
fi
# A folder that nobody else may write to: libraries in others are refused.
cp "$library" "$own/libpolymla_portable.so"
export POLYMLA_VENDOR_PLUGIN=$own/libpolymla_portable.so
"$node" "$bundle" devices

failed=0
if [ "$part" != bench ]; then
  # conform NAME OPTIONS…: in the background.
  conform() {
    local name=$1
    shift
    "$node" "$bundle" conformance --device portable:0 --json "$@" >"$out/conformance-$name.json" 2>"$out/conformance-$name.log" &
  }
  if [ "$grid" = quick ]; then
    for ((seed = 0; seed < ${REPEATS:-processes}; seed++)); do
      conform "seed-$seed" --grid smoke --filter dense/ --seed "$seed"
    done
  else
    for ((i = 1; i <= processes; i++)); do
      shard=$(((${part%/*} - 1) * processes + i))/$((${part#*/} * processes))
      conform "${shard/\//-of-}" --grid "$grid" --shard "$shard"
    done
  fi
  wait
  "$node" -e '
    const { readFileSync, readdirSync } = require("fs")
    const total = { passed: 0, failed: 0, skipped: 0 }
    for (const name of readdirSync(process.argv[1]).filter((name) => /^conformance-.*json$/.test(name))) {
      let report
      try {
        report = JSON.parse(readFileSync(`${process.argv[1]}/${name}`, "utf8"))
      } catch {
        console.log(`${name}: no report`)
        total.failed++
        continue
      }
      for (const key in total) total[key] += report[key]
      for (const { name, status, message } of report.cases) if (status === "failed") console.log(`${name}: ${message}`)
    }
    console.log(total)
    process.exitCode = Math.min(total.failed, 99)
  ' "$out" | tee "$out/summary.txt"
  failed=${PIPESTATUS[0]}
fi

# FlashMLA's times, as a baseline that bench reads.
"$node" -e '
  const [fields, ...lines] = require("fs").readFileSync(process.argv[1], "utf8").trim().split("\n").filter((line) => /^(# b\t|\d)/.test(line))
  console.log(JSON.stringify(lines.map((line) => {
    const [b, s_q, s_k, h_q, varlen, causal, us] = line.split("\t").map(Number)
    return { kind: "dense.bf16", b, s_q, s_k, h_q, varlen: varlen === 1, causal: causal === 1, us }
  })))
' "$anchors" >"$own/anchors.json"
"$node" "$bundle" bench --device portable:0 "${bench[@]}" --baseline "$own/anchors.json" --json >"$out/bench.json" ||
  exit $((failed > 0 ? failed : 1))
"$node" -e '
  const { rows } = JSON.parse(require("fs").readFileSync(process.argv[1]))
  console.log("b\ts_q\ts_k\th_q\tvarlen\tus\tTFLOP/s\tGB/s\trate of FlashMLA")
  for (const { b, s_q, s_k, h_q, varlen, us, tflops, gbps, speedup } of rows)
    console.log([b, s_q, s_k, h_q, varlen, us, tflops, gbps, speedup].join("\t"))
' "$out/bench.json" | tee -a "$out/summary.txt"
exit "$failed"
