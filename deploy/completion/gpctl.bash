# bash completion for gpctl.
declare -F _goprobe_words >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/_goprobe"

# Names in the file behind --endpoints, or in the one of the packages. goquery comes with gpctl.
_gpctl_hosts() {
    local i file=
    for ((i = 1; i + 1 < ${#words[@]}; i++)); do
        case ${words[i]} in
        --endpoints) file=${words[i + 1]/#~\//$HOME/} ;;
        --endpoints=*) file=${words[i]#*=} ;;
        esac
    done
    local prefix=
    [[ $cur == *,* ]] && prefix=${cur%,*},
    mapfile -t COMPREPLY < <(compgen -W "$(goquery completion hosts ${file:+"$file"} 2>/dev/null)" -P "$prefix" -- "${cur##*,}")
    compopt -o nospace 2>/dev/null
}

_gpctl() {
    local words cur prev word command= offered
    _goprobe_words
    for word in "${words[@]:1:${#words[@]}-2}"; do
        case $word in
        status | config | log-level | version | help) command=$word ;;
        esac
    done
    case $prev in
    -f | --file | --config | --endpoints | --tls.* | --token.file) _goprobe_files ;;
    -s | --server.addr) _goprobe_address "localhost:8145 unix:/run/goprobe/goprobe.sock" ;;
    -q | --hosts) _gpctl_hosts ;;
    --format) _goprobe_choose "txt json csv" ;;
    *)
        case $command in
        "") offered="status config log-level version help" ;;
        help) offered="status config log-level version" ;;
        log-level) offered="debug info warn error" ;;
        *) offered=$(ls /sys/class/net 2>/dev/null) ;;
        esac
        if [[ $cur == -* ]]; then
            offered="--server.addr --endpoints --hosts --format --timeout --tls.ca --tls.cert --tls.key --token.file --config --help"
            [[ $command == status ]] && offered+=" --detailed"
            [[ $command == config ]] && offered+=" --file --reload --silent"
        fi
        _goprobe_choose "$offered"
        ;;
    esac
    _goprobe_trim
}

complete -F _gpctl gpctl
