# bash completion for gpdb. Flags come from the help of the command.
declare -F _goprobe_words >/dev/null || . "$(dirname "${BASH_SOURCE[0]}")/_goprobe"

_gpdb() {
    local words cur prev commands="check export import index merge prune repair stats version help"
    _goprobe_words
    if ((${#words[@]} == 2)) || [[ ${words[1]} == help ]]; then
        _goprobe_choose "$commands"
    elif [[ $cur == -* ]]; then
        _goprobe_choose "$("${words[0]}" "${words[1]}" --help 2>/dev/null | sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p')"
    elif [[ $prev == --format || $prev == -e ]]; then
        _goprobe_choose "csv json rowbinary txt"
    elif [[ $prev == --encoder ]]; then
        _goprobe_choose "lz4 zstd null"
    else
        _goprobe_files
    fi
    _goprobe_trim
}

complete -F _gpdb gpdb
