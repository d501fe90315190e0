# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_regprobe_global_optspecs
    string join \n h/help V/version
end

function __fish_regprobe_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_regprobe_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_regprobe_using_subcommand
    set -l cmd (__fish_regprobe_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c regprobe -n "__fish_regprobe_needs_command" -s h -l help -d 'Print help'
complete -c regprobe -n "__fish_regprobe_needs_command" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "run" -d 'Probe on a schedule and export what is seen'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "check" -d 'Probe once, now, and say what is seen, what is wrong and what to do'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "explain" -d 'Explain a finding: what it means, how to confirm it, how to mend it'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "man" -d 'Print the manual page'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l config.file -d 'The configuration' -r -F
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l web.listen-address -d 'Where to serve HTTP' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l web.config.file -d 'TLS, passwords and headers, in the format of Prometheus\' exporters; read anew when it changes' -r -F
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l history.limit -d 'How much memory the rounds of the past may take, in bytes, `KiB` or `MiB`; 0 keeps none' -r
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l log.level -d 'What to log' -r -f -a "error\t'Faults of the agent'
warn\t'And what degrades it'
info\t'And changes of state'
debug\t'And every round'"
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l log.format -d 'How to log' -r -f -a "logfmt\t'`key=value`'
json\t'One object a line'"
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l config.check -d 'Check the configuration and exit: 0 if it is good, 2 if not'
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l config.auto-reload -d 'Reload the configuration when its file changes; a ConfigMap must be mounted as a directory'
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l web.enable-lifecycle -d 'Allow `POST /-/reload`'
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l config.file -d 'Take registries and settings from a configuration' -r -F
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l private -d 'Expect private addresses, of these ranges if given' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l region -d 'A region of the Azure Container Registry: its data endpoint is checked as well' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l image -d 'An image, as repository:tag, to walk to its blobs' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l nameserver -d 'Ask the nameserver at this address, with or without a port, instead of the node\'s own' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l ca-file -d 'Trust the certificates in this file too' -r -F
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l timeout -d 'How long one stage may take [default: as configured, or 10s; for npd 2s at most]' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l watch -d 'Go on with round after round, and say what changes; Ctrl-C ends it [default interval: 15s]' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l output -d 'How to say it' -r -f -a "text\t'For people'
json\t'The status document, with all that was seen and no secret: a file to attach to a ticket'
npd\t'For node-problem-detector: one line of 80 bytes at most, within 4 s'"
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l only -d 'Only registries whose name matches (`*` and `?`)' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_using_subcommand explain" -s h -l help -d 'Print help'
complete -c regprobe -n "__fish_regprobe_using_subcommand explain" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c regprobe -n "__fish_regprobe_using_subcommand completions" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_using_subcommand man" -s h -l help -d 'Print help'
complete -c regprobe -n "__fish_regprobe_using_subcommand man" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check explain completions man help" -f -a "run" -d 'Probe on a schedule and export what is seen'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check explain completions man help" -f -a "check" -d 'Probe once, now, and say what is seen, what is wrong and what to do'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check explain completions man help" -f -a "explain" -d 'Explain a finding: what it means, how to confirm it, how to mend it'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check explain completions man help" -f -a "completions" -d 'Print completions for a shell'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check explain completions man help" -f -a "man" -d 'Print the manual page'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check explain completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
