# Debian packages by CPack: `cmake --preset package && cmake --build --preset package && cpack --preset package`.
# Each component is a package. Programs and manuals are installed by the folders that make them; here is what only
# packages have: settings in /etc, users, folders, log rotation, maintainer scripts.
set(GP_PACKAGE_VERSION ${PROJECT_VERSION} CACHE STRING "Version of the Debian packages")
set(GP_PACKAGE_MAINTAINER "goprobe maintainers <goprobe@packages.debian.org>" CACHE STRING "Name and address")
set(generated ${CMAKE_CURRENT_BINARY_DIR}/debian)

# Reproducible: the date is that of the commit.
execute_process(COMMAND git log -1 --format=%cD WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
                OUTPUT_VARIABLE GP_PACKAGE_DATE OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT GP_PACKAGE_DATE)
  set(GP_PACKAGE_DATE "Thu, 01 Jan 2026 00:00:00 +0000")
endif()
configure_file(debian/changelog.in ${generated}/changelog @ONLY)
execute_process(COMMAND gzip -9nf ${generated}/changelog)

# gp_package(component name): what every package must have.
function(gp_package component name)
  install(FILES ${generated}/changelog.gz DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name} COMPONENT ${component})
  install(FILES debian/copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name} COMPONENT ${component})
endfunction()

# gp_service(component NAME settings...): user, folders, log rotation, maintainer scripts and settings of a service.
function(gp_service component NAME)
  set(scripts "")
  foreach(script postinst prerm postrm)
    configure_file(debian/${script}.in ${generated}/${NAME}/${script} @ONLY FILE_PERMISSIONS
                   OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
    list(APPEND scripts ${generated}/${NAME}/${script})
  endforeach()
  configure_file(debian/logrotate.in ${generated}/${NAME}/${NAME} @ONLY)
  install(FILES ${generated}/${NAME}/${NAME} DESTINATION /etc/logrotate.d COMPONENT ${component})
  install(FILES sysusers.d/${NAME}.conf DESTINATION lib/sysusers.d COMPONENT ${component})
  install(FILES tmpfiles.d/${NAME}.conf DESTINATION lib/tmpfiles.d COMPONENT ${component})
  set(conffiles "/etc/logrotate.d/${NAME}\n")
  foreach(file ${ARGN})
    install(FILES etc/${file} DESTINATION /etc/goprobe COMPONENT ${component})
    string(APPEND conffiles "/etc/goprobe/${file}\n")
  endforeach()
  file(WRITE ${generated}/${NAME}/conffiles ${conffiles})
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA "${scripts};${generated}/${NAME}/conffiles" PARENT_SCOPE)
endfunction()

gp_package(sensor goprobe)
gp_package(global-query global-query)
gp_package(tools goprobe-tools)
gp_package(gpclient libgpclient5)
gp_package(gpclient-dev libgpclient-dev)
gp_service(sensor goprobe goprobe.yaml)
gp_service(global-query global-query global-query.yaml endpoints.yaml)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME goprobe)
set(CPACK_PACKAGE_VERSION ${GP_PACKAGE_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL sensor global-query tools gpclient gpclient-dev)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER ${GP_PACKAGE_MAINTAINER})
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)

set(CPACK_DEBIAN_SENSOR_PACKAGE_NAME goprobe)
set(CPACK_DEBIAN_SENSOR_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers, init-system-helpers (>= 1.52)")
set(CPACK_DEBIAN_SENSOR_PACKAGE_RECOMMENDS "goprobe-tools, logrotate")
set(CPACK_DEBIAN_SENSOR_DESCRIPTION "sensor that keeps network flows in a local database
 goprobe captures packet metadata on a host and keeps it as flows (addresses,
 port, protocol, bytes and packets each way) in a small columnar database.
 It answers queries through an HTTP API.")
set(CPACK_DEBIAN_GLOBAL-QUERY_PACKAGE_NAME global-query)
set(CPACK_DEBIAN_GLOBAL-QUERY_PACKAGE_DEPENDS ${CPACK_DEBIAN_SENSOR_PACKAGE_DEPENDS})
set(CPACK_DEBIAN_GLOBAL-QUERY_PACKAGE_RECOMMENDS "goprobe-tools, logrotate")
set(CPACK_DEBIAN_GLOBAL-QUERY_DESCRIPTION "one question to many goprobe sensors
 global-query asks many sensors at once, merges their answers, and streams
 them while they come in.")
set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME goprobe-tools)
set(CPACK_DEBIAN_TOOLS_DESCRIPTION "command-line tools for network flows
 goquery asks a local database or a fleet of sensors, gpctl controls a
 sensor, gpdb maintains databases.")
set(CPACK_DEBIAN_GPCLIENT_PACKAGE_NAME libgpclient5)
set(CPACK_DEBIAN_GPCLIENT_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_GPCLIENT_DESCRIPTION "client library for goprobe and global-query
 libgpclient asks sensors and global-query for flows and controls sensors,
 from C.")
set(CPACK_DEBIAN_GPCLIENT-DEV_PACKAGE_NAME libgpclient-dev)
set(CPACK_DEBIAN_GPCLIENT-DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_GPCLIENT-DEV_PACKAGE_DEPENDS "libgpclient5 (= ${GP_PACKAGE_VERSION}), libcurl4-openssl-dev")
set(CPACK_DEBIAN_GPCLIENT-DEV_DESCRIPTION "headers of libgpclient
 What is needed to build programs that use libgpclient.")
file(WRITE ${generated}/triggers "activate-noawait ldconfig\n")
file(WRITE ${generated}/shlibs "libgpclient 5 libgpclient5 (>= ${GP_PACKAGE_VERSION})\n")
set(CPACK_DEBIAN_GPCLIENT_PACKAGE_CONTROL_EXTRA "${generated}/triggers;${generated}/shlibs")
include(CPack)
