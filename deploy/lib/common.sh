# shellcheck shell=bash
# What ./run and ./test share: installing what is missing, building, saying what is going on.

say() { printf '\n== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Runs apt-get as root, with sudo where we are not.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "root is needed for: $* (no sudo here)"
    fi
}

# shellcheck disable=SC2034 # used by those who source this file
BUILD_PACKAGES=(gcc cmake ninja-build pkg-config git libpcap-dev libyaml-dev libcjson-dev libcurl4-openssl-dev
    libmicrohttpd-dev libgnutls28-dev libcap-dev libseccomp-dev liblz4-dev libzstd-dev libxxhash-dev libnanomsg-dev libpcre2-dev zlib1g-dev libcmocka-dev)
# shellcheck disable=SC2034
RUN_PACKAGES=(iproute2)
# shellcheck disable=SC2034
TEST_PACKAGES=(clang libbpf-dev clang-format clang-tidy libclang-rt-14-dev python3 python3-venv curl openssl mandoc fish zsh prometheus)
# The web page is tested in a browser.
TEST_PACKAGES+=(chromium chromium-driver python3-selenium fonts-dejavu-core)

# shellcheck disable=SC2034
DEPLOY_PACKAGES=(mmdebstrap systemd systemd-container dpkg-dev fakeroot file gzip lintian)

# install_missing PACKAGE...: asks apt only if something is missing.
install_missing() {
    local missing=() p
    for p in "$@"; do
        dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
    done
    [ "${#missing[@]}" -eq 0 ] && return 0
    say "installing ${missing[*]}"
    as_root apt-get -o Acquire::Retries=3 update -qq
    # RUNLEVEL=1: services of packages (prometheus) are installed, not started.
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -o Acquire::Retries=3 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# build PRESET: configures and builds build/PRESET.
build() {
    local preset=$1 log
    log=$(mktemp)
    if ! { cmake --preset "$preset" && cmake --build --preset "$preset"; } >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}
