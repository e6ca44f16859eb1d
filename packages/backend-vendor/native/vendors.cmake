# Libraries for devices. Every source is compiled by the vendor's compiler, found where the vendor's own variables say.

set(linker_flags --version-script=${here}/exports.map --exclude-libs=ALL --no-undefined -zrelro -znow -s)

# polymla_library(NAME COMPILER … DIALECT … [FLAGS …] [DEVICE_FLAGS …] [HOST_FLAGS …] [HOST_PREFIX …] [LINK …]):
# libpolymla_NAME.so, in dist, and its objects as a target of their own. DEVICE_FLAGS are for sources with kernels, HOST_FLAGS for the
# others; HOST_PREFIX is what a compiler wants before a flag for the host's.
function(polymla_library name)
  cmake_parse_arguments(it "" "DIALECT;HOST_PREFIX" "COMPILER;FLAGS;DEVICE_FLAGS;HOST_FLAGS;LINK" ${ARGN})
  set(flags -std=c++20 -O3 ${it_FLAGS} -DPMLA_DIALECT_${it_DIALECT} -DPOLYMLA_VERSION="${PROJECT_VERSION}")
  foreach(folder IN LISTS includes)
    list(APPEND flags -I${folder})
  endforeach()
  foreach(flag IN ITEMS -fPIC -fvisibility=hidden)
    list(APPEND flags ${it_HOST_PREFIX} ${flag})
  endforeach()
  set(objects)
  foreach(source IN LISTS kit host kernels)
    get_filename_component(base ${source} NAME)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}/${base}.o)
    set(kind ${it_HOST_FLAGS})
    if(source MATCHES "\\.cu$")
      set(kind ${it_DEVICE_FLAGS})
    endif()
    add_custom_command(OUTPUT ${object}
      COMMAND ${it_COMPILER} ${flags} ${kind} -MD -MF ${object}.d -c ${source} -o ${object}
      DEPENDS ${source} DEPFILE ${object}.d COMMENT "${name}: ${base}" VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/${name} ${dist})
  add_custom_target(polymla_${name}_objects DEPENDS ${objects})
  set(library ${dist}/libpolymla_${name}.so)
  set(link ${it_HOST_PREFIX} -static-libstdc++ ${it_HOST_PREFIX} -static-libgcc)
  foreach(flag IN LISTS linker_flags)
    list(APPEND link -Xlinker ${flag})
  endforeach()
  add_custom_command(OUTPUT ${library}
    COMMAND ${it_COMPILER} -shared -o ${library} ${objects} ${it_LINK} ${link}
    DEPENDS ${objects} ${here}/exports.map COMMENT "${name}: library" VERBATIM)
  add_custom_target(polymla_${name} ALL DEPENDS ${library})
endfunction()

# polymla_require(COMPILER ARCHS NAME WHERE): an error where code is asked for that no compiler here makes.
function(polymla_require compiler archs name where)
  if(${archs} AND NOT ${compiler})
    message(FATAL_ERROR "${archs} is \"${${archs}}\", and there is no ${name}. It is looked for in ${where}.")
  endif()
endfunction()

# NVIDIA, compute capability 8.0 and newer. cuda:0 is the Hopper backend's where the GPU is one.
# Minutes per architecture: only where it is asked for, by cache or environment, such as 80;90;100;120.
set(POLYMLA_CUDA_ARCHS "$ENV{POLYMLA_CUDA_ARCHS}" CACHE STRING "Compute capabilities to compile for, without their dot; empty: no library")
set(POLYMLA_CUDA_FLAGS "" CACHE STRING "More flags for nvcc, such as -Xptxas=-v")
find_program(POLYMLA_NVCC nvcc HINTS ENV CUDACXX ENV CUDA_HOME ENV CUDA_PATH PATH_SUFFIXES bin)
polymla_require(POLYMLA_NVCC POLYMLA_CUDA_ARCHS "nvcc" "CUDACXX, CUDA_HOME, CUDA_PATH and PATH")
if(POLYMLA_NVCC AND POLYMLA_CUDA_ARCHS)
  set(codes)
  foreach(code IN LISTS POLYMLA_CUDA_ARCHS)
    list(APPEND codes -gencode=arch=compute_${code},code=sm_${code})
  endforeach()
  string(REPLACE ";" "," listed "${POLYMLA_CUDA_ARCHS}")
  polymla_library(cuda COMPILER ${POLYMLA_NVCC} DIALECT CUDA FLAGS -DPMLA_ARCHS="${listed}" HOST_PREFIX -Xcompiler
    DEVICE_FLAGS ${codes} --expt-relaxed-constexpr ${POLYMLA_CUDA_FLAGS} HOST_FLAGS -x cu ${codes} LINK -cudart static)
endif()

# AMD: HIP_PATH or ROCM_PATH, else hipcc in PATH. HIP_PLATFORM: where nvcc is there, too, hipcc would take that.
set(POLYMLA_HIP_ARCHS "$ENV{POLYMLA_HIP_ARCHS}" CACHE STRING "AMD architectures, such as gfx90a;gfx942; empty: no library")
find_program(POLYMLA_HIPCC hipcc HINTS ENV HIP_PATH ENV ROCM_PATH /opt/rocm PATH_SUFFIXES bin)
polymla_require(POLYMLA_HIPCC POLYMLA_HIP_ARCHS "hipcc" "HIP_PATH, ROCM_PATH, /opt/rocm and PATH")
if(POLYMLA_HIPCC AND POLYMLA_HIP_ARCHS)
  set(codes)
  foreach(code IN LISTS POLYMLA_HIP_ARCHS)
    list(APPEND codes --offload-arch=${code})
  endforeach()
  string(REPLACE ";" "," listed "${POLYMLA_HIP_ARCHS}")
  polymla_library(hip COMPILER ${CMAKE_COMMAND} -E env HIP_PLATFORM=amd ${POLYMLA_HIPCC} DIALECT HIP
    FLAGS -DPMLA_ARCHS="${listed}" -x hip ${codes} -ffp-contract=off LINK ${codes})
