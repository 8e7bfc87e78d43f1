# SPDX-License-Identifier: GPL-2.0-or-later
"""ConfigMaps as kubeadm made them (tests/config), mounted where its DaemonSet mounts them, with a service account's token:
the image is exchanged and nothing else."""
import base64
import pathlib
import socket

import embedded
import fed
import patience
import pytest
import yaml
from proxy import wait_until
from walk import ask

NODE = "n2"
MAPS = pathlib.Path(__file__).resolve().parent.parent / "config"
# In a mount namespace of its own, so that these paths are as in a container; the size of conntrack's table is the
# machine's, and stays out of reach.
CONTAINER = """
HASHSIZE=/sys/module/nf_conntrack/parameters/hashsize
mount -t tmpfs none /var/lib
mount -t tmpfs none /run
mkdir -p /var/lib/kube-proxy /var/run/secrets/kubernetes.io/serviceaccount
cp "$1"/*.conf /var/lib/kube-proxy
cp "$1"/token "$1"/ca.crt /var/run/secrets/kubernetes.io/serviceaccount
if [ -e $HASHSIZE ]; then
    echo 1048576 >/run/hashsize
    mount --bind /run/hashsize $HASHSIZE
fi
shift
exec "$@"
"""


class MountedProxy(fed.FedProxy):
    def __init__(self, lab, node, kubeconfig, case):
        super().__init__(lab, node, kubeconfig)
        self.mounted = lab.directory / f"mounted-{case.name}"
        self.log_name = f"{self.mounted.name}.log"
        self.mounted.mkdir()
        data = yaml.safe_load((case / "configmap.yaml").read_text())["data"]
        config = yaml.safe_load(kubeconfig)
        data["kubeconfig.conf"] = data["kubeconfig.conf"].replace("192.0.2.10:6443", f"{fed.API_ADDRESS}:{embedded.PORT}")
        data["token"] = config["users"][0]["user"]["token"]
        data["ca.crt"] = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
        for name, text in data.items():
            (self.mounted / name).write_text(text)

    def argv(self):
        return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", CONTAINER, "sh", str(self.mounted),
                fed.labs.binary(), "proxy", "--config=/var/lib/kube-proxy/config.conf", f"--hostname-override={self.node}",
                "--control-socket", str(self.socket)]


@pytest.mark.parametrize("name", ["kubeadm-1.21-dual-stack", "kubeadm-1.21-userspace", "kubeadm-1.25", "kubeadm-1.36", "kubeadm-edited"])
def test_as_mounted(lab, prober, api, rest, fleet, name):
    usual = fleet.proxies[NODE]
    usual.stop()
    proxy = MountedProxy(lab, NODE, api.node_kubeconfig(NODE), MAPS / name)
    try:
        proxy.start()
        proxy.wait_ready()
        fed.wait_equal([proxy], rest)
        assert ask(prober, "c2", "10.96.3.1").kind == "served"
        family, address = (socket.AF_INET6, "::1") if name == "kubeadm-1.36" else (socket.AF_INET, "127.0.0.1")
        for port in (10249, 10256):
            with lab.namespace(NODE).socket(family, socket.SOCK_STREAM) as client:
                client.settimeout(patience.seconds(5))
                client.connect((address, port))
        for line in (MAPS / name / "said.txt").read_text().splitlines():
            wait_until(lambda words=line[2:]: words in proxy.log(), 5, lambda words=line: f"{words!r} in the log:\n{proxy.log()}")
    finally:
        proxy.stop()
        usual.start()
        usual.wait_ready()
