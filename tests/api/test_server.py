# SPDX-License-Identifier: GPL-2.0-or-later
"""The server as it is on the wire: what outlives it, what a watch is promised, and who may do what."""
import concurrent.futures
import http.client
import random
import re
import socket
import ssl
import subprocess

import objects
import pytest
from objects import config_map, path, service
from rest import Rest

MAPS, SERVICES = path("configmaps"), path("services")


@pytest.fixture
def admin(server):
    return Rest(server.namespace, server.kubeconfig.read_text())


def contents(rest):
    """Everything that is stored of two kinds, and the revision."""
    lists = [rest.good("GET", where) for where in ("/api/v1/configmaps", "/api/v1/services")]
    return [one["items"] for one in lists], int(lists[-1]["metadata"]["resourceVersion"])


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_objects_and_revisions_outlive_the_server(server, admin, end):
    """Whether it was asked to end or killed, what it acknowledged is there again, to the byte; and it counts on."""
    for number in range(20):
        admin.good("POST", MAPS, config_map(f"c{number}", n=str(number)))
    admin.good("POST", SERVICES, service("web", type="NodePort", ipFamilyPolicy="PreferDualStack"))
    admin.good("DELETE", path("configmaps", "c7"))
    before, revision = contents(admin)
    getattr(server, end)()
    server.start()
    after, revision_after = contents(admin)
    assert after == before and revision_after >= revision
    new = admin.good("POST", MAPS, config_map("later"))
    assert int(new["metadata"]["resourceVersion"]) > revision
    given = {admin.good("POST", SERVICES, service(f"s{n}", type="NodePort"))["spec"]["clusterIP"] for n in range(5)}
    assert len(given) == 5 and before[1][-1]["spec"]["clusterIP"] not in given


def test_a_kill_during_writes_loses_nothing_that_was_acknowledged(server, admin):
    """Five lives; in each one clients write until the server is gone in the middle of it."""
    random_source = random.Random(3)
    acknowledged = {}
    for life in range(5):
        until = random_source.randrange(10, 60)
        try:
            with admin.one_connection():
                for number in range(until + 1):
                    last = f"c{random_source.randrange(20)}"
                    if number == until:
                        server.child.kill()
                    method, name = ("PUT", last) if last in acknowledged else ("POST", "")
                    made = admin.good(method, path("configmaps", name), config_map(last, turn=f"{life}.{number}"))
                    # The items of a list do not repeat what the list says of them.
                    acknowledged[last] = {key: made[key] for key in made.keys() - {"apiVersion", "kind"}}
        except (OSError, http.client.HTTPException):
            # The last one was not acknowledged: it may be there or not.
            acknowledged.pop(last, None)
        server.kill()
        server.start()
        stored = {one["metadata"]["name"]: one for one in admin.good("GET", MAPS)["items"]}
        assert {name: one for name, one in stored.items() if name != last} == acknowledged
        acknowledged.update({last: stored[last]} if last in stored else {})


def test_a_watch_goes_on_from_where_it_was(admin):
    first = admin.good("POST", MAPS, config_map("a"))
    start = first["metadata"]["resourceVersion"]
    with admin.watch(f"{MAPS}?watch=1&resourceVersion={start}") as watch:
        second = admin.good("POST", MAPS, config_map("b"))
        event = watch.next()
        assert (event["type"], event["object"]) == ("ADDED", second)
    admin.good("PUT", path("configmaps", "b"), config_map("b", x="y"))
    gone = admin.good("DELETE", path("configmaps", "a"))
    assert gone["kind"] == "Status"
    with admin.watch(f"{MAPS}?watch=1&resourceVersion={start}") as watch:
        seen = [watch.next() for _ in range(3)]
    assert [(one["type"], one["object"]["metadata"]["name"]) for one in seen] == \
        [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "a")]
    revisions = [int(one["object"]["metadata"]["resourceVersion"]) for one in seen]
    assert revisions == sorted(set(revisions)) and revisions[0] > int(start)


def test_a_watch_of_a_selection_sees_what_comes_in_and_goes_out(admin):
    start = admin.good("GET", MAPS)["metadata"]["resourceVersion"]
    with admin.watch(f"{MAPS}?watch=1&labelSelector=in%3Dyes&resourceVersion={start}") as watch:
        for label in ("no", "yes", "yes", "no"):
            body = {**config_map("m", turn=label + str(random.random())), "metadata": {"name": "m", "labels": {"in": label}}}
            method, where = ("POST", MAPS) if label == "no" and not admin.good("GET", MAPS)["items"] \
                else ("PUT", path("configmaps", "m"))
            admin.good(method, where, body)
        assert [watch.next()["type"] for _ in range(3)] == ["ADDED", "MODIFIED", "DELETED"]


