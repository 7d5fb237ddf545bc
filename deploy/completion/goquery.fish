# fish completion for goquery. Candidates come from goquery itself.

# Candidates, with what stands before the last comma of the word in front.
function __goquery_list
    set -l before (string match -r '^.*,' -- (commandline -ct))
    for word in (goquery (__goquery_context) completion $argv[1] 2>/dev/null)
        echo "$before$word"
    end
end

# The database or the server that the line names.
function __goquery_context
    set -l words (commandline -opc)
    for i in (seq (count $words))
        switch $words[$i]
            case '--db.path=*' '--config=*' '--query.server.*=*' '--query.hosts-resolution=*'
                printf '%s\n' $words[$i]
            case -d -q --db.path --config '--query.server.*' --query.hosts-resolution
                set -q words[(math $i + 1)]
                and printf '%s\n' $words[$i] (string replace -r '^~/' "$HOME/" -- $words[(math $i + 1)])
        end
    end
end

# Paths behind unix:, else what is usual.
function __goquery_address
    if string match -q 'unix:/*' -- (commandline -ct)
        set -l path (string replace unix: '' -- (commandline -ct))
        printf 'unix:%s\n' (__fish_complete_path $path | string replace -r '\t.*' '')
    else
        printf '%s\n' localhost:8146 localhost:8145 unix:/run/goprobe/goprobe.sock
    end
end

complete -c goquery -f
complete -c goquery -s i -l ifaces -x -a '(__goquery_list ifaces)' -d 'interfaces'
complete -c goquery -s q -l query.hosts-resolution -x -a '(__goquery_list hosts)' -d 'hosts to ask'
complete -c goquery -s s -l sort.by -x -a '(goquery completion sort)' -d 'order of the rows'
complete -c goquery -s e -l results.format -x -a '(goquery completion format)' -d 'format'
complete -c goquery -s c -l condition -x -a '(goquery completion conditions)' -d 'which flows count'
complete -c goquery -s f -l first -x -a '-5m -30m -1h -4h -1d -7d -30d' -d 'from when on'
complete -c goquery -s l -l last -x -a '-5m -30m -1h -4h -1d' -d 'until when'
complete -c goquery -s d -l db.path -x -a '(__fish_complete_directories)' -d 'local database'
complete -c goquery -l query.server.addr -x -a '(__goquery_address)' -d 'server to ask'
complete -c goquery -s n -l results.limit -x -d 'number of rows'
for flag in (goquery completion flags 2>/dev/null | string replace -r '^--' '')
    contains -- $flag ifaces query.hosts-resolution sort.by results.format condition first last db.path query.server.addr results.limit
    or complete -c goquery -l $flag
end
complete -c goquery -a '(__goquery_list columns)' -d 'column'
complete -c goquery -n 'test (count (commandline -opc)) -eq 1' -a '(goquery completion commands)' -d 'command'
