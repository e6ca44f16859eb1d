#!/usr/bin/env bash
# Compiles the portable kernels and the library around them by the presets of every toolchain, and goes on where one fails:
#
#   hip          hipcc: gfx906, gfx908, gfx90a, gfx1030
#   dcu          DTK's hipcc, musa: mcc, maca: mxcc, corex: clang++ of CoreX; where they are not, which is everywhere so far,
#                what stands for them: native/test/stand-ins
#   cuda         nvcc: 8.0, 9.0a, 10.0a, 12.0; last, as it takes longest
#
# Objects alone, for each toolkit's own libraries would be linked against; AMD's are in Debian, so that library is linked, loaded
# through the slot, and says that there is no device. What there is no compiler for is skipped by name.
#
#   check-dialects.sh PRESET…   builds these alone
#   WITHOUT=attend-f16          leaves kernels out of the others: CI does, since those of fp16 differ from those of bf16 in nothing
#                               but their type
#   LIMIT=600                   seconds after which no further preset is begun
#   JOBS=1                      compilations at a time; one per processor
#
# Builds lie in build/dialects, for scripts/record-builds.mjs. Exits with the number of presets that failed.
set -uo pipefail
cd "$(dirname "$0")/.."
stand_ins=$PWD/native/test/stand-ins
jobs=${JOBS:-$(nproc)}
failed=0

# preset NAME 'TOOL …' [CMAKE OPTION…]: skipped where there is not every tool; true where all has been built.
preset() {
  local name=$1 tools="$2 ninja" folder=build/dialects/$1 start=$SECONDS tool objects
  shift 2
  for tool in $tools; do
    command -v "$tool" >/dev/null && continue
    printf 'skip            %s: there is no %s\n' "$name" "$tool"
    return 1
  done
  if [ "$SECONDS" -gt "${LIMIT:-$SECONDS}" ]; then
    printf 'skip            %s: %d s have passed\n' "$name" "$SECONDS"
    return 1
  fi
  mkdir -p "$folder"
  if cmake --preset "$name" -G Ninja -B "$folder" "$@" >"$folder/log" 2>&1 &&
    objects=$(ninja -C "$folder" -t targets rule CUSTOM_COMMAND | grep '^native/.*\.o$' | grep -v "/${WITHOUT:-none}\.cu\.o$") &&
    xargs ninja -C "$folder" -k 0 -j "$jobs" <<<"$objects" >>"$folder/log" 2>&1; then
    printf 'ok      %4d s  %s: %d objects\n' $((SECONDS - start)) "$name" "$(wc -l <<<"$objects")"
  else
    printf 'FAILED  %4d s  %s\n' $((SECONDS - start)) "$name"
    grep -v '^\[\|^--\|^cd ' "$folder/log" | head -n 40
    failed=$((failed + 1))
    return 1
  fi
}

clang=$(command -v clang++-{30..17} clang++ 2>/dev/null | head -n 1)
stand_in_tools="${clang:-clang++} nvcc" # CUDA's headers lie behind those that stand for a vendor's
cuda() { preset cuda nvcc '-DPOLYMLA_CUDA_ARCHS=80;90a;100a;120'; }
hip() {
  WITHOUT='' preset hip hipcc '-DPOLYMLA_HIP_ARCHS=gfx906;gfx908;gfx90a;gfx1030' || return
  local log=build/dialects/hip/log
  if ninja -C build/dialects/hip polymla_hip >>"$log" 2>&1 && loads portable.test.ts >>"$log" 2>&1; then
    printf 'ok              hip: linked, and loaded through the slot\n'
  else
    printf 'FAILED          hip: linking, or loading through the slot\n'
    tail -n 40 "$log"
    failed=$((failed + 1))
  fi
}
# A test of src that is skipped where there is no library: true where it has run and passed, or there is nothing to run it with.
loads() {
  [ -d ../../node_modules/vitest ] || return 0
  # Not through a pipe: grep would close it while vitest still writes.
  local said
  said=$(cd ../.. && NO_COLOR=1 npx vitest run "packages/backend-vendor/src/$1" 2>&1) && grep -q 'Tests  1 passed (1)' <<<"$said" && return
  printf '%s\n' "$said"
  return 1
}
dcu() { ROCM_PATH=${ROCM_PATH:-$stand_ins/dtk} preset dcu hipcc; }
musa() { MUSA_HOME=${MUSA_HOME:-$stand_ins/musa} preset musa "$stand_in_tools" '-DPOLYMLA_MUSA_ARCHS=mp_22;mp_31'; }
maca() { MACA_PATH=${MACA_PATH:-$stand_ins/maca} preset maca "$stand_in_tools"; }
corex() { COREX_HOME=${COREX_HOME:-$stand_ins/corex} preset corex "$stand_in_tools"; }

for name in ${*:-hip dcu musa maca corex cuda}; do "$name"; done
exit "$failed"
