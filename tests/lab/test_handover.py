# SPDX-License-Identifier: GPL-2.0-or-later
"""fairlead comes to a node and leaves it, while another proxy serves the same address: no new connection meets a moment
in which neither does. Asked as fast as one program can, because such moments are parts of a millisecond."""
import contextlib
import signal
import subprocess
import sys
import time

import manifests

CLUSTER_IP = "10.96.3.9"
ROUNDS = 8
HAMMER = """
import signal, socket, struct
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
count, failures = 0, []
while not ended:
    with socket.socket() as sock:
        sock.settimeout(2)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            sock.connect(("%s", 80))
        except OSError as error:
            failures.append(repr(error))
        count += 1
print(count, len(failures), *failures[:3])
""" % CLUSTER_IP


def other_proxy(lab):
    """What serves the address beside fairlead: it comes behind fairlead's chains, being there first."""
    pod = lab.topology.pods["a1"].address(4)
    return (f"table ip other {{\n chain other {{\n type nat hook prerouting priority -100\n"
            f"ip daddr {CLUSTER_IP} tcp dport 80 dnat to {pod}:8080\n }}\n }}\n")


@contextlib.contextmanager
def hammered(lab, clients):
    """Gives a list, which after the block holds what each client's hammer says."""
    answers = []
    running = [lab.namespace(client).popen([sys.executable, "-c", HAMMER], stdout=subprocess.PIPE, text=True)
               for client in clients]
    try:
        yield answers
    finally:
        for child in running:
            child.send_signal(signal.SIGTERM)
        answers += [child.communicate(timeout=20)[0] for child in running]


def test_come_and_go(cluster, lab, prober):
    cluster.write("handed.yaml", manifests.simple("handed", lab.topology, [CLUSTER_IP], "a1 a2 a3"))
    proxy = cluster.proxies["n1"]
    proxy.stop()
    proxy.tool("cleanup")
    lab.namespace("n1").run(["nft", "-f", "-"], input=other_proxy(lab))
    assert prober.connect_once("d1", "tcp", CLUSTER_IP, 80).pod == "a1"
    with hammered(lab, ["b1", "d1"]) as answers:
        for _ in range(ROUNDS):
            proxy.start()
            proxy.wait_ready()
            time.sleep(0.05)
            assert prober.many(12, "d1", "tcp", CLUSTER_IP, 80).keys() - {"a1"}, "fairlead comes first"
            proxy.stop()
            proxy.tool("cleanup")
            time.sleep(0.05)
    lab.namespace("n1").run(["nft", "delete", "table", "ip", "other"])
    proxy.start()
    proxy.wait_ready()
    for answer in answers:
        count, failed, *which = answer.split(maxsplit=2)
        assert int(count) > 1000 and int(failed) == 0, f"{failed} of {count} new connections failed: {which}"
