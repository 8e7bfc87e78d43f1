# SPDX-License-Identifier: GPL-2.0-or-later
"""What dist/kubernetes says, as values."""
import re

import system
import yaml

FOLDER = system.ROOT / "dist" / "kubernetes"
VERSION = re.search(r"version: '(.*)'", (system.ROOT / "meson.build").read_text())[1]


def objects(name):
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def kind(name, wanted):
    found, = [thing for thing in objects(name) if thing["kind"] == wanted]
    return found


def daemon_set():
    return kind("daemonset.yaml", "DaemonSet")


def pod():
    return daemon_set()["spec"]["template"]["spec"]


def configmap():
    return kind("configmap.yaml", "ConfigMap")
