# The commit goes into --version and /-/info; a source tarball without git says "unknown".
find_package(Git QUIET)
set(GP_COMMIT unknown)
if(GIT_FOUND AND EXISTS ${PROJECT_SOURCE_DIR}/.git)
  execute_process(COMMAND ${GIT_EXECUTABLE} rev-parse --short=8 HEAD WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
                  OUTPUT_VARIABLE GP_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
configure_file(${PROJECT_SOURCE_DIR}/proto/base/version.h.in ${PROJECT_BINARY_DIR}/generated/gp_version.h @ONLY)
