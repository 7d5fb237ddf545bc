#compdef gpctl
# zsh completion for gpctl.
_gpctl_address() {
    if compset -P 'unix:'; then _files; else compadd -- localhost:8145 unix:/run/goprobe/goprobe.sock; fi
}

# Names in the file behind --endpoints, or in the one of the packages. goquery comes with gpctl.
_gpctl_hosts() {
    local -a file found
    local at=${words[(i)--endpoints]}
    ((at + 1 < CURRENT)) && file=(${(Q)words[at+1]/#\~\//$HOME/})
    found=(${(f)"$(_call_program hosts goquery completion hosts $file 2>/dev/null)"})
    compset -P '*,'
    compadd -S '' -q -a found
}

local -a ifaces
ifaces=(/sys/class/net/*(N:t))
_arguments -S \
    '(-s --server.addr)'{-s,--server.addr}'[address of the sensor]:address:_gpctl_address' \
    '--endpoints[ask all hosts of a file]:file:_files' \
    '(-q --hosts)'{-q,--hosts}'[of that file only these]:hosts:_gpctl_hosts' \
    '--format[what to print]:format:(txt json csv)' \
    '(-t --timeout)'{-t,--timeout}'[how long an answer may take]:duration:' \
    '--tls.ca[CA to trust]:file:_files' '--tls.cert[our certificate]:file:_files' '--tls.key[its key]:file:_files' \
    '--token.file[file with the token]:file:_files' '--config[configuration file]:file:_files' \
    '(-v --detailed)'{-v,--detailed}'[parsing errors, too]' \
    '(-f --file)'{-f,--file}'[settings to send]:file:_files' '(-r --reload)'{-r,--reload}'[read the file again]' \
    '--silent[print no changes]' '(-h --help)'{-h,--help}'[help]' \
    '1:command:(status config log-level version help)' \
    "*:interface:($ifaces)"
