# Completion for switchboard(1) in bash: subcommands, options, handlers, strategies, addresses and plugin files.
# What can be asked of the program itself is asked, so it is never out of date.

# What `switchboard list KIND` names: the first word of each line that is not indented.
_switchboard_names() {
    "$1" list "$2" 2>/dev/null | sed -n 's/^\([a-z][a-z0-9_]*\).*/\1/p'
}

# _switchboard_options COMMAND SUBCOMMAND: its long options, with the = where one takes a value.
_switchboard_options() {
    "$1" "$2" --help 2>/dev/null | sed -n 's/^  *\(-., \)\{0,1\}\(--[a-z-]*=\{0,1\}\).*/\2/p'
}

# The classes or handlers of a list joined by plus signs: completes the last one, or a plugin's file.
_switchboard_list() {
    local command=$1 kind=$2 word=$3 head='' tail
    [[ $word == *+* ]] && head=${word%+*}+
    tail=${word#"$head"}
    if [[ $tail == */* ]]; then
        compgen -P "$head" -d -S / -- "$tail"
        compgen -P "$head" -f -X '!*.so' -- "$tail"
    else
        compgen -P "$head" -W "$(_switchboard_names "$command" "$kind")" -- "$tail"
    fi
}

_switchboard_addresses() {
    local scheme=${1%%:*}
    case $1 in
    unix:* | unixgram:*) compgen -P "$scheme:" -f -- "${1#*:}" ;;
    *) compgen -W 'tcp://127.0.0.1: udp://127.0.0.1: unix: unixgram:' -- "$1" ;;
    esac
}

# The pids of servers: of processes of that name those that are not another's child.
_switchboard_servers() {
    local pid all
    all=$(pgrep -x -d ' ' switchboard)
    for pid in $all; do
        [[ " $all " == *" $(ps -o ppid= -p "$pid" | tr -d ' ') "* ]] || echo "$pid"
    done
}

# The handler list among the words already typed: the first word that is no option nor the value of one. Fails without.
_switchboard_handlers() {
    local word previous=''
    for word; do
        if [[ $word != -* && ! $previous =~ ^(-[saotScrw]|--[a-z-]+)$ ]]; then
            echo "$word"
            return
        fi
        [[ $word =~ ^--(once|inetd|force|nodelay|restart|unsupervised|reuse-port|verbose|quiet|predict)$ ]] && word=''
        previous=$word
    done
    return 1
}

# _switchboard_handler_options COMMAND LIST: the keys of the options that the handlers of a list have; '': of all.
_switchboard_handler_options() {
    local command=$1 name names
    IFS=+ read -ra names <<<"$2"
    for name in "${names[@]:-}"; do
        if [[ $name == */* ]]; then
            "$command" list "$name"
        else
            "$command" list handlers | awk -v name="$name" '/^[a-z]/ { found = name == "" || $1 == name } found'
        fi
    done 2>/dev/null | sed -n 's/^ *-o \([a-z_]*=\).*/\1/p'
}

# _switchboard_value COMMAND OPTION WORD LIST: the values of an option; fails where it takes none that are known. LIST:
# the handlers.
_switchboard_value() {
    case $2 in
    --lesson) compgen -W "help $("$1" lab --lesson=help 2>/dev/null | sed 's/ .*//')" -- "$3" ;;
    --check) compgen -f -- "$3" ;;
    --scenario | -S) compgen -W 'short talk udp slow wait spin idle burst crash shared big herd unp all' -- "$3" ;;
    --html | --json | --csv) compgen -f -- "$3" ;;
    -s | --strategy | --strategies) _switchboard_list "$1" strategies "$3" ;;
    -o | --option) compgen -W "$(_switchboard_handler_options "$1" "$4")" -- "$3" ;;
    -a | --accept) compgen -W 'shared mutex flock pass reuseport' -- "$3" ;;
    -F | --frame) compgen -W 'none text2 text8 ready i32 u32 line netstring' -- "$3" ;;
    --auth-key-file) compgen -f -- "$3" ;;
    --auth-key-env) compgen -e -- "$3" ;;
    --auth-digest) compgen -W 'sha256 sha384 sha512 md5' -- "$3" ;;
    --user) compgen -u -- "$3" ;;
    --group | --socket-group) compgen -g -- "$3" ;;
    *) return 1 ;;
    esac
}

_switchboard_candidates() {
    local command=$1 word=$2
    shift 2
    local subcommand=${1-} previous=''
    if [[ -z $subcommand ]]; then
        compgen -W 'serve switch reload stop status top client load compare lab list new --help --version' -- "$word"
        return
    fi
    [[ $# -gt 1 ]] && previous=${*: -1}
    shift
    local handlers
    handlers=$(_switchboard_handlers "$@")
    if [[ $word == --*=* ]]; then
        _switchboard_value "$command" "${word%%=*}" "${word#*=}" "$handlers" | sed "s|^|${word%%=*}=|"
    elif [[ $word == -* ]]; then
        compgen -W "$(_switchboard_options "$command" "$subcommand")" -- "$word"
    elif _switchboard_value "$command" "$previous" "$word" "$handlers"; then
        :
    elif [[ $subcommand =~ ^(serve|compare|lab)$ && -z $handlers ]]; then
        _switchboard_list "$command" handlers "$word"
    elif [[ $subcommand == serve || $subcommand == client || $subcommand == load ]]; then
        _switchboard_addresses "$word"
    elif [[ $subcommand == list ]]; then
        compgen -W 'handlers strategies' -- "$word"
    elif [[ $subcommand == switch && -n $handlers ]]; then
        _switchboard_list "$command" handlers "$word"
    elif [[ $subcommand =~ ^(switch|reload|stop|status|top)$ ]]; then
        compgen -W "$(_switchboard_servers)" -- "$word"
    fi
}

# Readline cuts words at : and = too; here they are cut at blanks, and what readline has already is taken off again.
_switchboard() {
    local line=${COMP_LINE:0:COMP_POINT} word='' words kept
    read -ra words <<<"$line"
    [[ $line == *[[:blank:]] ]] || { word=${words[-1]}; unset 'words[-1]'; }
    mapfile -t COMPREPLY < <(_switchboard_candidates "${words[0]/#\~/$HOME}" "$word" "${words[@]:1}")
    kept=${word%"${word##*[:=]}"}
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:=/+] ]] && compopt -o nospace
}

complete -F _switchboard switchboard
