#!/usr/bin/env bash
# Builds the C++ tests into build/, those with sanitizers and the like into build/<name>/, and runs them.
#
#   scripts/check-native.sh             as released
#   scripts/check-native.sh asan        with AddressSanitizer, LeakSanitizer and UBSan
#   scripts/check-native.sh tsan        with ThreadSanitizer
#   scripts/check-native.sh neon        cross-compiled for aarch64, run by qemu-aarch64
#   scripts/check-native.sh fuzz [S]    the fuzzer over problems and launches for S seconds (60); needs clang
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:-release}
options=(-DPOLYMLA_TESTS=ON)
case $name in
release) ;;
asan) options+=(-DPOLYMLA_SANITIZE=address,undefined) ;;
tsan) options+=(-DPOLYMLA_SANITIZE=thread) ;;
neon) options+=("-DCMAKE_TOOLCHAIN_FILE=$PWD/cmake/aarch64-linux-gnu.cmake") ;;
fuzz)
  clang=$(command -v clang++-{30..19} clang++ | head -n 1 || true)
  if [ -z "$clang" ]; then
    echo 'the fuzzer needs clang, and there is none: apt-get install clang-19 libclang-rt-19-dev' >&2
    exit 1
  fi
  options=(-DPOLYMLA_FUZZ=ON -DPOLYMLA_SANITIZE=address,undefined "-DCMAKE_CXX_COMPILER=$clang" "-DCMAKE_C_COMPILER=${clang/++/}")
  ;;
*)
  sed -n 's/^# \{0,1\}//; 2,8p' "$0" >&2
  exit 2
  ;;
esac

# The tests as released take the objects of the package's own build.
build=build
[ "$name" = release ] || build=build/$name
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
cmake -S . -B "$build" "${generator[@]}" "${options[@]}" >/dev/null
cmake --build "$build" --parallel "$(nproc)"

export UBSAN_OPTIONS=print_stacktrace=1
if [ "$name" = fuzz ]; then
  mkdir -p "$build/corpus"
  "$build/fuzz-descriptors" -max_total_time="${2:-60}" -print_final_stats=1 -artifact_prefix="$build/" "$build/corpus"
else
  # Threads and memory are the same on every processor, and slow where one is emulated.
  leaveOut=()
  [ "$name" = neon ] && leaveOut=(--exclude-regex '^(allocations|streams|thread-count)$')
  ctest --test-dir "$build" --output-on-failure --parallel "$(nproc)" "${leaveOut[@]}"
fi
