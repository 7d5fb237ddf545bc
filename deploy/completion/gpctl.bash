# bash completion for gpctl.
_gpctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i command=
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        status | config | log-level | version | help) command=${COMP_WORDS[i]} ;;
        esac
    done
    COMPREPLY=()
    case $prev in
    -f | --file | --config | --endpoints | --tls.* | --token.file)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    -s | --server.addr)
        mapfile -t COMPREPLY < <(compgen -W "localhost:8145 unix:/run/goprobe/goprobe.sock" -- "$cur")
        return
        ;;
    esac
    local words
    if [[ $cur == -* ]]; then
        words="--server.addr --endpoints --hosts --format --timeout --tls.ca --tls.cert --tls.key --token.file --config --help"
        [[ $command == status ]] && words+=" --detailed"
        [[ $command == config ]] && words+=" --file --reload --silent"
    else
        case $command in
        "") words="status config log-level version help" ;;
        help) words="status config log-level version" ;;
        log-level) words="debug info warn error" ;;
        *) words=$(ls /sys/class/net 2>/dev/null) ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _gpctl gpctl
