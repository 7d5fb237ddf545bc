#compdef gpdb
# zsh completion for gpdb. Flags come from the help of the command.
local -a found
if ((CURRENT == 2)) || [[ $words[2] == help ]]; then
    found=(check export import index merge prune repair stats version help)
    compadd -a found
elif [[ $PREFIX == -* ]]; then
    found=(${(f)"$(_call_program flags $words[1] $words[2] --help 2>/dev/null | sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p')"})
    compadd -a found
else
    _files
fi
