# Everything we link against comes from the distribution and is found by pkg-config.
find_package(PkgConfig REQUIRED)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# gp_dependency(<target> <pkg-config module> <Debian package>): defines gp::<target> or stops with
# the name of the package to install.
function(gp_dependency target module package)
  pkg_check_modules(GP_${target} IMPORTED_TARGET GLOBAL ${module})
  if(NOT GP_${target}_FOUND)
    message(FATAL_ERROR "${module} was not found by pkg-config. On Debian: apt-get install ${package}")
  endif()
  add_library(gp_dep_${target} INTERFACE)
  target_link_libraries(gp_dep_${target} INTERFACE PkgConfig::GP_${target})
  add_library(gp::${target} ALIAS gp_dep_${target})
endfunction()

gp_dependency(pcap libpcap libpcap-dev)
gp_dependency(yaml yaml-0.1 libyaml-dev)
gp_dependency(cjson libcjson libcjson-dev)
gp_dependency(curl libcurl libcurl4-openssl-dev)
gp_dependency(microhttpd libmicrohttpd libmicrohttpd-dev)
gp_dependency(gnutls gnutls libgnutls28-dev)
gp_dependency(lz4 liblz4 liblz4-dev)
gp_dependency(zstd libzstd libzstd-dev)
gp_dependency(xxhash libxxhash libxxhash-dev)
gp_dependency(zlib zlib zlib1g-dev)
gp_dependency(nanomsg nanomsg libnanomsg-dev)
gp_dependency(pcre2 libpcre2-8 libpcre2-dev)

option(GP_TESTS "Build the tests" ON)
if(GP_TESTS)
  gp_dependency(cmocka cmocka libcmocka-dev)
endif()
