# SPDX-License-Identifier: GPL-2.0-or-later
"""Slow, broken and hostile clients: whatever they do, others are served meanwhile, and memory stays bounded."""
import contextlib
import json
import os
import socket

import pytest
from objects import config_map, path, service
from proxy import wait_until
from rest import Rest

MAPS, SERVICES = path("configmaps"), path("services")
MEBI = 1024
BODY_MAX = 3 << 20   # as of kube-apiserver's own limit


@pytest.fixture
def admin(server):
    return Rest(server.namespace, server.kubeconfig.read_text())


def is_served(rest):
    """One write and one read by somebody else, on connections of their own."""
    made = rest.good("POST", MAPS, {**config_map("x"), "metadata": {"generateName": "other-"}})
    assert rest.good("GET", path("configmaps", made["metadata"]["name"]))["metadata"]["uid"] == made["metadata"]["uid"]
    return True


def head(rest, method, where, **headers):
    """A request's head as bytes, without its last empty line."""
    lines = [f"{method} {where} HTTP/1.1", "Host: api", *(f"{name.replace('_', '-')}: {value}"
                                                           for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n"


def test_slow_loris(server, admin):
    """150 who say a little and then nothing: in the TLS handshake, in the head, in the body."""
    before = server.resident_kib()
    with contextlib.ExitStack() as stack:
        for number in range(150):
            if number % 3 == 0:
                stack.enter_context(admin.plain()).send(b"\x16\x03\x01")
            elif number % 3 == 1:
                stack.enter_context(admin.connect()).send(b"GET /api/v1/services HTTP/1.1\r\nHost: a")
            else:
                text = head(admin, "POST", MAPS, Content_Length=1000, Content_Type="application/json") + b"\r\n{"
                stack.enter_context(admin.connect()).send(text)
            if number % 50 == 0:
                assert is_served(admin)
        assert is_served(admin)
        assert server.resident_kib() - before < 64 * MEBI
    assert is_served(admin)


@pytest.mark.parametrize("text", [
    b"", b"\r\n\r\n", b"GET", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 4096, b"GET " + b"/" * 100000,
    b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(20000)) + b"\r\n",
    b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /api/v1/%zz%00/../../etc/passwd?watch=%ff&limit=-1&resourceVersion=99999999999999999999 HTTP/1.1\r\n"
    b"Host: a\r\n\r\n",
], ids=lambda text: f"{text[:12]!r}-{len(text)}")
def test_what_is_no_request(server, admin, text):
    """Sent and cut off: refused in some way, or nothing at all."""
    with admin.connect() as sock, contextlib.suppress(OSError):
        sock.settimeout(0.3)
        sock.sendall(text)
        answer = sock.recv(65536)
        assert not answer or not answer.startswith(b"HTTP/1.1 2"), answer
    assert is_served(admin)


def test_noise_instead_of_tls(server, admin):
    for _ in range(20):
        with admin.plain() as sock:
            sock.sendall(os.urandom(2000))
    with admin.plain() as sock, contextlib.suppress(OSError):
        sock.sendall(b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n")
        assert not sock.recv(100).startswith(b"HTTP/1.1 2")
    assert is_served(admin)


def test_a_body_of_a_gibibyte(server, admin):
    """Announced, it is refused before it comes; in chunks, as soon as it is too much; and what fits is taken."""
    before = server.resident_kib()
    with admin.connect() as sock:
        sock.sendall(head(admin, "POST", MAPS, Content_Length=1 << 30, Content_Type="application/json") + b"\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 413")
    with admin.connect() as sock, contextlib.suppress(OSError):
        sock.sendall(head(admin, "POST", MAPS, Transfer_Encoding="chunked", Content_Type="application/json") + b"\r\n")
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        sent = 0
        while sent < 256 << 20:
            sock.sendall(piece)
            sent += len(piece)
        raise AssertionError("256 MiB were taken")
    assert is_served(admin)
    assert server.resident_kib() - before < 64 * MEBI
    too_much = admin.ask("POST", MAPS, config_map("big", data="x" * BODY_MAX))
    assert (too_much.status, too_much.json["reason"]) == (413, "RequestEntityTooLarge")
    many = [admin.ask("POST", MAPS, config_map(f"big{n}", data="x" * 1_000_000)).status for n in range(3)]
    assert many == [201] * 3


@pytest.mark.parametrize("body, kind", [
    ("[" * 100_000, "application/json"),
    ('{"a":' * 100_000, "application/json"),
    ('{"metadata":{"name":"x"},"data":' + "[" * 100_000 + "]" * 100_000 + "}", "application/json"),
    ('{"metadata":{"managedFields":[{"fieldsV1":' + '{"f:a":' * 100_000 + "{}" + "}" * 100_000 + "}]}}", "application/json"),
    ("[" * 100_000, "application/yaml"),
    ("a: " + "{a: " * 20_000, "application/yaml"),
    ("".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]\n" for n in range(12)), "application/yaml"),
    (b"k8s\0" + b"\x0a" * 100_000, "application/vnd.kubernetes.protobuf"),
    (b"k8s\0" + b"\xff" * 100_000, "application/vnd.kubernetes.protobuf"),
    (b"k8s\0\x0a\x10\x0a\x02v1\x12\x09ConfigMap\x12\x80\x80\x80\x80\x08", "application/vnd.kubernetes.protobuf"),
    ('{"metadata":{"name":"\\ud800"}}', "application/json"),
    (b'{"metadata":{"name":"\xff\xfe"}}', "application/json"),
    ("1e999999", "application/json"),
    ("", "application/json"),
], ids=range(14))
def test_deep_and_bad_bodies(server, admin, body, kind):
    before = server.resident_kib()
    answer = admin.ask("POST", MAPS, body, Content_Type=kind)
    assert 400 <= answer.status < 500 and answer.json["kind"] == "Status", answer
    made = admin.ask("POST", MAPS, config_map("victim"))
    assert made.status == 201
    patched = admin.ask("PATCH", path("configmaps", "victim"), body, Content_Type="application/merge-patch+json")
    assert 400 <= patched.status < 500, patched
    assert is_served(admin)
    assert server.resident_kib() - before < 64 * MEBI


@pytest.mark.parametrize("patch, kind", [
    ([{"op": "copy", "from": "/data", "path": "/data/a"}] * 60, "application/json-patch+json"),
    ([{"op": "add", "path": "/data/" + "a/" * 50_000, "value": 1}], "application/json-patch+json"),
    ([{"op": "add", "path": f"/data/k{n}", "value": "v"} for n in range(20_000)], "application/json-patch+json"),
    ({"data": {"$patch": "nonsense"}}, "application/strategic-merge-patch+json"),
    ({"metadata": {"$retainKeys": 7, "$setElementOrder/finalizers": {"a": "b"}}}, "application/strategic-merge-patch+json"),
], ids=["copies", "long path", "many", "directive", "directives"])
def test_bad_patches(server, admin, patch, kind):
    admin.good("POST", MAPS, config_map("victim", a="b"))
    before = server.resident_kib()
    answer = admin.ask("PATCH", path("configmaps", "victim"), json.dumps(patch), Content_Type=kind)
    # An unknown directive is 500 upstream too.
    assert answer.status == 500 if "nonsense" in str(patch) else 400 <= answer.status < 500, answer
    assert is_served(admin)
    assert server.resident_kib() - before < 64 * MEBI


def test_watches_that_never_read(server, admin):
    """20 watches whose clients read nothing while 1,000 objects change, beside one that reads: it misses none."""
    before = server.resident_kib()
    start = admin.good("GET", MAPS)["metadata"]["resourceVersion"]
    filler = "x" * 10_000
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(admin.connect())
            sock.sendall(head(admin, "GET", f"{MAPS}?watch=1&resourceVersion={start}") + b"\r\n")
        reader = stack.enter_context(admin.watch(f"{MAPS}?watch=1&resourceVersion={start}"))
        with admin.one_connection():
            for number in range(100):
                admin.good("POST", MAPS, config_map(f"c{number}", filler=filler))
            for number in range(100, 1000):
                name = f"c{number % 100}"
                admin.good("PUT", path("configmaps", name), config_map(name, turn=str(number)))
        turns = [reader.next() for _ in range(1000)]
        assert [one["type"] for one in turns] == ["ADDED"] * 100 + ["MODIFIED"] * 900
        assert turns[-1]["object"]["data"] == {"turn": "999"}
        assert is_served(admin)
        assert server.resident_kib() - before < 128 * MEBI


def test_clients_that_go_without_a_word(server, admin):
    """Connections and watches that are cut leave nothing behind: descriptors are as many as before."""
    def descriptors():
        return len(os.listdir(f"/proc/{server.child.pid}/fd"))
    assert is_served(admin)
    before = descriptors()
    for _ in range(30):
        sock = admin.connect()
        sock.sendall(head(admin, "GET", f"{MAPS}?watch=1") + b"\r\n")
        sock.recv(1000)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        sock = admin.connect()
        sock.sendall(head(admin, "POST", SERVICES, Content_Length=50) + b"\r\n{")
        sock.close()
    wait_until(lambda: descriptors() <= before + 2, 10, lambda: f"{descriptors()} descriptors, {before} before")
    assert is_served(admin)


def test_a_crowd(server, admin):
    """100 clients connect at once and ask at once; each gets its own answer."""
    admin.good("POST", SERVICES, service("web"))
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(admin.connect()) for _ in range(100)]
        for number, sock in enumerate(crowd):
            sock.sendall(head(admin, "GET", f"/api/v1/namespaces/default/services/web?pretty={number}") + b"\r\n")
        assert {sock.recv(15) for sock in crowd} == {b"HTTP/1.1 200 OK"}
