# SPDX-License-Identifier: GPL-2.0-or-later
"""A man in the middle that understands HTTP: ends TLS with an authority of its own, passes requests on to an API server,
and answers wrongly, late or not at all where a Fault says so."""
import contextlib
import http.client
import http.server
import json
import pathlib
import queue
import socket
import ssl
import struct
import subprocess
import threading
import time

from rest import _Connection

LIST_END = b"k8s.io/initial-events-end"
TCP_ESTABLISHED = 1  # tcp_states.h


class Authority:
    """A certificate authority and a certificate for `host`, as files in `directory`."""

    def __init__(self, directory, name, host):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certificate, self.server = self.directory / f"{name}-ca.crt", self.directory / f"{name}.crt"
        keys = [self.directory / f"{name}-{kind}.key" for kind in ("ca", "server")]
        request, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self._openssl("req", "-x509", *new_key, "-keyout", keys[0], "-out", self.certificate, "-days", "2", "-subj", f"/CN={name}")
        self._openssl("req", *new_key, "-keyout", keys[1], "-out", request, "-subj", "/CN=between")
        extensions.write_text(f"subjectAltName=IP:{host}\n")
        self._openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", keys[0], "-CAcreateserial",
                      "-days", "2", "-out", self.server, "-extfile", extensions)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.server, keys[1])

    @staticmethod
    def _openssl(*argv):
        subprocess.run(["openssl", *argv], check=True, capture_output=True)


class Asked:
    """A request: when, what for, and which way of reading it is: list, watch, or pulse."""

    def __init__(self, path):
        self.time, self.path = time.monotonic(), path
        self.resource = path.partition("?")[0].rsplit("/", 1)[1]
        self.is_stream = "watch=true" in path
        self.way = "watch" if self.is_stream and "sendInitialEvents" not in path else "list"
        if self.resource == "livez":
            self.way = "pulse"
        self.is_answered = False  # well, and still under way


class Fault:
    """`act` happens `times` times: to requests (`where` is "ask list", "ask watch"), or to the bytes of answers ("in list",
    "in watch": whole frames, of pages whatever came), after `after` others that would have been meant too."""

    def __init__(self, where, act, resource="", times=1, after=0):
        self.where, self.act, self.resource, self.left, self.after = where, act, resource, times, after
        self.hit = []  # Asked

    def takes(self, where, asked):
        if self.where != where or self.resource not in asked.resource or not self.left:
            return False
        if self.after:
            self.after -= 1
            return False
        self.left -= 1
        self.hit.append(asked)
        return True


# --- acts: called with the exchange and the bytes at hand; True when the exchange is over ---

def answer(status, reason="", retry_after=None):
    def act(exchange, _data):
        exchange.refuse(status, reason, retry_after)
        return True
    return act


