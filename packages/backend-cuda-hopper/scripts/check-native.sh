#!/usr/bin/env bash
# Builds the library and its C++ tests into build/, runs those that need no GPU, checks what ptxas said of the kernels, and
# runs conformance on an emulated device when the packages are built.
set -euo pipefail
cd "$(dirname "$0")/.."

generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
cmake -S . -B build "${generator[@]}" -DPOLYMLA_TESTS=ON >/dev/null
cmake --build build --parallel "$(nproc)"
ctest --test-dir build --output-on-failure
node scripts/check-kernels.mjs
if [ -d ../conformance/dist ]; then node scripts/check-emulated.mjs; fi
