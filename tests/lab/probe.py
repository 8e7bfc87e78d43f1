# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking the lab's servers, and saying what became of the question.

Every probe is one new connection (TCP), datagram (UDP) or INIT (SCTP) from a namespace, and ends in a Verdict:
  served    a pod answered; its name, the source address and port that it saw, and its own port
  rejected  ECONNREFUSED; `detail` says whether a TCP reset or an ICMP port unreachable caused it
  noproto   ICMP says that nobody there speaks the protocol: it reached a host as it was (only SCTP)
  leaked    ICMP host unreachable from the lab's gateway: a node let it pass untranslated
  dropped   silence for the whole time-out
All probes of one call run in one asyncio loop, a bounded number at a time.
"""
import asyncio
import collections
import contextlib
import ctypes
import errno
import itertools
import random
import socket
import struct
import threading
from dataclasses import dataclass

import patience
import sctp
from topology import OUTSIDE, backbone_address

TIMEOUT_S = 0.6
IP_RECVERR, IPV6_RECVERR = 11, 25
IP_FREEBIND, IPV6_FREEBIND = 15, 78
SO_ATTACH_FILTER = 26
SO_EE_ORIGIN_ICMP = (2, 3)
LEAKED = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES}
NOPROTO = {errno.ENOPROTOOPT, errno.EPROTO}


@dataclass(frozen=True)
class Verdict:
    kind: str
    pod: str = ""
    source: str = ""
    source_port: int = 0
    port: int = 0
    detail: str = ""

    def __str__(self):
        words = f"{self.kind} by {self.pod} port {self.port}, source {self.source}" if self.kind == "served" else self.kind
        return f"{words} ({self.detail})" if self.detail else words


@dataclass(frozen=True)
class Question:
    """From whom to where. `via` names the node an outside client goes through; `source` overrides its address."""
    client: str
    protocol: str
    address: str
    port: int
    via: str = ""
    source: str = ""
    source_port: int = 0
    timeout_s: float = TIMEOUT_S  # on a machine of usual speed

    @property
    def patience_s(self):
        return patience.seconds(self.timeout_s)


def _served(line):
    pod, source, source_port, port = line.split()
    return Verdict("served", pod, source, int(source_port), int(port))


def _error_verdict(code, detail=""):
    if code == errno.ECONNREFUSED:
        return Verdict("rejected", detail=detail)
    if code in LEAKED:
        return Verdict("leaked", detail=detail or errno.errorcode[code])
    if code in NOPROTO:
        return Verdict("noproto", detail=detail or errno.errorcode[code])
    return Verdict("failed", detail=detail or errno.errorcode.get(code, str(code)))


def _hear_only(sock, port):
    """A classic BPF filter: of all SCTP that reaches this raw socket, keep what is for `port`.

    Else each of a hundred concurrent sockets would be woken by every answer to the others.
    """
    if sock.family == socket.AF_INET:  # raw IPv4 sockets get the IP header too: x = its length, load x + 2
        code = [(0xB1, 0, 0, 0), (0x48, 0, 0, 2)]
    else:
        code = [(0x28, 0, 0, 2)]
    code += [(0x15, 0, 1, port), (0x06, 0, 0, 65535), (0x06, 0, 0, 0)]
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in code))
    program = struct.pack("@HP", len(code), ctypes.addressof(instructions))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def _queued_error(sock):
    """The oldest error of the socket's error queue as (errno, came by ICMP, the offending packet), or None."""
    try:
        packet, ancillary, _, _ = sock.recvmsg(512, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
    except OSError:
        return None
    for level, kind, data in ancillary:
        if (level, kind) in ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)):
            code, origin = struct.unpack_from("=IB", data)
            return code, origin in SO_EE_ORIGIN_ICMP, packet
    return None


