# What the installed shared library consists of is derived from its public header, so that headers, exports
# and documentation cannot drift apart.

# gp_public_headers(<list> <header>): the header and every header of ours that it includes, as paths from the
# top of the tree.
function(gp_public_headers out header)
  set(todo ${header})
  set(found "")
  while(todo)
    list(POP_FRONT todo next)
    if(next IN_LIST found)
      continue()
    endif()
    list(APPEND found ${next})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${next})
    file(STRINGS ${PROJECT_SOURCE_DIR}/${next} includes REGEX "^#include \"[a-z]+/")
    foreach(line ${includes})
      string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" path "${line}")
      list(APPEND todo ${path})
    endforeach()
  endwhile()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

# gp_version_script(<file> <version node> <headers...>): exports the functions that the headers declare and
# nothing else.
function(gp_version_script file node)
  set(symbols "")
  foreach(header ${ARGN})
    file(STRINGS ${PROJECT_SOURCE_DIR}/${header} lines REGEX "^[a-z].*gp_[a-z0-9_]+\\(")
    foreach(line ${lines})
      if(NOT line MATCHES "^(static|typedef)" AND line MATCHES "(gp_[a-z0-9_]+)\\(")
        list(APPEND symbols ${CMAKE_MATCH_1})
      endif()
    endforeach()
  endforeach()
  list(REMOVE_DUPLICATES symbols)
  list(SORT symbols)
  list(JOIN symbols ";\n    " text)
  file(CONFIGURE OUTPUT ${file} CONTENT "${node} {\n  global:\n    ${text};\n  local:\n    *;\n};\n" @ONLY)
endfunction()
