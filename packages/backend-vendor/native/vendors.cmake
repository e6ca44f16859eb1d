# Libraries for devices. Every source is compiled by the vendor's compiler, found where the vendor's own variables say.

set(link_flags -Wl,--version-script=${here}/exports.map -Wl,--exclude-libs,ALL -static-libstdc++ -static-libgcc
  -Wl,-z,relro,-z,now -s)

# polymla_library(NAME COMPILER … DIALECT … FLAGS … DEVICE_FLAGS … [HOST_PREFIX …] [LINK …]): libpolymla_NAME.so.
# DEVICE_FLAGS are for sources with kernels; HOST_PREFIX is what a compiler wants before a flag for the host's.
function(polymla_library name)
  cmake_parse_arguments(it "" "COMPILER;DIALECT;HOST_PREFIX" "FLAGS;DEVICE_FLAGS;HOST_FLAGS;LINK" ${ARGN})
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
  set(library ${dist}/libpolymla_${name}.so)
  set(link)
  foreach(flag IN LISTS link_flags)
    list(APPEND link ${it_HOST_PREFIX} ${flag})
  endforeach()
  add_custom_command(OUTPUT ${library}
    COMMAND ${it_COMPILER} -shared -o ${library} ${objects} ${it_LINK} ${link}
    DEPENDS ${objects} ${here}/exports.map COMMENT "${name}: library" VERBATIM)
  add_custom_target(polymla_${name} ALL DEPENDS ${library})
endfunction()

# NVIDIA, compute capability 8.0 and newer. cuda:0 is the Hopper backend's where the GPU is one.
# Minutes per architecture: only where it is asked for, by cache or environment, such as 80;90;100;120.
set(POLYMLA_CUDA_ARCHS "$ENV{POLYMLA_CUDA_ARCHS}" CACHE STRING "Compute capabilities to compile for, without their dot; empty: no library")
find_program(POLYMLA_NVCC nvcc HINTS ENV CUDACXX ENV CUDA_HOME ENV CUDA_PATH PATH_SUFFIXES bin)
if(POLYMLA_NVCC AND POLYMLA_CUDA_ARCHS)
  set(codes)
  foreach(code IN LISTS POLYMLA_CUDA_ARCHS)
    list(APPEND codes -gencode=arch=compute_${code},code=sm_${code})
  endforeach()
  string(REPLACE ";" "," listed "${POLYMLA_CUDA_ARCHS}")
  polymla_library(cuda COMPILER ${POLYMLA_NVCC} DIALECT CUDA FLAGS -DPMLA_ARCHS="${listed}" HOST_PREFIX -Xcompiler
    DEVICE_FLAGS ${codes} -Xptxas=-v --expt-relaxed-constexpr HOST_FLAGS -x c++ LINK -cudart static)
endif()