class Prober:
    """Asks on behalf of the clients of one lab."""

    def __init__(self, lab, concurrency=128):
        self.lab = lab
        self.concurrency = concurrency
        # Counted, not random, so that connection tracking mistakes no UDP or SCTP question for an earlier one; above the
        # node ports, on which a node may have to listen.
        self._ports = itertools.cycle(range(33000, 60000))
        self._lock = threading.Lock()

    # --- one question

    def _socket(self, question, kind, protocol=0):
        """A non-blocking socket in the client's namespace, bound, marked with its way, and told to report ICMP."""
        six = ":" in question.address
        family = socket.AF_INET6 if six else socket.AF_INET
        sock = self.lab.namespace(question.client).socket(family, kind, protocol)
        sock.setblocking(False)
        if six:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        if question.via:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, self.lab.topology.nodes[question.via].number)
        source = question.source
        if not source and question.client in OUTSIDE:
            source = backbone_address(OUTSIDE[question.client], 6 if six else 4)
        counted = kind == socket.SOCK_DGRAM and not question.source_port
        if source or counted or question.source_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._bind(sock, source or ("::" if six else "0.0.0.0"), question.source_port, counted)
        return sock

    def _bind(self, sock, source, port, counted):
        """Binds to `port`, or where it is `counted` to the next that nobody has: a node may have a proxy's sockets."""
        for attempt in itertools.count():
            if counted:
                with self._lock:
                    port = next(self._ports)
            try:
                return sock.bind((source, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE or not counted or attempt > 100:
                    raise

    async def ask(self, question):
        """The verdict on one question. Never raises for what the network does."""
        ask = {"tcp": self._ask_tcp, "udp": self._ask_udp, "sctp": self._ask_sctp}[question.protocol]
        try:
            async with asyncio.timeout(question.patience_s):
                return await ask(question)
        except TimeoutError:
            return Verdict("dropped")
        except OSError as error:
            return _error_verdict(error.errno)

    async def _ask_tcp(self, question):
        loop = asyncio.get_running_loop()
        with self._socket(question, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            try:
                await loop.sock_connect(sock, (question.address, question.port))
            except OSError as error:
                if error.errno == errno.ETIMEDOUT:
                    raise
                queued = _queued_error(sock)
                return _error_verdict(error.errno, "by ICMP" if queued and queued[1] else "by reset")
            data = b""
            while not data.endswith(b"\n"):
                more = await loop.sock_recv(sock, 256)
                if not more:
                    return Verdict("failed", detail="closed without an answer")
                data += more
            return _served(data.decode())

    async def _wait_readable(self, sock, timeout_s):
        """True when there is something to read, an answer or an error, within `timeout_s`."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(sock, lambda: ready.done() or ready.set_result(True))
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    return await ready
            return False
        finally:
            loop.remove_reader(sock)

    @staticmethod
    def _send(sock, data):
        """Sends; a local rule that drops or rejects shows as EPERM here, and is told apart by what comes after."""
        try:
            sock.send(data)
        except PermissionError:
            pass

    async def _ask_udp(self, question):
        with self._socket(question, socket.SOCK_DGRAM) as sock:
            sock.connect((question.address, question.port))
            for _ in range(2):  # once more at half-time: one lost datagram is not yet a rule
                self._send(sock, b"who?\n")
                if not await self._wait_readable(sock, question.patience_s / 2):
                    continue
                queued = _queued_error(sock)
                if queued:
                    return _error_verdict(queued[0], "by ICMP")
                return _served(sock.recv(512).decode())
            return Verdict("dropped")

    async def _ask_sctp(self, question):
        with self._lock:
            source_port = question.source_port or next(self._ports)
        tag = random.getrandbits(32) | 1
        loop = asyncio.get_running_loop()
        start = loop.time()
        with self._socket(question, socket.SOCK_RAW, sctp.PROTOCOL) as sock:
            _hear_only(sock, source_port)
            sock.connect((question.address, 0))
            for end in (start + question.patience_s / 2, start + question.patience_s):  # two tries, as for UDP
                self._send(sock, sctp.init(source_port, question.port, tag))
                while (left := end - loop.time()) > 0:
                    if await self._wait_readable(sock, left):
                        verdict = self._sctp_answer(sock, question, source_port, tag)
                        if verdict:
                            return verdict
            return Verdict("dropped")

    @staticmethod
    def _sctp_answer(sock, question, source_port, tag):
        """What one wake-up of a raw socket means; None for an ICMP error that answers somebody else's packet to there."""
        queued = _queued_error(sock)
        if queued:
            code, _, packet = queued
            ours = len(packet) >= 4 and struct.unpack_from("!HH", packet) == (source_port, question.port)
            return _error_verdict(code, "by ICMP") if ours else None
        try:
            packet = sock.recv(2048)
        except BlockingIOError:
            return None
        except OSError:
            return None  # the pending error of what the error queue just said about somebody else's packet
        if sock.family == socket.AF_INET:
            packet = packet[(packet[0] & 15) * 4:]
        found = sctp.parse(packet)
        if not found or found[:4] != (question.port, source_port, tag, sctp.INIT_ACK):
            return None
        return _served(found[5])

    # --- many questions

    async def _bounded(self, jobs):
        """Runs the coroutines of `jobs`, `concurrency` at a time; their results in order."""
        gate = asyncio.Semaphore(self.concurrency)

        async def through(job):
            async with gate:
                return await job
        return await asyncio.gather(*(through(job) for job in jobs))

    def run(self, jobs):
        """Results of coroutines (of `ask`, or of a caller's own that use it)."""
        return asyncio.run(self._bounded(list(jobs)))

    def connect_once(self, client, protocol, address, port, **options):
        return self.run([self.ask(Question(client, protocol, address, port, **options))])[0]

    def many(self, count, client, protocol, address, port, **options):
        """Counter of who answered `count` questions: pods' names, or the kind of a verdict that nobody answered."""
        question = Question(client, protocol, address, port, **options)
        verdicts = self.run(self.ask(question) for _ in range(count))
        return collections.Counter(verdict.pod or verdict.kind for verdict in verdicts)


def get(namespace, url_address, port, path="/", timeout_s=2.0, mark=0):
    """A plain HTTP GET from inside a namespace: (status, headers with lower-case names, body). Raises OSError."""
    family = socket.AF_INET6 if ":" in url_address else socket.AF_INET
    with namespace.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(patience.seconds(timeout_s))
        if mark:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        sock.connect((url_address, port))
        host = f"[{url_address}]" if family == socket.AF_INET6 else url_address
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while True:
            more = sock.recv(65536)
            if not more:
                break
            data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _unchunk(body)
    return int(first.split()[1]), headers, body.decode()


def _unchunk(data):
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            break
        body, data = body + data[:length], data[length + 2:]
    return body
