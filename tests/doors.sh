# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034 # the lists are for those who source this
# Shared by ./run and ./check, which source it from the root of the checkout: which packages, how to install them,
# how to configure and build. POSIX sh, because a fresh Debian has nothing else.

# The same names exist on Debian 12 and 13. One list for each reason to need packages.
build_packages="gcc libc6-dev linux-libc-dev meson ninja-build pkg-config
    libuv1-dev libyaml-dev libprotobuf-c-dev protobuf-c-compiler libnftnl-dev libmnl-dev
    libnetfilter-conntrack-dev libmicrohttpd-dev libjansson-dev libsqlite3-dev libgnutls28-dev
    libcurl4-gnutls-dev libcap-ng-dev libseccomp-dev uthash-dev libcmocka-dev python3 python3-protobuf protobuf-compiler"
lab_packages="iproute2 nftables conntrack nginx curl procps python3 python3-pytest python3-yaml"
api_packages="iproute2 nftables util-linux openssl python3 python3-pytest python3-yaml"
kube_proxy_packages="iptables ipset" # what a kube-proxy leaves is made and removed with them
vm_packages="iptables ipset kmod mount util-linux" # files of theirs are the guest's; qemu is tier_vm's own affair
clang_packages="clang libclang-rt-dev"
tools_packages="python3 python3-pytest shellcheck"
deb_packages="build-essential debhelper dpkg-dev"
package_packages="$deb_packages lintian debootstrap openssl python3 python3-pytest python3-yaml"

# Not the caller's PATH first: a root shell from `su` lacks sbin, and another python3 lacks Debian's modules.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
LC_ALL=C.UTF-8
DEBIAN_FRONTEND=noninteractive
export PATH LC_ALL DEBIAN_FRONTEND
umask 022

say() {
    printf '== %s\n' "$*"
}

complain() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

is_root() {
    [ "$(id -u)" -eq 0 ]
}

# Prints those of its arguments that are not installed, once each. Where there is no dpkg it prints none: what lacks will
# show.
packages_missing() {
    command -v dpkg-query >/dev/null || return 0
    installed=" $(dpkg-query -W -f '${db:Status-Status}:${Package}\n' "$@" 2>/dev/null |
        sed -n 's/^installed://p' | tr '\n' ' ')"
    for package in "$@"; do
        case $installed in
        *" $package "*) ;;
        *)
            printf '%s ' "$package"
            installed="$installed$package "
            ;;
        esac
    done
}

# Installs those of its arguments that are missing. On failure `why` says in one sentence what lacks.
packages_install() {
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    missing=${missing% }
    if ! is_root; then
        why="not installed, and only root can install: $missing"
        return 1
    fi
    # shellcheck disable=SC2086 # a list of words
    set -- $missing
    say "packages: installing $# of them and what they need"
    log=$(mktemp) || return 1
    hold_nginx
    apt_get update >"$log" 2>&1 || complain "apt-get update failed; going on with the package lists of this machine"
    { apt_get install "$@" 2>&1 || echo "$apt_failed"; } | apt_progress "$log"
    release_nginx "$missing"
    if grep -q "^$apt_failed$" "$log"; then
        tail -n 20 "$log" >&2
        why="apt-get could not install: $missing"
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

apt_failed="fairlead: apt-get failed"

apt_get() {
    apt-get -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null
}

# Keeps everything in the log and shows a line now and then.
apt_progress() {
    awk -v log_file="$1" '
        { print > log_file }
        /^(Get:|Unpacking|Setting up)/ { if (++steps % 50 == 0) { printf "   %d steps, now: %.80s\n", steps, $0; fflush() } }'
}

# The lab starts nginx itself, in pods. Debian's package would also start one for the whole machine, and at each boot;
# policy-rc.d(8) holds it back. It denies only while this process lives, so a killed door leaves no lasting refusal;
# one that stands there already is the administrator's and stays.
hold_nginx() {
    policy=/usr/sbin/policy-rc.d
    policy_mark='# Written by a door of fairlead, for the length of its apt-get: no nginx for the whole machine.'
    if [ -e "$policy" ] && ! grep -qxF "$policy_mark" "$policy"; then
        policy=
        return 0
    fi
    printf '%s\n' '#!/bin/sh' "$policy_mark" "[ -d /proc/$$ ] || exit 0" \
        'case " $* " in *" nginx "* | *" nginx.service "*) exit 101 ;; esac' >"$policy" &&
        chmod 755 "$policy"
}

release_nginx() {
    [ -z "$policy" ] || rm -f "$policy"
    case " $1 " in
    *" nginx "*) [ ! -e /etc/init.d/nginx ] || update-rc.d nginx disable >/dev/null 2>&1 || true ;;
    esac
}

# build_in DIR [MESON OPTION...]: configures DIR once and builds it. Options of a folder that stands already are kept.
build_in() {
    build_dir=$1
    shift
    if [ ! -f "$build_dir/build.ninja" ]; then
        rm -rf "$build_dir"
        say "configuring $build_dir"
        meson setup "$build_dir" "$@" </dev/null || return 1
    fi
    say "building $build_dir"
    ninja -C "$build_dir" </dev/null
}

# Says in `why` what keeps the lab from running here; true when nothing does.
lab_possible() {
    why=
    if ! is_root; then
        why="the lab makes network namespaces: only root can"
    elif ! unshare --net true 2>/dev/null; then
        why="this machine does not allow a new network namespace (unshare --net)"
    elif ! unshare --net nft add table inet fairlead_probe 2>/dev/null; then
        why="this kernel has no nftables for a new network namespace (nft add table)"
    fi
    [ -z "$why" ]
}

# Prints the kubectl programs to test with, colons between them: Debian's, unpacked into DIR but not installed, because
# /usr/bin/kubectl may belong to somebody else's package; and any other that is on the PATH. Debian 12 has it in
# kubernetes-client, Debian 13 in kubectl, which the former only depends on.
kubectls() {
    kubectl_dir=$1 found=
    for package in kubernetes-client kubectl; do
        [ -x "$kubectl_dir/usr/bin/kubectl" ] || unpack_package "$package" "$kubectl_dir" || break
    done
    [ ! -x "$kubectl_dir/usr/bin/kubectl" ] || found=$kubectl_dir/usr/bin/kubectl
    other=$(command -v kubectl) && found=$found${found:+:}$other
    printf '%s\n' "$found"
}

# unpack_package NAME DIR: Debian's own build of it, whatever other source of packages this machine has.
unpack_package() {
    mkdir -p "$2" || return 1
    release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    (
        cd "$2" || exit 1
        rm -f ./*.deb
        apt-get -q -o APT::Sandbox::User=root download "$1/$release" ||
            { apt_get update && apt-get -q -o APT::Sandbox::User=root download "$1/$release"; } || exit 1
        dpkg -x ./*.deb . && rm -f ./*.deb
    ) >"$2/log" 2>&1 </dev/null && return
    complain "cannot unpack $1: $(tail -n 1 "$2/log")"
    return 1
}
