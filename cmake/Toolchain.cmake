# Language level, warnings and sanitizers for every target of the project.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release or RelWithDebInfo" FORCE)
endif()

option(GP_WERROR "Treat warnings as errors" OFF)
option(GP_FUZZ "Build the fuzz targets with libFuzzer (needs clang)" OFF)
set(GP_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize=, for example address,undefined or thread")

# Linux interfaces (packet sockets, openat2, accept4, ...) need the GNU feature set.
add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes
                    -Wmissing-prototypes -Wvla -fno-strict-aliasing -fno-common)
if(GP_WERROR)
  add_compile_options(-Werror)
endif()
if(GP_SANITIZE)
  add_compile_options(-fsanitize=${GP_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${GP_SANITIZE})
endif()
if(GP_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "GP_FUZZ needs clang: configure with -DCMAKE_C_COMPILER=clang")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
