#!/usr/bin/env bash
# Installs with apt what is missing to build lathe (`build`), to run its tests too (`check`), its demo (`demo`), or to train with several
# processes (`mpi`: Open MPI, which a build takes in if it is there). Each need is probed, not looked up in a package list, so that
# libraries from elsewhere count; where nothing is missing nothing is done.
set -u
goal=${1:-build}
missing=()
need() { missing+=("$@"); }
has() { command -v "$1" >/dev/null 2>&1; }

has make || need make
has "${CC:-cc}" || need gcc libc6-dev
has pkg-config || need pkg-config
# pkg-config's name, then Debian's
while read -r module package; do
    has pkg-config && pkg-config --exists "$module" 2>/dev/null || need "$package"
done <<'END'
libutf8proc libutf8proc-dev
libpcre2-8 libpcre2-dev
sqlite3 libsqlite3-dev
zlib zlib1g-dev
libzstd libzstd-dev
END

if [ "$goal" = check ]; then
    has pkg-config && pkg-config --exists cmocka 2>/dev/null || need libcmocka-dev
    has cmake || need cmake
    has clang || need clang
    echo 'int LLVMFuzzerTestOneInput(const unsigned char *p, unsigned long n) { return !p && n; }' |
        clang -fsanitize=fuzzer,address,undefined -x c -o /dev/null - >/dev/null 2>&1 || need libclang-rt-dev
fi
if [ "$goal" = mpi ]; then
    has pkg-config && pkg-config --exists ompi-c 2>/dev/null || has mpicc || need libopenmpi-dev
    has mpirun || need openmpi-bin
fi
if [ "$goal" = check ] || [ "$goal" = demo ]; then
    has python3 || need python3
    python3 -m pip --version >/dev/null 2>&1 || need python3-pip
fi
[ ${#missing[@]} -gt 0 ] || exit 0

root=()
if ! has apt-get; then
    echo "setup: missing: ${missing[*]} (Debian's names), and there is no apt-get here: install them by hand" >&2
    exit 1
elif [ "$(id -u)" != 0 ]; then
    if ! has sudo; then
        echo "setup: missing: ${missing[*]}. As root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    root=(sudo)
fi
echo "setup: installing ${missing[*]}" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" >>"$log" 2>&1 </dev/null; }
if ! { apt update && apt install -y --no-install-recommends "${missing[@]}"; }; then
    tail -n 20 "$log" >&2
    echo "setup: apt-get could not install ${missing[*]}" >&2
    exit 1
fi
