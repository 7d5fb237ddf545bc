# shellcheck shell=bash
# A fleet on one machine for ./run --fleet: every sensor in a network namespace of its own, all of them on one
# bridge, which is in a namespace, too. Nothing of the host's own network is touched.

FLEET_PREFIX="gpfleet$$"
FLEET_NAMESPACES=()

in_ns() {
    local ns=$1
    shift
    ip netns exec "$ns" "$@"
}

fleet_ns() { printf '%s-%s' "$FLEET_PREFIX" "$1"; }

add_namespace() {
    ip netns add "$1" || return 1
    FLEET_NAMESPACES+=("$1")
    in_ns "$1" sysctl -q -w net.ipv6.conf.default.accept_dad=0
    ip -n "$1" link set lo up
}

# Deleting a namespace deletes the interfaces in it, and with a veth its other end.
remove_namespaces() {
    local ns
    for ns in "${FLEET_NAMESPACES[@]}"; do
        ip netns del "$ns"
    done
    FLEET_NAMESPACES=()
}

make_bridge() {
    local hub
    hub=$(fleet_ns hub)
    add_namespace "$hub" && ip -n "$hub" link add br0 type bridge && ip -n "$hub" link set br0 up
}

# attach_sensor NUMBER: namespace with eth0, 10.77.0.NUMBER and fd77::NUMBER.
attach_sensor() {
    local ns hub
    ns=$(fleet_ns "$1")
    hub=$(fleet_ns hub)
    add_namespace "$ns" &&
        ip -n "$ns" link add eth0 type veth peer name "port$1" netns "$hub" &&
        ip -n "$hub" link set "port$1" master br0 up &&
        ip -n "$ns" addr add "10.77.0.$1/24" dev eth0 &&
        ip -n "$ns" addr add "fd77::$1/64" dev eth0 nodad &&
        ip -n "$ns" link set eth0 up
}

# as_host NAMESPACE NAME COMMAND...: COMMAND with a network and a host name of its own, in this very process.
as_host() {
    local ns=$1 name=$2
    shift 2
    # shellcheck disable=SC2016
    exec ip netns exec "$ns" unshare --uts sh -c 'hostname "$0" && exec "$@"' "$name" "$@"
}

# talk COUNT: what the sensors will see. Every one sends datagrams to the next one, in both IP versions, to ports
# that look like name service, NTP and QUIC, once a second, until it is ended.
talk() {
    local count=$1 from to round=0
    local ports=(53 123 443)
    while :; do
        for ((from = 1; from <= count; from++)); do
            to=$((from % count + 1))
            # shellcheck disable=SC2016 # that shell expands it
            in_ns "$(fleet_ns "$from")" bash -c 'for port in "${@:4}"; do
                printf "%*s" "$3" "" >"/dev/udp/$1/$port"; printf "%*s" "$3" "" >"/dev/udp/$2/$port"; done' \
                talk "10.77.0.$to" "fd77::$to" $((100 + round % 10 * 100)) "${ports[@]}" 2>/dev/null
        done
        round=$((round + 1))
        sleep 1
    done
}
