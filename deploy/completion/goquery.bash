# bash completion for goquery. Candidates come from goquery itself.

# Completes the last element of a list with commas.
_goquery_list() {
    local cur=$1 prefix= words=$2
    [[ $cur == *,* ]] && prefix=${cur%,*},
    mapfile -t COMPREPLY < <(compgen -W "$words" -P "$prefix" -- "${cur##*,}")
    compopt -o nospace 2>/dev/null
}

# The value of a flag that is already on the command line.
_goquery_value() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == "$1" || ${COMP_WORDS[i]} == "$2" ]] && printf '%s' "${COMP_WORDS[i + 1]}" && return
    done
}

_goquery() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} me=${COMP_WORDS[0]} db
    COMPREPLY=()
    case $prev in
    -i | --ifaces)
        db=$(_goquery_value -d --db.path)
        _goquery_list "$cur" "$("$me" ${db:+-d "$db"} completion ifaces 2>/dev/null)"
        ;;
    -q | --query.hosts-resolution) _goquery_list "$cur" "$("$me" completion hosts 2>/dev/null)" ;;
    -s | --sort.by) mapfile -t COMPREPLY < <(compgen -W "$("$me" completion sort 2>/dev/null)" -- "$cur") ;;
    -e | --results.format) mapfile -t COMPREPLY < <(compgen -W "$("$me" completion format 2>/dev/null)" -- "$cur") ;;
    -c | --condition) mapfile -t COMPREPLY < <(compgen -W "$("$me" completion conditions 2>/dev/null)" -- "$cur") ;;
    -d | --db.path) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    --config | --stored-query | --query.log | --query.server.t*) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    -f | --first | -l | --last)
        mapfile -t COMPREPLY < <(compgen -W "-5m -30m -1h -4h -1d -7d -30d" -- "$cur")
        ;;
    *)
        if [[ $cur == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$("$me" completion flags 2>/dev/null)" -- "$cur")
        else
            _goquery_list "$cur" "$("$me" completion columns 2>/dev/null) $("$me" completion commands 2>/dev/null)"
        fi
        ;;
    esac
}

complete -F _goquery goquery goQuery
