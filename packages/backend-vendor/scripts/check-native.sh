#!/usr/bin/env bash
# Builds the portable kernels for the emulated devices and runs their tests in C++, then conformance on those devices that no
# package has: of Moore Threads' matrix unit, and of NVIDIA's GPUs.
#
#   scripts/check-native.sh             the tests
#   scripts/check-native.sh dialects    compiles every dialect whose compiler is here: see check-dialects.sh
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
  # What takes more than this package, where it is built: the suite, the Hopper library's tests, the bundle.
  if [ -d ../conformance/dist ]; then node scripts/check-emulated-sqmma.mjs; fi
  hopper=../backend-cuda-hopper/build/libpolymla_cuda_emulated.so
  if [ -f "$hopper" ] && [ -f build/native/libpolymla_emu_cuda.so ] && [ -d ../../bundle ]; then node scripts/check-emulated-cuda.mjs; fi
  ;;
dialects) exec scripts/check-dialects.sh ;;
*)
  sed -n 's/^# \{0,1\}//; 2,6p' "$0" >&2
  exit 2
  ;;
esac