def cut(exchange, data):
    """Half of it, and a reset."""
    exchange.write(data[:len(data) // 2])
    exchange.cut()
    return True


def truncate(exchange, data):
    """Half of it, and an end as if that were all."""
    exchange.write(data[:len(data) // 2])
    exchange.end()
    return True


def spoil(exchange, data):
    """A frame of the right length with nothing in it that could be read, and then on."""
    exchange.write(data[:4] + b"\xff" * (len(data) - 4))


def spoil_tail(exchange, data):
    """What the object is called can be read, and not what is in it."""
    exchange.write(data[:-30] + b"\xff" * 20 + data[-10:])


def spoil_length(exchange, data):
    exchange.write(b"\xff\xff\xff\xff" + data[4:])


def drip(exchange, data):
    """A few bytes at a time."""
    for start in range(0, len(data), 251):
        exchange.write(data[start:start + 251])
        time.sleep(0.0005)


def expire(exchange, data):
    """It, and then an event of type ERROR: what came after that version is not known any more."""
    exchange.write(data + error_event(410, "Expired"))
    exchange.end()
    return True


def _field(number, data):
    size, length = len(data), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def error_event(code, reason):
    """A frame of a watch in protobuf with a Status (k8s.io/apimachinery: meta/v1 and runtime, generated.proto)."""
    status = _field(2, b"Failure") + _field(3, b"said by the man in the middle") + _field(4, reason.encode())
    status += bytes([6 << 3, code & 127 | 128, code >> 7])
    whole = b"k8s\0" + _field(1, _field(1, b"v1") + _field(2, b"Status")) + _field(2, status)
    event = _field(1, b"ERROR") + _field(2, _field(1, whole))
    return struct.pack(">I", len(event)) + event


class Exchange(http.server.BaseHTTPRequestHandler):
    """One connection of the client's, and the requests on it; `server` is the Between."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        asked = Asked(self.path)
        self.server.asked.append(asked)
        self.server.wait_alive()
        if self.server.tokens is not None and self.headers["Authorization"] not in self.server.tokens:
            self.server.unauthorized += 1
            self.refuse(401, "Unauthorized", None)
            return
        fault = self.server.take(f"ask {asked.way}", asked)
        if not fault or not fault.act(self, b""):
            self._pass_on(asked)

    def refuse(self, status, reason, retry_after):
        body = json.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": status,
                           "reason": reason, "message": "said by the man in the middle"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(body)

    def write(self, data):
        self.server.wait_alive()
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self):
        self.wfile.write(b"0\r\n\r\n")

    def cut(self):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR)
            self.connection.close()

    def _pass_on(self, asked):
        upstream = self.server.upstream
        connection = _Connection(upstream.connect)
        try:
            connection.request("GET", self.path, headers={"Accept": self.headers.get("Accept", "*/*"),
                                                          "Authorization": f"Bearer {upstream.token}"})
            connection.sock.settimeout(None)
            with self.server.lock:
                self.server.sockets.append(connection.sock)
            given = connection.getresponse()
            self.send_response(given.status)
            for name in ("Content-Type", "Retry-After"):
                if given.headers[name]:
                    self.send_header(name, given.headers[name])
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            asked.is_answered = given.status == 200
            self._pass_answer(asked, given)
        except (OSError, http.client.HTTPException):
            self.cut()
        finally:
            asked.is_answered = False
            connection.close()

    def _pass_answer(self, asked, given):
        chunks = queue.SimpleQueue()  # the API server is read all the time, whatever becomes of what it says
        threading.Thread(target=self._read, args=(given, chunks), daemon=True).start()
        has_frames = asked.is_stream and given.status == 200
        held, data = b"", chunks.get()
        while data:
            self.server.dam.wait()
            held += data
            pieces, held = cut_frames(held) if has_frames else ([held], b"")
            if self._write_pieces(asked, pieces):
                return
            data = chunks.get()
        if data is None:
            self.cut()
        else:
            self.end()

    @staticmethod
    def _read(given, chunks):
        last = None
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            while data := given.read1(65536):
                chunks.put(data)
            last = b""
        chunks.put(last)

    def _write_pieces(self, asked, pieces):
        good = b""
        for piece in pieces:
            if fault := self.server.take(f"in {asked.way}", asked):
                self.write(good)
                good = b""
                if fault.act(self, piece):
                    return True
            else:
                good += piece
            if asked.is_stream and LIST_END in piece:
                asked.way = "watch"
        self.write(good)
        return False


def cut_frames(data):
    """The whole frames of a watch in protobuf, and what is left over."""
    frames, start = [], 0
    while len(data) - start >= 4:
        end = start + 4 + int.from_bytes(data[start:start + 4], "big")
        if end > len(data):
            break
        frames.append(data[start:end])
        start = end
    return frames, data[start:]


def is_open(sock):
    """Whether the other side has not closed it; nothing is read."""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_ESTABLISHED
    except OSError:
        return False


class Between:
    """Listens at `address` inside `namespace`; `upstream` is a Rest with the identity that the proxy shall have.

    `plan` holds Faults. `tokens` are the values of Authorization that are taken, None for any. While `dam` is cleared,
    nothing of the answers passes, and all of it waits; after `hang` nothing moves at all and nobody is told. `close` ends
    both.
    """

    def __init__(self, namespace, address, upstream, directory):
        self.namespace, self.address, self.upstream, self.directory = namespace, address, upstream, pathlib.Path(directory)
        self.lock = threading.Lock()
        self.plan, self.asked, self.sockets, self.clients = [], [], [], []
        self.tokens, self.unauthorized, self.cuts = None, 0, 0
        self.dam, self.alive = threading.Event(), threading.Event()
        self.dam.set()
        self.alive.set()
        self.authority = Authority(directory, "first", address[0])
        self.listener = None
        self.listen()

    def url(self):
        return f"https://{self.address[0]}:{self.address[1]}"

    def listen(self):
        self.listener = self.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(self.address)
        self.listener.listen(64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def die(self):
        """Nobody listens any more, and all connections are reset."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut_all()

    def cut_all(self):
        with self.lock:
            sockets, self.sockets = self.sockets, []
            self.cuts += 1
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RDWR)

    def standing(self):
        """The connections of clients that neither side has ended."""
        return [client for client in self.clients if is_open(client)]

    def close(self):
        self.die()
        self.dam.set()
        self.alive.set()

    def hang(self):
        self.alive.clear()

    def wake(self):
        self.alive.set()

    def wait_alive(self):
        self.alive.wait()

    def add(self, *faults):
        with self.lock:
            self.plan += faults
        return faults[0]

    def take(self, where, asked):
        if not self.plan:
            return None
        with self.lock:
            return next((fault for fault in self.plan if fault.takes(where, asked)), None)

    def is_done(self):
        return not any(fault.left for fault in self.plan)

    def asked_for(self, resource, way):
        return [asked for asked in self.asked if asked.resource == resource and asked.way == way]

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                sock, peer = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self.lock:
                    self.sockets.append(sock)
                threading.Thread(target=self._serve, args=(sock, peer), daemon=True).start()

    def _serve(self, sock, peer):
        cuts = self.cuts
        self.wait_alive()
        with contextlib.suppress(OSError, ValueError), self.authority.tls.wrap_socket(sock, server_side=True) as wrapped:
            with self.lock:
                self.sockets.append(wrapped)
                self.clients.append(wrapped)
            if cuts == self.cuts:  # else it was meant too
                Exchange(wrapped, peer, self)
