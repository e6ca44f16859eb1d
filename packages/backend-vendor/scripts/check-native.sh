#!/usr/bin/env bash
# Builds the portable kernels for the emulated devices and runs their tests in C++.
#
#   scripts/check-native.sh             the tests
#   scripts/check-native.sh dialects    compiles the libraries of all dialects whose compilers are here: CUDA for 8.0, 9.0,
#                                       10.0 and 12.0, HIP for gfx906, 908, 90a and 1030; with headers that stand for the
#                                       vendors', MUSA and MACA with nvcc, and CoreX with clang
set -euo pipefail
cd "$(dirname "$0")/.."

generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
case ${1:-tests} in
tests)
  # They take the objects of the package's own build.
  cmake -S . -B build "${generator[@]}" -DPOLYMLA_TESTS=ON >/dev/null
  cmake --build build --parallel "$(nproc)"
  ctest --test-dir build/native --output-on-failure --no-tests=error --timeout 900
  ;;
dialects)
  targets=()
  if command -v nvcc >/dev/null; then targets+=(polymla_cuda polymla_musa_stub polymla_maca_stub); fi
  if command -v hipcc >/dev/null; then targets+=(polymla_hip); fi
  clang=$(command -v clang++-{30..17} clang++ | head -n 1 || true)
  if [ -n "$clang" ]; then
    for source in native/kernels/*.cu native/ops/*.cu; do
      echo "corex: $source"
      "$clang" -x cuda --cuda-device-only --cuda-gpu-arch=sm_80 -nocudainc -nocudalib -Wno-unknown-cuda-version -D__ILUVATAR__ \
        -DPMLA_DIALECT_COREX -std=c++20 -O1 -Inative/test/stubs/corex -I../native -I../native/include -S "$source" -o /dev/null
    done
  fi
  [ ${#targets[@]} -gt 0 ] || exit 0
  # -O1: it is compiled, not run.
  cmake -S . -B build/dialects "${generator[@]}" '-DPOLYMLA_CUDA_ARCHS=80;90;100;120' -DPOLYMLA_CUDA_FLAGS=-Xptxas=-O1 \
    '-DPOLYMLA_HIP_ARCHS=gfx906;gfx908;gfx90a;gfx1030' -DPOLYMLA_STUBS=ON >/dev/null
  cmake --build build/dialects --parallel "$(nproc)" --target "${targets[@]}"
  ;;
*)
  sed -n 's/^# \{0,1\}//; 2,8p' "$0" >&2
  exit 2
  ;;
esac
