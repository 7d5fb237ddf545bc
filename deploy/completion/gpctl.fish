# fish completion for gpctl.
function __gpctl_address
    if string match -q 'unix:/*' -- (commandline -ct)
        set -l path (string replace unix: '' -- (commandline -ct))
        printf 'unix:%s\n' (__fish_complete_path $path | string replace -r '\t.*' '')
    else
        printf '%s\n' localhost:8145 unix:/run/goprobe/goprobe.sock
    end
end

# Names in the file behind --endpoints, or in the one of the packages. goquery comes with gpctl.
function __gpctl_hosts
    set -l words (commandline -opc)
    set -l file
    if set -l at (contains -i -- --endpoints $words); and set -q words[(math $at + 1)]
        set file (string replace -r '^~/' "$HOME/" -- $words[(math $at + 1)])
    end
    set -l before (string match -r '^.*,' -- (commandline -ct))
    for word in (goquery completion hosts $file 2>/dev/null)
        echo "$before$word"
    end
end

complete -c gpctl -f
complete -c gpctl -n __fish_use_subcommand -a status -d 'capture status'
complete -c gpctl -n __fish_use_subcommand -a config -d 'settings of the captures'
complete -c gpctl -n __fish_use_subcommand -a log-level -d 'level of the log'
complete -c gpctl -n __fish_use_subcommand -a version -d 'version'
complete -c gpctl -n __fish_use_subcommand -a help -d 'help'
complete -c gpctl -n '__fish_seen_subcommand_from status config' -a '(ls /sys/class/net 2>/dev/null)' -d interface
complete -c gpctl -n '__fish_seen_subcommand_from log-level' -a 'debug info warn error'
complete -c gpctl -n '__fish_seen_subcommand_from status' -s v -l detailed -d 'parsing errors, too'
complete -c gpctl -n '__fish_seen_subcommand_from config' -s f -l file -r -F -d 'settings to send'
complete -c gpctl -n '__fish_seen_subcommand_from config' -s r -l reload -d 'read the file again'
complete -c gpctl -n '__fish_seen_subcommand_from config' -l silent -d 'print no changes'
complete -c gpctl -s s -l server.addr -x -a '(__gpctl_address)' -d 'address of the sensor'
complete -c gpctl -l endpoints -r -F -d 'ask all hosts of a file'
complete -c gpctl -s q -l hosts -x -a '(__gpctl_hosts)' -d 'of that file only these'
complete -c gpctl -l format -x -a 'txt json csv' -d 'what to print'
complete -c gpctl -s t -l timeout -x -d 'how long an answer may take'
complete -c gpctl -l tls.ca -r -F -d 'CA to trust'
complete -c gpctl -l tls.cert -r -F -d 'our certificate'
complete -c gpctl -l tls.key -r -F -d 'its key'
complete -c gpctl -l token.file -r -F -d 'file with the token'
complete -c gpctl -l config -r -F -d 'configuration file'
complete -c gpctl -s h -l help -d help
