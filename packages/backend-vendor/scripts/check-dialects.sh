#!/usr/bin/env bash
# Compiles the portable kernels for every dialect whose compiler is here, says which are not, and goes on:
#
#   CUDA    nvcc, code for 8.0, 9.0a, 10.0a and 12.0
#   HIP     hipcc, code for gfx906, gfx908, gfx90a and gfx1030
#   MUSA    clang and g++ with headers that stand for the vendor's (test/stubs), with the matrix unit and without
#   MACA    likewise
#   CoreX   likewise
#
# Kernels of bf16 stand for those of fp16, which differ in nothing but their type, where code is made: minutes each.
# check-dialects.sh DIALECT… checks these alone. Exits with the number of compilations that failed.
set -uo pipefail
cd "$(dirname "$0")/../native"

gpu=../../native/gpu
includes=(-I../../native -I../../native/include)
common=(-std=c++20 "${includes[@]}" -DPOLYMLA_VERSION='"0"')
kernels=(kernels/*.cu "$gpu"/ops/*.cu)
host=(library/*.cpp plans/*.cpp "$gpu"/library/*.cpp)
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
wanted=${*:-cuda hip musa maca corex}
jobs_at_once=$(nproc)

# compile NAME COMMAND…: in the background, as many at once as there are processors; says nothing unless it fails.
compile() {
  local name=$1
  shift
  while [ "$(jobs -rp | wc -l)" -ge "$jobs_at_once" ]; do wait -n; done
  {
    local start=$SECONDS
    if "$@" >"$logs/${name//[ \/]/_}" 2>&1; then
      printf 'ok      %4d s  %s\n' $((SECONDS - start)) "$name"
    else
      printf 'FAILED  %4d s  %s\n' $((SECONDS - start)) "$name"
      head -n 30 "$logs/${name//[ \/]/_}"
      : >"$logs/${name//[ \/]/_}.failed"
    fi
  } &
}
missing() { printf 'skip            %s\n' "$1"; }

clang=$(command -v clang++-{30..17} clang++ 2>/dev/null | head -n 1)
nvcc=$(command -v nvcc || ls "${CUDA_HOME:-${CUDA_PATH:-/usr/local/cuda}}/bin/nvcc" 2>/dev/null)
hipcc=$(command -v hipcc || ls "${ROCM_PATH:-${HIP_PATH:-/opt/rocm}}/bin/hipcc" 2>/dev/null)

cuda() {
  if [ -z "$nvcc" ]; then missing 'cuda: there is no nvcc'; return; fi
  local arch
  for arch in 80 90a 100a 120; do
    compile "cuda $arch: attend-bf16.cu" "$nvcc" "${common[@]}" -O3 -DPMLA_DIALECT_CUDA --expt-relaxed-constexpr \
      "-gencode=arch=compute_$arch,code=sm_$arch" -Xptxas=-O1 -Xcompiler -Wall -cubin -o /dev/null kernels/attend-bf16.cu
  done
}

hip() {
  if [ -z "$hipcc" ]; then missing 'hip: there is no hipcc'; return; fi
  local arch
  for arch in gfx906 gfx908 gfx90a gfx1030; do
    compile "hip $arch: attend-bf16.cu" env HIP_PLATFORM=amd "$hipcc" -x hip "${common[@]}" -O1 -DPMLA_DIALECT_HIP \
      "--offload-arch=$arch" --cuda-device-only -ffp-contract=off -S -o /dev/null kernels/attend-bf16.cu
  done
}

# stubbed VENDOR DIALECT [FLAG…]: kernels by clang, the library by g++ where CUDA's headers are, which the stubs build on.
stubbed() {
  local vendor=$1 dialect=$2 source name
  shift 2
  name=$(echo "$vendor $*" | sed 's/ *$//')
  if [ -z "$clang" ]; then missing "$name: there is no clang"; return; fi
  for source in "${kernels[@]}"; do
    compile "$name: $(basename "$source")" "$clang" -x cuda --cuda-device-only --cuda-gpu-arch=sm_80 -nocudainc -nocudalib \
      -Wno-unknown-cuda-version "-DPMLA_DIALECT_$dialect" "$@" "-Itest/stubs/$vendor" -Itest/stubs/corex \
      -include cuda_runtime.h "${common[@]}" \
      -fsyntax-only "$source"
  done
}
hosted() {
  local vendor=$1 dialect=$2 toolkit source
  if [ -z "$nvcc" ]; then missing "$vendor: the library needs headers of CUDA behind the stubs"; return; fi
  toolkit=$("$nvcc" --dryrun -x cu -c /dev/null -o /dev/null 2>&1 | sed -n 's/^#\$ TOP=//p')
  for source in "${host[@]}"; do
    compile "$vendor: $(basename "$source")" c++ "${common[@]}" -fsyntax-only "-DPMLA_DIALECT_$dialect" "-Itest/stubs/$vendor" \
      -isystem "$toolkit/include" "$source"
  done
}
musa() {
  stubbed musa MUSA -D__MUSA_ARCH__=310
  stubbed musa MUSA -D__MUSA_ARCH__=220
  hosted musa MUSA
}
maca() {
  stubbed maca MACA -D__MACACC__
  hosted maca MACA
}
corex() { stubbed corex COREX -D__ILUVATAR__; }

for dialect in $wanted; do "$dialect"; done
wait
failed=$(find "$logs" -name '*.failed' | wc -l)
[ "$failed" -eq 0 ] || echo "$failed compilations failed"
exit "$failed"