def test_a_watch_from_before_a_restart_is_told_to_list_again(server, admin):
    """The history is not durable: from the last revision on a watch goes on, from an earlier one it gets 410 Gone."""
    old = admin.good("POST", MAPS, config_map("a"))["metadata"]["resourceVersion"]
    admin.good("POST", MAPS, config_map("b"))
    last = admin.good("GET", MAPS)["metadata"]["resourceVersion"]
    server.kill()
    server.start()
    with admin.watch(f"{MAPS}?watch=1&resourceVersion={old}") as watch:
        event = watch.next()
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
        assert watch.next() is None
    with admin.watch(f"{MAPS}?watch=1&resourceVersion={last}") as watch:
        admin.good("POST", MAPS, config_map("c"))
        assert watch.next()["object"]["metadata"]["name"] == "c"


def test_initial_events_end_in_a_bookmark(admin):
    """KEP-3157: sendInitialEvents brings what there is as ADDED, then a bookmark that says so, then the news."""
    admin.good("POST", MAPS, config_map("a"))
    admin.good("POST", MAPS, config_map("b"))
    with admin.watch(f"{MAPS}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true"
                     "&resourceVersionMatch=NotOlderThan") as watch:
        assert {watch.next()["object"]["metadata"]["name"] for _ in range(2)} == {"a", "b"}
        mark = watch.next()
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        admin.good("POST", MAPS, config_map("c"))
        assert watch.next()["object"]["metadata"]["name"] == "c"


def test_pages_show_one_moment(admin):
    """A list in pages is that of its first page, whatever is written meanwhile."""
    for number in range(7):
        admin.good("POST", MAPS, config_map(f"c{number}"))
    page = admin.good("GET", f"{MAPS}?limit=3")
    assert page["metadata"]["remainingItemCount"] == 4
    names, revision = [], page["metadata"]["resourceVersion"]
    admin.good("POST", MAPS, config_map("c5b"))
    admin.good("DELETE", path("configmaps", "c6"))
    while True:
        names += [one["metadata"]["name"] for one in page["items"]]
        assert page["metadata"]["resourceVersion"] == revision
        token = page["metadata"].get("continue")
        if not token:
            break
        page = admin.good("GET", f"{MAPS}?limit=3&continue={token}")
    assert names == [f"c{number}" for number in range(7)]
    assert admin.get(f"{MAPS}?limit=3&continue=nonsense").status == 400


def test_protobuf_both_ways(admin):
    """application/vnd.kubernetes.protobuf: what JSON wrote comes out packed, goes in again, and a watch frames it."""
    kind = "application/vnd.kubernetes.protobuf"
    made = admin.good("POST", MAPS, config_map("packed", colour="blue"))
    answer = admin.get(path("configmaps", "packed"), Accept=kind)
    assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
    assert answer.body.startswith(b"k8s\0") and b"colour" in answer.body
    start = made["metadata"]["resourceVersion"]
    with admin.watch(f"{MAPS}?watch=1&resourceVersion={start}", Accept=f"{kind};stream=watch") as watch:
        changed = admin.ask("PUT", path("configmaps", "packed"), answer.body.replace(b"blue", b"gray"), Content_Type=kind)
        assert changed.status == 200 and changed.json["data"] == {"colour": "gray"}
        frame = watch.next_frame()
        assert b"MODIFIED" in frame and b"k8s\0" in frame and b"gray" in frame
    assert admin.ask("POST", MAPS, b"k8s\0\xff\xff\xff\xff", Content_Type=kind).status == 400
    assert admin.ask("POST", MAPS, b"no magic", Content_Type=kind).status == 400


def test_yaml_in_and_out(admin):
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: written}\ndata: {a: 'b'}\n"
    answer = admin.ask("POST", MAPS, text, Content_Type="application/yaml", Accept="application/yaml")
    assert answer.status == 201 and b"kind: ConfigMap\n" in answer.body
    assert admin.ask("POST", MAPS, "<xml/>", Content_Type="application/xml").status == 415
    assert admin.get(MAPS, Accept="application/xml").status == 406


