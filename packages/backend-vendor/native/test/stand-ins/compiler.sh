#!/usr/bin/env bash
# A compiler in place of a vendor's that is not here, under the vendor's name and with its options: what a build asks of it is
# compiled as far as compilers go that are here.
#
#   mcc, mxcc, clang++ of CoreX   kernels by clang with headers that stand for the vendor's (../stubs), into PTX; the rest by c++,
#                                 with CUDA's headers behind them
#   hipcc of DTK                  kernels by hipcc for gfx906, with what Hygon's compiler defines, into assembler; the rest likewise
#
# What it makes of kernels is text that shows that there is code for all of it, and is for no device of the vendor: nothing can be
# linked of it.
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vendor=$(basename "$(dirname "$folder")")
stubs=$folder/../../../stubs
clang=$(command -v clang++-{30..17} clang++ 2>/dev/null | grep -v stand-ins | head -n 1 || true)
hipcc=$(command -v hipcc || ls "${HIP_PATH:-/opt/rocm}/bin/hipcc" 2>/dev/null || true)
[ "$vendor" = dtk ] && compiler=$hipcc || compiler=$clang
unset ROCM_PATH # which told where this stand-in is
export HIP_PLATFORM=amd
if [ -z "$compiler" ]; then
  echo "there is no compiler in place of $(basename "$0")" >&2
  exit 1
fi

flags=()
archs=()
source=
object=
while [ $# -gt 0 ]; do
  case $1 in
  --version)
    case $vendor in dtk) name="DTK's hipcc" ;; corex) name="CoreX's clang++" ;; *) name=$(basename "$0") ;; esac
    printf '%s, in place of %s\n' "$("$compiler" --version | grep -m 1 -i version)" "$name"
    exit
    ;;
  -shared)
    echo "$(basename "$0"): this stands for a compiler that is not here, and links nothing: build the target of objects" >&2
    exit 1
    ;;
  -x) shift ;;
  --maca-path=* | --cuda-path=*) ;;
  --offload-arch=* | --cuda-gpu-arch=*) archs+=("${1#*=}") ;;
  -c) shift && source=$1 ;;
  -o) shift && object=$1 ;;
  *) flags+=("$1") ;;
  esac
  shift
done

# The text of one architecture after the other.
kernels() {
  local arch defines
  : >"$object"
  for arch in "${archs[@]}"; do
    case $vendor in
    musa) defines=(-D__MUSA_ARCH__="${arch#mp_}0") ;;
    maca) defines=(-D__MACACC__) ;;
    corex) defines=(-D__ILUVATAR__) ;;
    dtk) defines=(-D"__${arch}__") ;;
    esac
    if [ "$vendor" = dtk ]; then
      "$hipcc" -x hip --offload-arch=gfx906 --cuda-device-only "${defines[@]}" "${flags[@]}" -MT "$object" -S "$source" -o "$object.$arch"
    else
      "$clang" -x cuda --cuda-device-only --cuda-gpu-arch=sm_80 -nocudainc -nocudalib -Wno-unknown-cuda-version "${defines[@]}" "-I$stubs/$vendor" \
        "-I$stubs/corex" -include cuda_runtime.h "${flags[@]}" -MT "$object" -S "$source" -o "$object.$arch"
    fi
    cat "$object.$arch" >>"$object"
    rm "$object.$arch"
  done
}

if [[ $source == *.cu ]]; then
  kernels
elif [ "$vendor" = dtk ]; then
  "$hipcc" -x hip --offload-arch=gfx906 --cuda-host-only "${flags[@]}" -c "$source" -o "$object"
else
  nvcc=$(command -v nvcc || ls "${CUDA_HOME:-${CUDA_PATH:-/usr/local/cuda}}/bin/nvcc" 2>/dev/null)
  toolkit=$("$nvcc" --dryrun -x cu -c /dev/null -o /dev/null 2>&1 | sed -n 's/^#\$ TOP=//p')
  own=()
  [ "$vendor" = corex ] && own=(-D__ILUVATAR__) || own=("-I$stubs/$vendor")
  c++ "${own[@]}" -isystem "$toolkit/include" "${flags[@]}" -c "$source" -o "$object"
fi
