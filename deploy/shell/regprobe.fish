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
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "run" -d 'Probe on a schedule and export metrics'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "check" -d 'Probe once, now, and report what is wrong and how to fix it'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "fleet" -d 'Show what all agents of the cluster see'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "why" -d 'Say why a pod cannot pull, through kubectl'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "bundle" -d 'Write the support bundles of nodes to files, through kubectl'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "explain" -d 'Explain a finding or an alert, or print a guide'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "discover" -d 'Write a configuration for the registries in use'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "completions" -d 'Print the completions for a shell'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "man" -d 'Print the manual page'
complete -c regprobe -n "__fish_regprobe_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l config.file -d 'The configuration' -r -F
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l config.fallback-file -d 'Start with this configuration if the other cannot be used, and load that once it can' -r -F
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l web.listen-address -d 'The address to serve HTTP on' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l web.config.file -d 'TLS, passwords and headers, in the format of Prometheus exporters; reloaded when it changes' -r -F
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l history.limit -d 'The most memory for past rounds, in bytes, KiB or MiB; 0 keeps none' -r
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l log.level -d 'The log level' -r -f -a "error\t'Only faults of the agent'
warn\t'Also what degrades the agent'
info\t'Also changes of state'
debug\t'Also every round'"
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l log.format -d 'The log format' -r -f -a "logfmt\t'`key=value`'
json\t'One object per line'"
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l config.check -d 'Check the configuration and exit: 0 if it is valid, 2 if not'
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l config.auto-reload -d 'Reload the configuration when its file changes. Mount a ConfigMap as a directory'
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -l web.enable-lifecycle -d 'Allow `POST /-/reload`'
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c regprobe -n "__fish_regprobe_using_subcommand run" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l config.file -d 'Take registries and settings from a configuration' -r -F
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l private -d 'Expect private addresses, in these ranges if given' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l region -d 'A region of the Azure Container Registry, to check its data endpoint too' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l image -d 'An image, as repository:tag, to follow to its blobs' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l docker-config -d 'Offer the credentials of a pull secret for the images: a file with its `.dockerconfigjson`' -r -F
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l managed-identity -d 'Offer what the node\'s managed identity gets, as its kubelet does; which one, where it has several' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l nameserver -d 'Ask this nameserver, IP or IP:port, instead of the node\'s own' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l ca-file -d 'Also trust the certificates in this PEM file' -r -F
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l timeout -d 'The timeout of a stage [default: as configured, or 10s; at most 2s for npd]' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l node -d 'Check on this node instead, in the pod of its agent, through kubectl; may be repeated' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -s n -l namespace -d 'With --node or --all, the namespace of the agents [default: all namespaces]' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l context -d 'With --node or --all, the cluster: a context of kubectl [default: its current one]' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l watch -d 'Check again and again, and report what changes; Ctrl-C ends it [default interval: 15s]' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l output -d 'The output format' -r -f -a "text\t'For people'
json\t'The status document: everything that was seen, without secrets; attach it to a ticket'
npd\t'For node-problem-detector: one line of at most 80 bytes, within 4 s'"
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l fail-on -d 'The mildest condition that exits with 1' -r -f -a "failing\t'A pull would fail'
degraded\t'A pull would work, but something is wrong or slow'"
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l node-root -d 'Where the node\'s file system is [default: as configured, or /host if a node is there, or /]' -r -f -a "(__fish_complete_directories)"
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l only -d 'Check only registries whose name or server matches (* and ?)' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l azure-json -d 'The same, with the client id in the node\'s /etc/kubernetes/azure.json; nothing else is read there'
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -l all -d 'Check on every node that has an agent, through kubectl'
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c regprobe -n "__fish_regprobe_using_subcommand check" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_using_subcommand fleet" -l config.file -d 'The configuration of the agents, which says how to find and ask them [default: /etc/regprobe/config.yaml; where that does not exist, kubectl]' -r -F
complete -c regprobe -n "__fish_regprobe_using_subcommand fleet" -l context -d 'With kubectl, the cluster: one of its contexts [default: its current one]' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand fleet" -s n -l namespace -d 'With kubectl, the namespace of the agents [default: all namespaces]' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand fleet" -l output -d 'The output format' -r -f -a "text\t'For people'
json\t'For programs: everything'"
complete -c regprobe -n "__fish_regprobe_using_subcommand fleet" -l kubectl -d 'Ask them through kubectl and the API server, with your own rights: list pods, get pods/proxy'
complete -c regprobe -n "__fish_regprobe_using_subcommand fleet" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c regprobe -n "__fish_regprobe_using_subcommand fleet" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_using_subcommand why" -s n -l namespace -d 'Its namespace [default: that of kubectl]' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand why" -l agents-namespace -d 'The namespace of the agents [default: all namespaces]' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand why" -l context -d 'The cluster: a context of kubectl [default: its current one]' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand why" -l output -d 'The output format' -r -f -a "text\t'For people'
json\t'For programs: everything'"
complete -c regprobe -n "__fish_regprobe_using_subcommand why" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c regprobe -n "__fish_regprobe_using_subcommand why" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_using_subcommand bundle" -l node -d 'A node; may be repeated [default: every node that has an agent]' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand bundle" -l out -d 'The folder for the files [default: regprobe-DATE-TIME]' -r -f -a "(__fish_complete_directories)"
complete -c regprobe -n "__fish_regprobe_using_subcommand bundle" -s n -l namespace -d 'The namespace of the agents [default: all namespaces]' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand bundle" -l context -d 'The cluster: a context of kubectl [default: its current one]' -r -f
complete -c regprobe -n "__fish_regprobe_using_subcommand bundle" -s h -l help -d 'Print help'
complete -c regprobe -n "__fish_regprobe_using_subcommand bundle" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_using_subcommand explain" -s h -l help -d 'Print help'
complete -c regprobe -n "__fish_regprobe_using_subcommand explain" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_using_subcommand discover" -l node-root -d 'Where the node\'s file system is, if standard input has no pods [default: /host if a node is there, or /]' -r -f -a "(__fish_complete_directories)"
complete -c regprobe -n "__fish_regprobe_using_subcommand discover" -s h -l help -d 'Print help'
complete -c regprobe -n "__fish_regprobe_using_subcommand discover" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c regprobe -n "__fish_regprobe_using_subcommand completions" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_using_subcommand man" -s h -l help -d 'Print help'
complete -c regprobe -n "__fish_regprobe_using_subcommand man" -s V -l version -d 'Print version'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check fleet why bundle explain discover completions man help" -f -a "run" -d 'Probe on a schedule and export metrics'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check fleet why bundle explain discover completions man help" -f -a "check" -d 'Probe once, now, and report what is wrong and how to fix it'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check fleet why bundle explain discover completions man help" -f -a "fleet" -d 'Show what all agents of the cluster see'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check fleet why bundle explain discover completions man help" -f -a "why" -d 'Say why a pod cannot pull, through kubectl'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check fleet why bundle explain discover completions man help" -f -a "bundle" -d 'Write the support bundles of nodes to files, through kubectl'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check fleet why bundle explain discover completions man help" -f -a "explain" -d 'Explain a finding or an alert, or print a guide'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check fleet why bundle explain discover completions man help" -f -a "discover" -d 'Write a configuration for the registries in use'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check fleet why bundle explain discover completions man help" -f -a "completions" -d 'Print the completions for a shell'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check fleet why bundle explain discover completions man help" -f -a "man" -d 'Print the manual page'
complete -c regprobe -n "__fish_regprobe_using_subcommand help; and not __fish_seen_subcommand_from run check fleet why bundle explain discover completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
