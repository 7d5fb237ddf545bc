# shellcheck shell=bash
# Starting and ending programs for ./run. Whatever is started here is ended by its process id, the last one first.

DAEMON_PIDS=()
DAEMON_NAMES=()

# start_daemon NAME LOG COMMAND...: runs COMMAND in the background, its output in LOG. COMMAND must not fork.
# A process group of its own keeps Ctrl-C away from it: we decide the order in which daemons end.
start_daemon() {
    local name=$1 log=$2
    shift 2
    setsid "$@" >"$log" 2>&1 </dev/null &
    DAEMON_PIDS+=("$!")
    DAEMON_NAMES+=("$name")
}

# wait_until SECONDS COMMAND...: polls until COMMAND succeeds.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# A sensor is ready when gpctl gets an answer, global-query when it listens.
sensor_ready() { "$BIN/client/gpctl/gpctl" -s "$1" status; }
tcp_open() { (exec 3<>"/dev/tcp/$1/$2"); }

# free_port FIRST: the first TCP port on the loopback, FIRST or above, that nobody listens on.
free_port() {
    local port=$1
    while tcp_open 127.0.0.1 "$port" 2>/dev/null; do
        port=$((port + 1))
    done
    echo "$port"
}

daemon_gone() { ! kill -0 "$1" 2>/dev/null; }

# A daemon writes its flows out before it ends, so it gets time; only then is it killed.
stop_daemon() {
    local pid=$1 name=$2
    kill -TERM "$pid" 2>/dev/null || return 0
    if ! wait_until 20 daemon_gone "$pid"; then
        printf '%s (process %s) does not stop; killing it\n' "$name" "$pid" >&2
        kill -KILL "$pid" 2>/dev/null
    fi
    wait "$pid" 2>/dev/null
    return 0
}

stop_daemons() {
    local i
    for ((i = ${#DAEMON_PIDS[@]} - 1; i >= 0; i--)); do
        stop_daemon "${DAEMON_PIDS[i]}" "${DAEMON_NAMES[i]}"
    done
    DAEMON_PIDS=()
    DAEMON_NAMES=()
}