def test_of_many_writers_each_wins_once(server, admin):
    """Six clients count in one object by reading and replacing it: whoever comes late gets 409, and no count is lost."""
    admin.good("POST", MAPS, config_map("count", n="0"))

    def count(times):
        rest = Rest(server.namespace, server.kubeconfig.read_text())
        with rest.one_connection():
            while times:
                seen = rest.good("GET", path("configmaps", "count"))
                seen["data"]["n"] = str(int(seen["data"]["n"]) + 1)
                answer = rest.ask("PUT", path("configmaps", "count"), seen)
                assert answer.status in (200, 409), answer
                times -= answer.status == 200
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for one in [pool.submit(count, 25) for _ in range(6)]:
            one.result()
    assert admin.good("GET", path("configmaps", "count"))["data"]["n"] == "150"


def test_several_addresses(new_server):
    """IPv4 and IPv6, one certificate for both, one world behind them."""
    server = new_server(api="127.0.0.1:6443,[::1]:6444").start()
    four, six = (Rest(server.namespace, server.kubeconfig.read_text()) for _ in range(2))
    six.address, six.port = "::1", 6444
    made = four.good("POST", MAPS, config_map("seen"))
    assert six.good("GET", path("configmaps", "seen"))["metadata"]["uid"] == made["metadata"]["uid"]


def test_without_tls_a_token_opens(new_server):
    """For a loopback that nobody else is on: the token of the kubeconfig opens, nobody else gets anything."""
    server = new_server(**{"api-tls": "false"}).start()
    kubeconfig = server.kubeconfig.read_text()
    assert f"server: http://127.0.0.1:{server.port}\n" in kubeconfig
    token = re.search(r"token: (\S+)", kubeconfig)[1]
    for header, status in ((f"Authorization: Bearer {token}\r\n", "200"), ("", "403"),
                           ("Authorization: Bearer wrong\r\n", "401")):
        with server.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.connect(("127.0.0.1", server.port))
            sock.sendall(f"GET {MAPS} HTTP/1.1\r\nHost: a\r\n{header}\r\n".encode())
            assert sock.recv(100).decode().split()[1] == status


def test_nobody_gets_nothing(server):
    """A wrong token is 401, no name at all is system:anonymous, who may do nothing; health alone is for everybody."""
    kubeconfig = server.kubeconfig.read_text()
    anonymous = Rest(server.namespace, kubeconfig, anonymous=True)
    for stranger, want in ((Rest(server.namespace, kubeconfig, token="wrong"), (401, "Unauthorized")),
                           (anonymous, (403, "Forbidden"))):
        for method, where in (("GET", SERVICES), ("POST", SERVICES), ("GET", "/api/v1/namespaces"), ("DELETE", MAPS),
                              ("GET", "/openapi/v2"), ("GET", "/nowhere")):
            answer = stranger.ask(method, where)
            assert (answer.status, answer.json["reason"]) == want, (method, where)
    assert [anonymous.get(where).status for where in ("/healthz", "/livez", "/readyz", "/version")] == [200] * 4


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def test_certificates_of_others_open_nothing(server, tmp_path):
    """A certificate that another authority signed, and one that nobody did: administrators in name only."""
    stranger = Rest(server.namespace, server.kubeconfig.read_text(), anonymous=True)
    name = "/O=system:masters/CN=kubernetes-admin"
    openssl(tmp_path, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key",
            "-out", "own", "-days", "1", "-subj", name, "-addext", "extendedKeyUsage=clientAuth")
    stranger.use_certificate((tmp_path / "own").read_bytes(), (tmp_path / "key").read_bytes())
    assert stranger.get(SERVICES).status == 401
    good = Rest(server.namespace, server.kubeconfig.read_text())
    assert good.get(SERVICES).status == 200, "the administrator's own certificate still opens"


def test_the_servers_name_is_in_its_certificate(server, admin):
    """The context checks the chain and the address; that it would notice is shown by another authority."""
    assert admin.get("/version").status == 200
    doubting = Rest(server.namespace, server.kubeconfig.read_text())
    doubting.tls = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError):
        doubting.get("/version")


@pytest.fixture
def node(server):
    """Node n1's proxy, by a token made beside the running server."""
    return Rest(server.namespace, server.node_kubeconfig("n1"))


