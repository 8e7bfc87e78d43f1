# SPDX-License-Identifier: GPL-2.0-or-later
"""dist/Containerfile, its steps done on bare systems; the image then runs as dist/kubernetes/daemonset.yaml says."""
import re
import subprocess

import container
import kubernetes
import pytest
import system

CONTAINERFILE = system.ROOT / "dist" / "Containerfile"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
BITS = {"NET_ADMIN": 12, "NET_RAW": 13}

# As the kubelet would: what is mounted is writable and nothing else, the capabilities are those that are named. Then asks
# the daemon how it is until it answers.
POD = """
set -e
mkdir -p {account} /run/fairlead
cp /root/account/* {account}
mount -t tmpfs tmpfs /run/fairlead
"$@" --init-only
mount -o remount,bind,ro /
if touch /root/file 2>/dev/null; then echo the root is writable; exit 1; fi
setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,{capabilities} "$@" >/run/fairlead/log 2>&1 &
for attempt in $(seq 100); do
    fairlead status >/run/fairlead/status 2>&1 || true
    if grep -q '^node: n1' /run/fairlead/status && grep -q 'cannot read' /run/fairlead/log; then break; fi
    sleep 0.1
done
cat /run/fairlead/status /run/fairlead/log "/proc/$!/status"
kill -TERM $!
wait $!
"""


@pytest.fixture(scope="module")
def image(new_system):
    probe = new_system("bookworm").apt("update", check=False)
    if probe.returncode or "Failed to fetch" in probe.stderr:
        pytest.skip(f"needs a Debian mirror: {probe.stderr.strip().splitlines()[-1:]}")
    return container.build(CONTAINERFILE, system.ROOT, new_system)


def test_name_of_kube_proxy(image):
    assert image.system.run("/usr/local/bin/kube-proxy", "--version").stdout == f"fairlead {kubernetes.VERSION}\n"
    assert "fairlead proxy" in image.system.run("/usr/local/bin/kube-proxy", "--help").stdout.splitlines()[0]
    assert image.system.run(*image.config["ENTRYPOINT"], *image.config["CMD"]).stdout.startswith("fairlead: ")


def test_holds_what_runs_and_no_more(image):
    packages = image.system.run("dpkg-query", "-W", "-f", "${Package}\n").stdout.split()
    assert "fairlead" in packages and "iptables" in packages
    assert not [name for name in packages if name.endswith("-dev") or name in ("gcc", "meson", "python3", "debhelper")]
    left = [path for path in image.system.files() if path.endswith(".deb") or path.startswith(("./source", "./out", "./package"))]
    assert not left


def test_version_is_the_projects():
    assert f"localhost/fairlead:{kubernetes.VERSION}" in CONTAINERFILE.read_text()


def test_runs_as_the_daemon_set_says(image, tmp_path):
    """With the files that the ConfigMap and the account bring; the API server is away."""
    pod, tree = kubernetes.pod(), image.system.path
    one = pod["containers"][0]
    files = kubernetes.configmap()["data"]
    (tree / "var/lib/kube-proxy").mkdir(parents=True)
    # Not a kubelet's process, whose score that is, and not the machine's own network, which alone has that limit.
    files["config.conf"] = files["config.conf"].replace("oomScoreAdj: -997", "oomScoreAdj: 0") + "conntrack: {maxPerCore: 0}\n"
    for name, text in files.items():
        (tree / "var/lib/kube-proxy" / name).write_text(text.replace("https://control-plane.example", "https://127.0.0.1"))
    (tree / "root/account").mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                    "-subj", "/CN=cluster", "-keyout", tmp_path / "key", "-out", tree / "root/account/ca.crt"],
                   check=True, capture_output=True)
    (tree / "root/account/token").write_text("token")
    added = one["securityContext"]["capabilities"]["add"]
    script = POD.format(account=ACCOUNT, capabilities=",".join(f"+{name.lower()}" for name in added))
    command = [word.replace("$(NODE_NAME)", "n1") for word in one["command"]]
    done = image.system.run("sh", "-c", script, "sh", *command, own_network=True)
    assert re.search("^node: n1$", done.stdout, re.MULTILINE), done.stdout
    bounding = int(re.search(r"^CapBnd:\s*(\w+)", done.stdout, re.MULTILINE)[1], 16)
    assert bounding == sum(1 << BITS[name] for name in added)
    # The one thing that it complains of is that nobody serves.
    complaints = [line for line in done.stdout.splitlines() if re.match("[WE] ", line)]
    assert complaints and all("127.0.0.1" in line for line in complaints), done.stdout
