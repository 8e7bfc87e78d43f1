# SPDX-License-Identifier: GPL-2.0-or-later
"""dist/kubernetes fits together, and with the program. tests/real asks a kube-apiserver what it thinks of it."""
import subprocess

import kubernetes
import pytest
import yaml


def containers():
    pod = kubernetes.pod()
    return pod["initContainers"] + pod["containers"]


def test_parts_name_each_other():
    daemon_set, pod = kubernetes.daemon_set(), kubernetes.pod()
    labels = daemon_set["spec"]["template"]["metadata"]["labels"]
    assert daemon_set["spec"]["selector"]["matchLabels"].items() <= labels.items()
    account = kubernetes.kind("rbac.yaml", "ServiceAccount")["metadata"]
    binding = kubernetes.kind("rbac.yaml", "ClusterRoleBinding")
    assert pod["serviceAccountName"] == account["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}]
    assert binding["roleRef"]["name"] == kubernetes.kind("rbac.yaml", "ClusterRole")["metadata"]["name"]
    assert daemon_set["metadata"]["namespace"] == account["namespace"] == kubernetes.configmap()["metadata"]["namespace"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["kube-proxy"]["configMap"]["name"] == kubernetes.configmap()["metadata"]["name"]
    for one in containers():
        assert {mount["name"] for mount in one["volumeMounts"]} <= volumes.keys()
        assert one["image"] == f"localhost/fairlead:{kubernetes.VERSION}"


def test_what_serves_is_not_privileged():
    for one in kubernetes.pod()["containers"]:
        context = one["securityContext"]
        assert not context["privileged"] and not context["allowPrivilegeEscalation"] and context["readOnlyRootFilesystem"]
        assert context["capabilities"]["drop"] == ["ALL"]
    for one in kubernetes.pod()["initContainers"]:
        assert "--init-only" in one["command"]


def test_no_right_is_a_wildcard():
    for rule in kubernetes.kind("rbac.yaml", "ClusterRole")["rules"]:
        assert not {"*"} & {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}


@pytest.mark.parametrize("file", ["configmap", "package"])
def test_configuration_is_complete(program, file, tmp_path):
    """The program takes it without a word, and knows what it says."""
    config = tmp_path / "config.conf"
    config.write_text(kubernetes.configmap()["data"]["config.conf"] if file == "configmap" else
                      (kubernetes.FOLDER.parent / "etc/proxy.yaml").read_text())
    written = tmp_path / "written"
    done = subprocess.run([program, "proxy", f"--config={config}", f"--write-config-to={written}"], text=True,
                          capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert yaml.safe_load(written.read_text())["mode"] == "nftables"


def test_probes_are_answered_where_they_ask(program, tmp_path):
    config, written = tmp_path / "config.conf", tmp_path / "written"
    config.write_text(kubernetes.configmap()["data"]["config.conf"])
    subprocess.run([program, "proxy", f"--config={config}", f"--write-config-to={written}"], check=True)
    port = int(yaml.safe_load(written.read_text())["healthzBindAddress"].rpartition(":")[2])
    for one in kubernetes.pod()["containers"]:
        assert {one[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} == {port}
        assert one["livenessProbe"]["httpGet"]["path"] == "/livez"
