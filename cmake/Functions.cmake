# Seconds after which a test has hung: many times what the slowest takes on a busy machine.
set(GP_TEST_HANGS 600)

# gp_library(name SOURCES ... [LIBS ...]): a static library whose headers are included by their path
# from the top of the tree ("proto/base/error.h").
function(gp_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_LIBS})
endfunction()

# gp_program(name COMPONENT package SOURCES ... [LIBS ...]): an installed program.
function(gp_program name)
  cmake_parse_arguments(ARG "" "COMPONENT" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS})
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT ${ARG_COMPONENT})
endfunction()

# gp_alias(name alias component): another name for an installed program.
function(gp_alias name alias component)
  file(CREATE_LINK ${name} ${CMAKE_CURRENT_BINARY_DIR}/${alias} SYMBOLIC)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${alias} DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT ${component})
endfunction()

# gp_unit_test(name SOURCES ... [LIBS ...]): a cmocka program run by ctest under label "unit".
function(gp_unit_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} gp::cmocka)
  target_compile_definitions(${name} PRIVATE GP_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT ${GP_TEST_HANGS})
endfunction()

# gp_fuzz_target(name SOURCES ... [LIBS ...] [CORPUS dir]): a libFuzzer target. With GP_FUZZ it fuzzes;
# in every other build the same file becomes a test that replays the corpus (tests/fuzz/replay.c), so a
# finding that was added to the corpus stays fixed under every compiler and sanitizer.
function(gp_fuzz_target name)
  cmake_parse_arguments(ARG "" "CORPUS" "SOURCES;LIBS" ${ARGN})
  if(NOT ARG_CORPUS)
    set(ARG_CORPUS ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
  endif()
  if(GP_FUZZ)
    add_executable(${name} ${ARG_SOURCES})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set(scratch ${CMAKE_CURRENT_BINARY_DIR}/${name}.found)
    file(MAKE_DIRECTORY ${scratch})
    add_test(NAME ${name} COMMAND ${name} -max_total_time=10 -timeout=5 -rss_limit_mb=2048 -verbosity=0
             -artifact_prefix=${scratch}/ ${scratch} ${ARG_CORPUS})
  else()
    add_executable(${name} ${ARG_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c)
    add_test(NAME ${name} COMMAND ${name} ${ARG_CORPUS})
  endif()
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS})
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT ${GP_TEST_HANGS})
endfunction()

# gp_embed_files(target folder symbol): compiles all files of a folder, but sums and README.md, into a target. The target
# includes "<symbol>.h": static const struct { const char *name; const unsigned char *data; size_t len;
# const char *sha256; } <symbol>[].
function(gp_embed_files target folder symbol)
  file(GLOB files CONFIGURE_DEPENDS ${folder}/*)
  list(FILTER files EXCLUDE REGEX "/(sums|README\\.md)$")
  set(arrays "")
  set(table "")
  set(n 0)
  foreach(file IN LISTS files)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} hex HEX)
    file(SHA256 ${file} sum)
    file(SIZE ${file} size)
    cmake_path(GET file FILENAME name)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(APPEND arrays "static const unsigned char ${symbol}_${n}[] = {${bytes}0x00};\n")
    string(APPEND table "    {\"${name}\", ${symbol}_${n}, ${size}, \"${sum}\"},\n")
    math(EXPR n "${n} + 1")
  endforeach()
  file(CONFIGURE OUTPUT generated/${symbol}.h
       CONTENT "${arrays}static const struct {\n    const char *name;\n    const unsigned char *data;\n    size_t len;\n    const char *sha256;\n} ${symbol}[] = {\n${table}};\n" @ONLY)
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/generated)
endfunction()

# gp_openapi_document(target file.yaml symbol): compiles an OpenAPI document into a target, so that the program
# can serve it wherever it is installed. The target includes "<symbol>.h": static const unsigned char <symbol>[].
function(gp_openapi_document target file symbol)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  file(CONFIGURE OUTPUT generated/${symbol}.h
       CONTENT "static const unsigned char ${symbol}[] = {${bytes}0x00};\n" @ONLY)
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/generated)
endfunction()
