# Sourced by the scripts beside it: says a line, and installs Debian packages as root or through sudo.

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

# Installs packages; fails with a sentence where that is not possible.
install() {
    local as_root=()
    if ! command -v apt-get >/dev/null; then
        say "cannot install $* here (no apt-get); install them with your system's package manager and try again"
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { say "cannot install $* without root; ask for them, or run this as root"; exit 1; }
        as_root=(sudo)
    fi
    say "installing $*"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
