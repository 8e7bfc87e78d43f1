#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A door on a bare Debian: nothing but debootstrap's minbase, a clone of this checkout, and one command.
set -eu

usage() {
    cat <<'EOF'
usage: tests/bare/bare.sh [--worktree] RELEASE [DOOR [OPTION...]]
       tests/bare/bare.sh --worktree trixie ./check --quick

Runs DOOR (./check unless named) on a bare Debian RELEASE (bookworm, trixie, ...), as root. The machine lends its kernel
and its network; files, processes, mounts and the network namespaces that the door makes are the bare system's own, and
go with it. Needs root, debootstrap and a network.

  --worktree  the files as they lie here, committed or not (not ignored ones), instead of a clone of HEAD

From the environment: BARE_CACHE is a folder to keep the bare systems in between runs (otherwise each run makes its own),
BARE_MIRROR the Debian mirror (http://deb.debian.org/debian), TMPDIR the place for the running system (2 GB).
Exit status: the door's own.
EOF
}

worktree=
case ${1:-} in
--worktree)
    worktree=1
    shift
    ;;
-h | --help)
    usage
    exit 0
    ;;
esac
[ $# -ge 1 ] || {
    usage >&2
    exit 2
}
release=$1
shift
[ $# -ge 1 ] || set -- ./check

PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null; then
    echo "bare.sh: needs root and debootstrap" >&2
    exit 1
fi
here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
# Its mounts live in the inner namespace only, so this removes plain files and nothing of the machine.
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

cache=${BARE_CACHE:-$work}
mkdir -p "$cache"
base=$cache/$release.tar
if [ ! -f "$base" ]; then
    echo "== making a bare $release"
    "$here/tree.sh" base "$release" "$base"
fi

tree=$work/tree
mkdir "$tree"
tar -C "$tree" -xf "$base"
# The names of the machine's network: the bare system shares that network, and has no resolver of its own.
cat /etc/resolv.conf >"$tree/etc/resolv.conf"
echo "127.0.0.1 localhost $(uname -n)" >"$tree/etc/hosts"
copy=$tree/root/fairlead
if [ -n "$worktree" ]; then
    mkdir "$copy"
    git -C "$checkout" ls-files -z --cached --others --exclude-standard --deduplicate |
        tar -C "$checkout" --null --ignore-failed-read --no-recursion -T - -cf - | tar -C "$copy" -xf -
else
    git clone --quiet --no-hardlinks "$checkout" "$copy"
fi
chown -R 0:0 "$copy"

echo "== $release: $*"
status=0
unshare --mount --pid --ipc --uts --fork --kill-child "$here/tree.sh" enter "$tree" /root/fairlead "$@" </dev/null || status=$?
echo "== $release: $* ended with status $status"
exit "$status"
