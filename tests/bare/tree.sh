#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A bare Debian as a folder: made, and entered as a system of its own. Not a door: bare.sh and tests/package call it.
#
#   tree.sh base RELEASE TAR [PACKAGE,...]       debootstrap's minbase, and those packages, as TAR
#   tree.sh enter TREE FOLDER COMMAND...         runs COMMAND in FOLDER, TREE being the root
#   tree.sh boot TREE GROUP                      runs TREE's systemd, in control groups below one that is named GROUP
#
# enter and boot are called inside new mount, process and IPC namespaces (unshare), which they fill: their caller becomes
# process 1 there. boot is called inside a new network namespace as well, and makes the control group namespace itself.
set -eu

base() {
    release=$1 tar=$2
    new=$(mktemp -d)
    trap 'rm -rf --one-file-system "$new"' EXIT
    debootstrap --variant=minbase ${3:+--include="$3"} "$release" "$new/tree" \
        "${BARE_MIRROR:-http://deb.debian.org/debian}" >"$new/log" 2>&1 || {
        tail -n 20 "$new/log" >&2
        exit 1
    }
    rm -f "$new"/tree/var/cache/apt/archives/*.deb
    tar -C "$new/tree" --one-file-system -cf "$tar.$$" .
    mv "$tar.$$" "$tar"
}

# Makes the folder $tree the working directory and a mount, with kernel file systems of its own below it.
furnish() {
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
    done <<'END'
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
END
    mkdir dev/pts dev/shm run/lock
    mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts dev/pts
    mount -t tmpfs -o mode=1777 tmpfs dev/shm
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    ln -s /proc/self/fd/0 dev/stdin
    ln -s /proc/self/fd/1 dev/stdout
    ln -s /proc/self/fd/2 dev/stderr
}

# pivot_root, not chroot: / is then a mount point, as `ip netns exec` needs, and nothing of the machine stays in sight.
pivot() {
    pivot_root . mnt
    umount -l /mnt
}

path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

enter() {
    tree=$1 folder=$2
    shift 2
    furnish
    pivot
    cd "$folder"
    # This shell stays, as process 1: it reaps what others leave, and its end is everybody's.
    status=0
    env -i HOME=/root TERM="${TERM:-dumb}" PATH=$path "$@" || status=$?
    exit "$status"
}

# A systemd wants to write control groups: a group of its own in each hierarchy that it uses is the root that it sees.
hierarchies() {
    if [ -e /sys/fs/cgroup/cgroup.procs ]; then
        echo .
    else
        echo unified systemd
    fi
}

boot() {
    tree=$1 group=$2
    if [ "${3:-}" != grouped ]; then
        for hierarchy in $(hierarchies); do
            mkdir "/sys/fs/cgroup/$hierarchy/$group"
            echo $$ >"/sys/fs/cgroup/$hierarchy/$group/cgroup.procs"
        done
        exec unshare --cgroup "$0" boot "$tree" "$group" grouped
    fi
    hierarchies=$(hierarchies)
    furnish
    # The settings of the kernel are the machine's, those of the network are the namespace's own.
    mount --bind proc/sys proc/sys
    mount --bind proc/sys/net proc/sys/net
    mount -o remount,bind,ro proc/sys
    if [ "$hierarchies" = . ]; then
        mount -t cgroup2 cgroup2 sys/fs/cgroup
    else
        mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
        mkdir sys/fs/cgroup/unified sys/fs/cgroup/systemd
        mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
        mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
    fi
    ip link set lo up
    pivot
    exec env -i container=lxc PATH=$path /lib/systemd/systemd --log-target=console --show-status=no
}

"$@"
