# bash completion for gpdb. Flags come from the help of the command.
_gpdb() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} me=${COMP_WORDS[0]} command=${COMP_WORDS[1]}
    local commands="check export import index merge prune repair stats version help" words
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
    elif [[ $cur == -* ]]; then
        words=$("$me" "$command" --help 2>/dev/null | sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p')
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    elif [[ $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
    elif [[ $prev == --format || $prev == -e ]]; then
        mapfile -t COMPREPLY < <(compgen -W "csv json rowbinary txt" -- "$cur")
    elif [[ $prev == --encoder ]]; then
        mapfile -t COMPREPLY < <(compgen -W "lz4 zstd null" -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}

complete -F _gpdb gpdb
