#compdef goquery goQuery
# zsh completion for goquery. Candidates come from goquery itself.

_goquery_candidates() {
    local -a found
    found=(${(f)"$(_call_program candidates $words[1] $context completion $1 2>/dev/null)"})
    compadd -S "${2-}" -q -a found
}

_goquery() {
    local prev=$words[CURRENT-1] at
    local -a context # the database or the server that the line names
    for ((at = 2; at < CURRENT; at++)); do
        case $words[at] in
        --(db.path|config|query.server.*|query.hosts-resolution)=*) context+=(${(Q)words[at]}) ;;
        -d|-q|--(db.path|config|query.server.*|query.hosts-resolution))
            ((at + 1 < CURRENT)) && context+=($words[at] ${(Q)words[at+1]/#\~\//$HOME/})
            ;;
        esac
    done
    case $prev in
    -i|--ifaces) compset -P '*,'; _goquery_candidates ifaces ;;
    -q|--query.hosts-resolution) compset -P '*,'; _goquery_candidates hosts ;;
    -s|--sort.by) _goquery_candidates sort ' ' ;;
    -e|--results.format) _goquery_candidates format ' ' ;;
    -c|--condition) _goquery_candidates conditions ' ' ;;
    -d|--db.path) _files -/ ;;
    --query.server.addr)
        if compset -P 'unix:'; then _files; else compadd -- localhost:8146 localhost:8145 unix:/run/goprobe/goprobe.sock; fi
        ;;
    --config|--stored-query|--query.log|--query.server.t*) _files ;;
    -f|--first|-l|--last) compadd -- -5m -30m -1h -4h -1d -7d -30d ;;
    *)
        if [[ $PREFIX == -* ]]; then
            _goquery_candidates flags ' '
        else
            compset -P '*,'
            _goquery_candidates columns
            _goquery_candidates commands ' '
        fi
        ;;
    esac
}

_goquery "$@"
