# fish completion for gpdb. Flags come from the help of the command.
function __gpdb_flags
    set -l words (commandline -opc)
    gpdb $words[2] --help 2>/dev/null | string match -rg '^ +(?:-., )?(--[a-z-]+)'
end

complete -c gpdb -n __fish_use_subcommand -f
for command in check export import index merge prune repair stats version help
    complete -c gpdb -n __fish_use_subcommand -a $command
end
complete -c gpdb -n 'not __fish_use_subcommand; and string match -q -- "-*" (commandline -ct)' -f -a '(__gpdb_flags)'
