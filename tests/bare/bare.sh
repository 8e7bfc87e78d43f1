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

# Inside the new mount and process namespaces: makes $tree the root, with kernel file systems of its own, and runs "$@".
enter() {
    mount --make-rprivate /
    mount --bind "$tree" "$tree"
    cd "$tree"
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount -t tmpfs -o mode=755 tmpfs run
    mount -t tmpfs -o mode=1777 tmpfs tmp
    mount -t tmpfs -o mode=755 tmpfs dev
    while read -r name major minor; do
        mknod -m 666 "dev/$name" c "$major" "$minor"
    done <<'EOF'
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
EOF
    mkdir dev/pts dev/shm run/lock
    mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts dev/pts
    mount -t tmpfs -o mode=1777 tmpfs dev/shm
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    ln -s /proc/self/fd/0 dev/stdin
    ln -s /proc/self/fd/1 dev/stdout
    ln -s /proc/self/fd/2 dev/stderr
    # pivot_root, not chroot: / is then a mount point, as `ip netns exec` needs, and nothing of the machine stays in sight.
    pivot_root . mnt
    umount -l /mnt
    cd /root/fairlead
    # This shell stays, as process 1: it reaps what others leave, and its end is everybody's.
    status=0
    env -i HOME=/root TERM="${TERM:-dumb}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" || status=$?
    exit "$status"
}

if [ "${1:-}" = --inside ]; then
    tree=$2
    shift 2
    enter "$@"
fi

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
    debootstrap --variant=minbase "$release" "$work/new" "${BARE_MIRROR:-http://deb.debian.org/debian}" >"$work/log" 2>&1 || {
        tail -n 20 "$work/log" >&2
        exit 1
    }
    tar -C "$work/new" --one-file-system -cf "$base.$$" .
    mv "$base.$$" "$base"
    rm -rf --one-file-system "$work/new"
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
unshare --mount --pid --ipc --uts --fork --kill-child "$here/bare.sh" --inside "$tree" "$@" </dev/null || status=$?
echo "== $release: $* ended with status $status"
exit "$status"
