# The emulated devices: the same kernels as C++.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  return()
endif()
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3")
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

file(GLOB emulator CONFIGURE_DEPENDS emulator/*.cpp)
add_library(emulated_objects OBJECT ${kit} ${host} ${kernels} ${emulator})
set_source_files_properties(${kernels} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++")
target_include_directories(emulated_objects PUBLIC ${includes})
target_compile_definitions(emulated_objects PUBLIC PMLA_DIALECT_EMULATED PRIVATE POLYMLA_VERSION="${PROJECT_VERSION}")
target_compile_features(emulated_objects PUBLIC cxx_std_20)
# Contraction would make results depend on what a compiler can fuse.
target_compile_options(emulated_objects PUBLIC -Wall -Wextra -ffp-contract=off -fno-strict-aliasing -fno-semantic-interposition
  -Wno-unknown-pragmas)
if(arch STREQUAL "x64")
  target_compile_options(emulated_objects PUBLIC -march=x86-64-v3)
endif()
target_link_libraries(emulated_objects PUBLIC Threads::Threads)

add_library(polymla_emu SHARED)
target_link_libraries(polymla_emu PRIVATE emulated_objects)
target_link_options(polymla_emu PRIVATE -Wl,--version-script=${here}/exports.map -static-libstdc++ -static-libgcc
  -Wl,--no-undefined -Wl,-z,relro,-z,now -s)
set_target_properties(polymla_emu PROPERTIES LINK_DEPENDS ${here}/exports.map LIBRARY_OUTPUT_DIRECTORY ${dist})
