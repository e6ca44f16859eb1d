#!/usr/bin/env bash
# Builds the addon and the test plugins with sanitizers and runs scripts/stress.mjs under them, after `pnpm build`:
#
#   packages/native/scripts/sanitize.sh [address|thread] [rounds]
#
# address (default) is AddressSanitizer with UndefinedBehaviorSanitizer, thread is ThreadSanitizer. Exits with 0 when
# nothing was found, 1 when something was, and 0 with the reason where the compiler has no such sanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-address}
rounds=${2:-3}

runtime() { "${CXX:-c++}" -print-file-name="$1"; }
case $kind in
  address)
    flags=address,undefined
    preload=("$(runtime libasan.so)" "$(runtime libubsan.so)")
    # Node leaks on purpose when it exits; what we leave behind is counted by the plugins.
    export ASAN_OPTIONS=detect_leaks=0:abort_on_error=0:exitcode=66
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:exitcode=66
    ;;
  thread)
    flags=thread
    preload=("$(runtime libtsan.so)")
    # Node is built without ThreadSanitizer, which therefore sees only half of how its own threads agree: what Node's code
    # does to memory is passed over, its locks count.
    export TSAN_OPTIONS=exitcode=66:halt_on_error=0:ignore_noninstrumented_modules=1
    ;;
  *)
    echo "expected address or thread, found $kind" >&2
    exit 2
    ;;
esac
for library in "${preload[@]}"; do
  if [ ! -e "$library" ]; then
    echo "sanitize: not run, the compiler has no $library"
    exit 0
  fi
done

stage=build/sanitize-$kind
mkdir -p "$stage/dist"
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
jobs=$(nproc)
include() { node -p "require('$1').$2"; }
cmake -S . -B "$stage/addon" "${generator[@]}" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPOLYMLA_SANITIZE="$flags" \
  -DCMAKE_JS_INC="$(include node-api-headers include_dir);$(include node-addon-api include_dir)" > "$stage/log"
cmake --build "$stage/addon" --parallel "$jobs" >> "$stage/log" || { cat "$stage/log"; exit 1; }
plugins="$stage/plugins"
CFLAGS="-fsanitize=$flags -g" CXXFLAGS="-fsanitize=$flags -g" \
  cmake -S test-plugins -B "$plugins" "${generator[@]}" -DCMAKE_SHARED_LINKER_FLAGS= >> "$stage/log"
cmake --build "$plugins" --parallel "$jobs" --target memory memory-polled faulty >> "$stage/log" || { cat "$stage/log"; exit 1; }

platform=$(node -p 'process.platform + "-" + process.arch')
mkdir -p "$stage/dist/native/$platform"
cp dist/*.js "$stage/dist/"
cp "$stage/addon/polymla.node" "$stage/dist/native/$platform/"
for seed in $(seq "$rounds"); do
  echo "sanitize: $kind, seed $seed"
  # Without address space randomisation, which ThreadSanitizer does not get along with everywhere.
  LD_PRELOAD=$(IFS=:; echo "${preload[*]}") setarch -R \
    node --expose-gc scripts/stress.mjs "$stage/dist/index.js" "$plugins" "$seed"
done
echo "sanitize: $kind found nothing"