def test_what_a_node_may(admin, node):
    admin.good("POST", path("nodes", namespace=""), objects.node("n1"))
    for resource, root in (("services", objects.CORE), ("endpoints", objects.CORE), ("nodes", objects.CORE),
                           ("endpointslices", objects.DISCOVERY)):
        assert node.get(path(resource, namespace="", root=root)).status == 200, resource
        with node.watch(path(resource, namespace="", root=root) + "?watch=1") as watch:
            assert watch.status == 200
    leases = path("leases", namespace="kube-node-lease", root=objects.COORDINATION)
    made = node.good("POST", leases, objects.lease("n1", "n1"))
    made["spec"]["holderIdentity"] = "again"
    assert node.good("PUT", f"{leases}/n1", made)["spec"]["holderIdentity"] == "again"
    node.good("POST", path("events"), objects.event("n1.1", "n1"))
    patch = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    patched = node.good("PATCH", path("nodes", "n1", "") + "/status", patch,
                        Content_Type="application/strategic-merge-patch+json")
    assert patched["status"]["conditions"][0]["type"] == "Ready"


def test_what_a_node_may_not(admin, node):
    admin.good("POST", path("nodes", namespace=""), objects.node("n1"))
    admin.good("POST", path("nodes", namespace=""), objects.node("n2"))
    admin.good("POST", SERVICES, service("web"))
    leases = path("leases", namespace="kube-node-lease", root=objects.COORDINATION)
    admin.good("POST", leases, objects.lease("n2", "n2"))
    forbidden = [
        ("POST", SERVICES, service("mine")),
        ("PUT", path("services", "web"), service("web")),
        ("DELETE", path("services", "web"), None),
        ("DELETE", SERVICES, None),
        ("PATCH", path("services", "web") + "/status", {}),
        ("GET", MAPS, None),
        ("GET", path("pods"), None),
        ("POST", leases, objects.lease("n2", "n1")),
        ("POST", leases, {**objects.lease("n1", "n1"), "metadata": {"generateName": "n1"}}),
        ("PUT", f"{leases}/n2", objects.lease("n2", "n1")),
        ("POST", path("leases", root=objects.COORDINATION), objects.lease("n1", "n1")),
        ("PATCH", path("nodes", "n2", "") + "/status", {"status": {}}),
        ("PATCH", path("nodes", "n1", ""), {"metadata": {"labels": {"a": "b"}}}),
        ("DELETE", path("nodes", "n1", ""), None),
        ("POST", path("namespaces", namespace=""), {"metadata": {"name": "mine"}}),
    ]
    for method, where, body in forbidden:
        extra = {"Content_Type": "application/merge-patch+json"} if method == "PATCH" else {}
        answer = node.ask(method, where, body, **extra)
        assert (answer.status, answer.json.get("reason")) == (403, "Forbidden"), (method, where, answer)
    assert 'User "system:node:n1" cannot list resource "pods" in API group "" in the namespace "default"' \
        in node.get(path("pods")).json["message"]


def test_a_token_that_is_taken_back_opens_nothing(server, node):
    assert node.get(SERVICES).status == 200
    tokens = server.data / "tokens.csv"
    tokens.write_text("".join(line for line in tokens.read_text().splitlines(True) if "system:node:n1" not in line))
    assert node.get(SERVICES).status == 401


def test_no_address_or_port_is_given_twice(server, admin):
    """A /29 has six addresses, of which one is the API's own; a full range says so, and a freed address comes back."""
    server.stop()
    server.flags.update({"service-cluster-ip-range": "10.97.0.0/29", "data-dir": str(server.directory / "small"),
                         "service-node-port-range": "30000-30003"})
    server.data = server.directory / "small"
    server.kubeconfig = server.data / "admin.kubeconfig"
    server.start()
    admin = Rest(server.namespace, server.kubeconfig.read_text())
    given = [admin.good("POST", SERVICES, service(f"s{n}"))["spec"]["clusterIP"] for n in range(5)]
    assert sorted([*given, "10.97.0.1"]) == [f"10.97.0.{n}" for n in range(1, 7)]
    full = admin.ask("POST", SERVICES, service("one-more"))
    assert full.status == 500 and "range is full" in full.json["message"], full
    server.kill()
    server.start()
    assert admin.ask("POST", SERVICES, service("one-more")).status == 500
    admin.good("DELETE", path("services", "s3"))
    assert admin.good("POST", SERVICES, service("one-more"))["spec"]["clusterIP"] == given[3]


def test_files_that_hold_secrets_are_their_owners_alone(server, node):
    for name in ("admin.kubeconfig", "tokens.csv", "registry.db"):
        assert (server.data / name).stat().st_mode & 0o077 == 0, name
    for key in (server.data / "pki").glob("*.key"):
        assert key.stat().st_mode & 0o077 == 0, key.name
