# SPDX-License-Identifier: GPL-2.0-or-later
"""A man in the middle over plain TCP: forwards, cuts and stalls connections of which it understands nothing."""
import contextlib
import socket
import struct
import threading


class Pair:
    """One connection in both directions. `passed` counts the bytes of answers that went through."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.passed = 0
        self.is_stalled = self.is_closed = False

    def cut(self):
        """A reset towards both, as of a machine that has forgotten the connection."""
        self.is_closed = True
        for sock in (self.client, self.server):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


class Middle:
    """Listens at `address` inside `namespace` and forwards to `target`; `close` ends all.

    `plan` holds what is to happen, one (bytes, "cut" or "stall") after the other: the next one happens to the first
    connection on which so many bytes of answers have passed.
    """

    def __init__(self, namespace, address, target):
        self.namespace, self.target = namespace, target
        self.listener = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address)
        self.listener.listen(64)
        self.lock = threading.Lock()
        self.plan = []
        self.pairs = []
        self.accepted = self.cuts = self.stalls = self.given_up = 0
        self.stalls_new = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut_all()

    def living(self):
        return [pair for pair in self.pairs if not pair.is_closed]

    def cut_all(self):
        for pair in self.living():
            pair.cut()

    def plan_after(self, count, what):
        """`what` happens to the first living or new connection on which `count` more bytes pass than now on any."""
        self.plan.append((max((pair.passed for pair in self.living()), default=0) + count, what))

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.accepted += 1
                server = self.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
                try:
                    server.connect(self.target)
                except OSError:
                    client.close()
                    server.close()
                    continue
                for sock in (client, server):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                pair = Pair(client, server)
                pair.is_stalled = self.stalls_new
                self.pairs.append(pair)
                for job in (self._questions, self._answers):
                    threading.Thread(target=job, args=(pair,), daemon=True).start()

    def _questions(self, pair):
        """Client to server. That it ends while the answers are stalled is the client's own doing."""
        with contextlib.suppress(OSError):
            while data := pair.client.recv(65536):
                pair.server.sendall(data)
        if pair.is_stalled and not pair.is_closed:
            self.given_up += 1
        pair.cut()

    def _reached(self, pair, data):
        """How much of `data` may pass, and what happens then, if anything."""
        with self.lock:
            if self.plan and pair.passed + len(data) > self.plan[0][0]:
                limit, what = self.plan.pop(0)
                return max(0, limit - pair.passed), what
            return len(data), ""

    def _answers(self, pair):
        """Server to client. Of a stalled connection nothing is read any more, and both ends stay open."""
        with contextlib.suppress(OSError):
            while not pair.is_stalled and (data := pair.server.recv(16384)):
                allowed, what = self._reached(pair, data)
                pair.client.sendall(data[:allowed])
                pair.passed += allowed
                self.cuts += what == "cut"
                pair.is_stalled = what == "stall"
                if what == "cut":
                    break
        if pair.is_stalled:
            self.stalls += 1
        else:
            pair.cut()
