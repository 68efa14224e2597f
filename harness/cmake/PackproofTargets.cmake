# Settings and helpers shared by every folder's CMakeLists.txt.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Everything that runs lands in one folder, so that programs find modules beside themselves.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# A torch translation unit takes 0.5 to 1 GB: never more than two at once.
set_property(GLOBAL PROPERTY JOB_POOLS torch=2)

find_package(Threads REQUIRED)

# Warnings, strict floating point and sanitizers, on every target of ours.
add_library(packproof_settings INTERFACE)
target_compile_options(packproof_settings INTERFACE
  $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra>
  $<$<AND:$<COMPILE_LANGUAGE:C,CXX>,$<BOOL:${PACKPROOF_WARNINGS_AS_ERRORS}>>:-Werror>
  $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>
  # g++ 12 warns of overlapping copies inside std::string that cannot happen (GCC bug 105651).
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>)
target_include_directories(packproof_settings INTERFACE
  "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/kernels/include")
target_link_libraries(packproof_settings INTERFACE Threads::Threads)

add_library(packproof_sanitizers INTERFACE)
if(PACKPROOF_SANITIZE STREQUAL "address")
  target_compile_options(packproof_sanitizers INTERFACE
    $<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer>)
  target_link_options(packproof_sanitizers INTERFACE -fsanitize=address,undefined)
elseif(PACKPROOF_SANITIZE STREQUAL "thread")
  target_compile_options(packproof_sanitizers INTERFACE
    $<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=thread -fno-omit-frame-pointer>)
  target_link_options(packproof_sanitizers INTERFACE -fsanitize=thread)
elseif(PACKPROOF_SANITIZE)
  message(FATAL_ERROR "PACKPROOF_SANITIZE: expected empty, address or thread, found '${PACKPROOF_SANITIZE}'")
endif()

# packproof_add_library(NAME SOURCES a.cpp ... [LIBS ...]): a static library of one folder, with the
# alias packproof::NAME.
function(packproof_add_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_library(packproof_${name} STATIC ${ARG_SOURCES})
  add_library(packproof::${name} ALIAS packproof_${name})
  target_link_libraries(packproof_${name} PUBLIC packproof_settings packproof_sanitizers ${ARG_LIBS})
endfunction()

# packproof_add_tests(NAME SOURCES a_test.cpp ... [LIBS ...] [LABEL unit]): one GoogleTest program of
# a folder, run by ctest under the label (default: unit).
function(packproof_add_tests name)
  if(NOT PACKPROOF_ENABLE_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;LIBS" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  add_executable(packproof_${name}_tests ${ARG_SOURCES})
  target_link_libraries(packproof_${name}_tests PRIVATE packproof_settings packproof_sanitizers
    ${ARG_LIBS} GTest::gtest GTest::gtest_main)
  target_compile_definitions(packproof_${name}_tests PRIVATE
    PACKPROOF_SOURCE_DIR="${PROJECT_SOURCE_DIR}" PACKPROOF_BINARY_DIR="${PROJECT_BINARY_DIR}")
  add_test(NAME ${name} COMMAND packproof_${name}_tests)
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL})
endfunction()
