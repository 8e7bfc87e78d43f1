#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds Debian packages of this checkout for this machine's release: dist/deb.sh [OUT], OUT/fairlead_VERSION_ARCH.deb.
# OUT (build-deb unless named) keeps what was compiled for the next time. Options of dpkg-buildpackage and debhelper come
# from the environment (DEB_BUILD_OPTIONS), as does the compiler (CC).
set -eu
cd "$(dirname "$0")/.."
. tests/doors.sh

out=${1:-build-deb}
tree=$out/fairlead
mkdir -p "$out"
# shellcheck disable=SC2086 # a list of words
packages_install $build_packages $deb_packages || {
    complain "$why"
    exit 1
}

# A fresh tree, with the times of its files: what has not changed is not compiled again.
if [ -d "$tree/obj" ]; then
    rm -rf "$out/obj"
    mv "$tree/obj" "$out/obj"
fi
rm -rf "$tree"
mkdir "$tree"
tar -cf - --exclude='__pycache__' LICENSE README.md meson.build meson_options.txt bench dist examples src tests |
    tar -C "$tree" -xf -
[ ! -d "$out/obj" ] || mv "$out/obj" "$tree/obj"
mv "$tree/dist/debian" "$tree/debian"
cp dist/systemd/fairlead.service "$tree/debian/fairlead.service"
cp dist/systemd/fairlead-proxy.service "$tree/debian/fairlead.fairlead-proxy.service"
cp dist/etc/default "$tree/debian/fairlead.default"
cp dist/README.md "$tree/debian/README.Debian"
# shellcheck disable=SC2086 # a list of words
depends=$(printf ', %s' $build_packages)
sed -i "s/@BUILD_PACKAGES@/${depends#, }/" "$tree/debian/control"

rm -f "$out"/*.deb "$out"/*.changes "$out"/*.buildinfo
(cd "$tree" && dpkg-buildpackage --build=binary --no-sign --no-pre-clean >../log 2>&1 </dev/null) || {
    tail -n 40 "$out/log" >&2
    complain "the package could not be built (all of it: $out/log)"
    exit 1
}
ls "$out"/*.deb
