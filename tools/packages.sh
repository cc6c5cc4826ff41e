# Read in by quickstart and check: installs what is missing on this machine, and nothing when nothing is.
#
#   need WHAT PACKAGE   notes PACKAGE unless WHAT is there: a command, pkg:MODULE of pkg-config, header:NAME, file:PATH,
#                       or python:MODULE
#   install_missing     installs what was noted; fails, after one sentence, where that cannot be done
missing=

have() {
    case $1 in
    pkg:*) pkg-config --exists "${1#pkg:}" 2>/dev/null ;;
    python:*) python3 -c "import ${1#python:}" 2>/dev/null ;;
    file:*) [ -e "${1#file:}" ] ;;
    header:*) echo "#include <${1#header:}>" | gcc -E - >/dev/null 2>&1 ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

need() {
    have "$1" || missing="$missing $2"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

apt_install() {
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >&2
}

install_missing() {
    [ -n "$missing" ] || return 0
    echo "${0##*/}: installing$missing" >&2
    if have apt-get && { [ "$(id -u)" -eq 0 ] || have sudo; }; then
        apt_install || { as_root apt-get update -qq >&2 && apt_install; } && return 0
    fi
    echo "${0##*/}: cannot install packages here; please install$missing (Debian's names) and start again" >&2
    return 1
}
