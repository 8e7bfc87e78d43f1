# SPDX-License-Identifier: GPL-2.0-or-later
"""The API without kubectl in between: requests, watches and raw connections, from inside the server's namespace."""
import base64
import contextlib
import http.client
import json
import os
import socket
import ssl
import tempfile
import urllib.parse

import patience
import yaml

TIMEOUT_S = patience.seconds(15)


def _from_files(texts, use):
    """Calls `use` with the paths of files that hold `texts` and are gone after it: OpenSSL takes keys from files only."""
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for number, text in enumerate(texts):
            paths.append(os.path.join(directory, str(number)))
            with open(paths[-1], "wb") as file:
                file.write(text)
        return use(*paths)


class _Connection(http.client.HTTPConnection):
    def __init__(self, connect):
        super().__init__("api")
        self.opener = connect

    def connect(self):
        self.sock = self.opener()


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class Rest:
    """One identity at one server: that of a kubeconfig (as text), with `token` in its place, or with no name at all."""

    def __init__(self, namespace, kubeconfig, token=None, anonymous=False):
        config = yaml.safe_load(kubeconfig)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        url = urllib.parse.urlsplit(cluster["server"])
        self.namespace, self.address, self.port = namespace, url.hostname, url.port
        self.authority = base64.b64decode(cluster["certificate-authority-data"])
        self.tls = ssl.create_default_context(cadata=self.authority.decode())
        self.kept = None
        self.token = token or (None if anonymous else user.get("token"))
        if "client-certificate-data" in user and not token and not anonymous:
            self.use_certificate(*(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")))

    def use_certificate(self, certificate, key):
        """PEM texts, as bytes."""
        _from_files([certificate, key], self.tls.load_cert_chain)

    def plain(self):
        """A TCP connection on which nothing was said yet."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        sock = self.namespace.socket(family, socket.SOCK_STREAM)
        sock.settimeout(TIMEOUT_S)
        sock.connect((self.address, self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def connect(self):
        """A TLS connection."""
        return self.tls.wrap_socket(self.plain(), server_hostname=self.address)

    def headers(self, extra=None):
        given = {"Accept": "application/json", **(extra or {})}
        if self.token:
            given["Authorization"] = f"Bearer {self.token}"
        return given

    @contextlib.contextmanager
    def one_connection(self):
        """Within the block all requests go over the same connection; outside each has its own."""
        self.kept = _Connection(self.connect)
        try:
            yield self
        finally:
            self.kept.close()
            self.kept = None

    def ask(self, method, path, body=None, **headers):
        """One request. A dict or list goes as JSON; underscores in header names are dashes."""
        given = self.headers({name.replace("_", "-"): value for name, value in headers.items()})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            given.setdefault("Content-Type", "application/json")
        connection = self.kept or _Connection(self.connect)
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            if connection is not self.kept:
                connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def good(self, method, path, body=None, **headers):
        """The object that a request answers, which has to be granted."""
        answer = self.ask(method, path, body, **headers)
        assert 200 <= answer.status < 300, f"{method} {path}: {answer}"
        return answer.json

    def watch(self, path, **headers):
        return Watch(self, path, headers)


class Watch:
    """A watch that is read as a file: `next()` is the next event, or None when the server has ended it."""

    def __init__(self, rest, path, headers):
        self.connection = _Connection(rest.connect)
        self.connection.request("GET", path, headers=rest.headers({name.replace("_", "-"): value
                                                                    for name, value in headers.items()}))
        self.answer = self.connection.getresponse()
        self.status = self.answer.status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def next(self, timeout_s=TIMEOUT_S):
        if self.connection.sock:
            self.connection.sock.settimeout(timeout_s)
        line = self.answer.readline()
        return json.loads(line) if line else None

    def next_frame(self):
        """A length-prefixed frame, as of application/vnd.kubernetes.protobuf;stream=watch."""
        length = int.from_bytes(self.answer.read(4), "big")
        return self.answer.read(length)