endif()

# Hygon: DTK is ROCm with another compiler behind hipcc; ROCM_PATH, else /opt/dtk. Never compiled by us.
set(POLYMLA_DCU_ARCHS "$ENV{POLYMLA_DCU_ARCHS}" CACHE STRING "Hygon architectures, such as gfx928;gfx936; empty: no library")
find_program(POLYMLA_DTK_HIPCC hipcc HINTS ENV ROCM_PATH /opt/dtk PATH_SUFFIXES bin NO_DEFAULT_PATH)
polymla_require(POLYMLA_DTK_HIPCC POLYMLA_DCU_ARCHS "hipcc of DTK" "ROCM_PATH and /opt/dtk")
if(POLYMLA_DTK_HIPCC AND POLYMLA_DCU_ARCHS)
  set(codes)
  foreach(code IN LISTS POLYMLA_DCU_ARCHS)
    list(APPEND codes --offload-arch=${code})
  endforeach()
  string(REPLACE ";" "," listed "${POLYMLA_DCU_ARCHS}")
  polymla_library(dcu COMPILER ${POLYMLA_DTK_HIPCC} DIALECT HIP
    FLAGS -DPMLA_ARCHS="${listed}" -DPMLA_VENDOR_DCU -x hip ${codes} -ffp-contract=off LINK ${codes})
endif()

# Moore Threads: MUSA_HOME or MUSA_PATH, else /usr/local/musa. Never compiled by their compiler.
find_program(POLYMLA_MCC mcc HINTS ENV MUSA_HOME ENV MUSA_PATH /usr/local/musa PATH_SUFFIXES bin)
option(POLYMLA_MUSA_SQMMA "Multiply large tiles by SQMMA on MP 3.1" ON)
set(POLYMLA_MUSA_ARCHS "$ENV{POLYMLA_MUSA_ARCHS}" CACHE STRING "Moore Threads architectures, such as mp_31; empty: no library")
polymla_require(POLYMLA_MCC POLYMLA_MUSA_ARCHS "mcc" "MUSA_HOME, MUSA_PATH, /usr/local/musa and PATH")
if(POLYMLA_MCC AND POLYMLA_MUSA_ARCHS)
  set(codes)
  foreach(code IN LISTS POLYMLA_MUSA_ARCHS)
    list(APPEND codes --offload-arch=${code})
  endforeach()
  set(sqmma)
  if(NOT POLYMLA_MUSA_SQMMA)
    set(sqmma -DPMLA_WITHOUT_SQMMA)
  endif()
  polymla_library(musa COMPILER ${POLYMLA_MCC} DIALECT MUSA FLAGS -x musa ${codes} ${sqmma} LINK -lmusart)
endif()

# MetaX: MACA_PATH, else /opt/maca. Never compiled by their compiler.
find_program(POLYMLA_MXCC mxcc HINTS ENV MACA_PATH /opt/maca PATH_SUFFIXES mxgpu_llvm/bin bin)
set(POLYMLA_MACA_ARCHS "$ENV{POLYMLA_MACA_ARCHS}" CACHE STRING "MetaX architectures, such as xcore1000; empty: no library")
polymla_require(POLYMLA_MXCC POLYMLA_MACA_ARCHS "mxcc" "MACA_PATH, /opt/maca and PATH")
if(POLYMLA_MXCC AND POLYMLA_MACA_ARCHS)
  set(codes)
  foreach(code IN LISTS POLYMLA_MACA_ARCHS)
    list(APPEND codes --offload-arch=${code})
  endforeach()
  set(maca /opt/maca)
  if(DEFINED ENV{MACA_PATH})
    set(maca $ENV{MACA_PATH})
  endif()
  polymla_library(metax COMPILER ${POLYMLA_MXCC} DIALECT MACA FLAGS -x maca --maca-path=${maca} ${codes} LINK -lmcruntime)
endif()

# Iluvatar: COREX_HOME or COREX_PATH, else /usr/local/corex. Never compiled by their compiler.
set(POLYMLA_COREX_ARCHS "$ENV{POLYMLA_COREX_ARCHS}" CACHE STRING "Iluvatar architectures, such as ivcore11; empty: no library")
find_program(POLYMLA_COREX_CLANG clang++ HINTS ENV COREX_HOME ENV COREX_PATH /usr/local/corex PATH_SUFFIXES bin NO_DEFAULT_PATH)
polymla_require(POLYMLA_COREX_CLANG POLYMLA_COREX_ARCHS "clang++ of CoreX" "COREX_HOME, COREX_PATH and /usr/local/corex")
if(POLYMLA_COREX_CLANG AND POLYMLA_COREX_ARCHS)
  set(codes)
  foreach(code IN LISTS POLYMLA_COREX_ARCHS)
    list(APPEND codes --cuda-gpu-arch=${code})
  endforeach()
  get_filename_component(corex ${POLYMLA_COREX_CLANG}/../.. ABSOLUTE)
  polymla_library(corex COMPILER ${POLYMLA_COREX_CLANG} DIALECT COREX FLAGS --cuda-path=${corex} ${codes} DEVICE_FLAGS -x ivcore
    HOST_FLAGS -x c++ LINK -lcudart)
endif()
