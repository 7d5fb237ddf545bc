# bash completion for goquery. Candidates come from goquery itself.
declare -F _goprobe_words >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/_goprobe"

# Completes the last element of a list with commas.
_goquery_list() {
    local prefix=
    [[ $cur == *,* ]] && prefix=${cur%,*},
    mapfile -t COMPREPLY < <(compgen -W "$1" -P "$prefix" -- "${cur##*,}")
    compopt -o nospace 2>/dev/null
}

# Candidates of a kind, for the database or the server that the line names.
_goquery_ask() {
    local i context=()
    for ((i = 1; i + 1 < ${#words[@]}; i++)); do
        case ${words[i]} in
        --db.path=* | --config=* | --query.server.*=* | --query.hosts-resolution=*) context+=("${words[i]}") ;;
        -d | --db.path | --config | --query.server.* | -q | --query.hosts-resolution)
            ((i + 2 < ${#words[@]})) && context+=("${words[i]}" "${words[i + 1]/#~\//$HOME/}")
            ;;
        esac
    done
    "${words[0]}" "${context[@]}" completion "$1" 2>/dev/null
}

_goquery() {
    local words cur prev
    _goprobe_words
    case $prev in
    -i | --ifaces) _goquery_list "$(_goquery_ask ifaces)" ;;
    -q | --query.hosts-resolution) _goquery_list "$(_goquery_ask hosts)" ;;
    -s | --sort.by) _goprobe_choose "$(_goquery_ask sort)" ;;
    -e | --results.format) _goprobe_choose "$(_goquery_ask format)" ;;
    -c | --condition) _goprobe_choose "$(_goquery_ask conditions)" ;;
    -d | --db.path) _goprobe_files -d ;;
    --query.server.addr) _goprobe_address "localhost:8146 localhost:8145 unix:/run/goprobe/goprobe.sock" ;;
    --config | --stored-query | --query.log | --query.server.t*) _goprobe_files ;;
    -f | --first | -l | --last) _goprobe_choose "-5m -30m -1h -4h -1d -7d -30d" ;;
    *)
        if [[ $cur == -* ]]; then
            _goprobe_choose "$(_goquery_ask flags)"
        else
            _goquery_list "$(_goquery_ask columns) $(_goquery_ask commands)"
        fi
        ;;
    esac
    _goprobe_trim
}

complete -F _goquery goquery goQuery
