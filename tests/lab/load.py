# SPDX-License-Identifier: GPL-2.0-or-later
"""A load that runs while a test disturbs the proxy: new connections all the time, and long ones that must not break."""
import asyncio
import collections
import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

import patience
from probe import Question

PAUSE_S = 0.005
ECHO_PATIENCE_S = patience.seconds(3.0)


@dataclass
class Counts:
    opened: int = 0
    refused: list = field(default_factory=list)
    echoed: int = 0
    lost: list = field(default_factory=list)
    longest_gap_s: float = 0.0
    answered: int = 0  # datagrams of flows
    unanswered: list = field(default_factory=list)
    # (client, address, port): {source as the pod saw it: how many new connections}
    sources: dict = field(default_factory=lambda: collections.defaultdict(collections.Counter))

    def __str__(self):
        flows = f"; {self.answered} datagrams of flows answered, {len(self.unanswered)} not" if self.answered else ""
        return (f"{self.opened} new connections served, {len(self.refused)} not; {self.echoed} lines echoed on "
                f"established ones, {len(self.lost)} of these lost; longest pause between lines "
                f"{self.longest_gap_s * 1000:.0f} ms{flows}")


class Load:
    """`with Load(prober, targets) as counts:` keeps asking until the block ends.

    `targets` are (client, address, port) for TCP: each gets one loop of new connections, one after the other, and
    `established` connections that send a numbered line every few ms and wait for its echo. `flows` are such targets for
    UDP: each gets one flow, of which every datagram has to be answered, and by the same pod.
    """

    def __init__(self, prober, targets, established=3, flows=(), patience_s=2.0):
        self.prober = prober
        self.targets = targets
        self.flows = flows
        self.patience_s = patience_s  # with a new connection
        self.established = established
        self.counts = Counts()
        self.ending = threading.Event()
        self.settled = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)

    def __enter__(self):
        self.thread.start()
        if not self.settled.wait(patience.seconds(10)):
            raise AssertionError(f"the load did not come up: {self.counts} {self.counts.refused[:3]} {self.counts.lost}")
        return self.counts

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join(patience.seconds(10))

    async def _all(self):
        jobs = []
        for client, address, port in self.targets:
            jobs.append(self._open(Question(client, "tcp", address, port, timeout_s=self.patience_s)))
            jobs += [self._hold(Question(client, "tcp", address, port)) for _ in range(self.established)]
        jobs += [self._flow(Question(client, "udp", address, port)) for client, address, port in self.flows]
        await asyncio.gather(self._settle(), *jobs)

    async def _settle(self):
        """Says when every kind of work has been seen to succeed."""
        enough = 20 * len(self.targets)
        while not self.ending.is_set():
            if self.counts.opened >= enough and self.counts.echoed >= enough * self.established and \
                    self.counts.answered >= len(self.flows):
                self.settled.set()
                return
            await asyncio.sleep(0.01)

    async def _open(self, question):
        while not self.ending.is_set():
            verdict = await self.prober.ask(question)
            if verdict.kind == "served":
                self.counts.opened += 1
                self.counts.sources[question.client, question.address, question.port][verdict.source] += 1
            else:
                self.counts.refused.append((time.monotonic(), question.client, question.address, str(verdict)))
            await asyncio.sleep(PAUSE_S)

    async def _flow(self, question):
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in question.address else socket.AF_INET
        first = None
        with self.prober.lab.namespace(question.client).socket(family, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect((question.address, question.port))
            while not self.ending.is_set():
                try:
                    sock.send(b"who?\n")
                    answer = await asyncio.wait_for(loop.sock_recv(sock, 512), ECHO_PATIENCE_S)
                except (OSError, TimeoutError) as error:
                    answer = repr(error)
                first = first or answer
                if answer == first:  # the pod, and the source as it saw it
                    self.counts.answered += 1
                else:
                    self.counts.unanswered.append((time.monotonic(), question.client, question.address, first, answer))
                await asyncio.sleep(PAUSE_S)

    async def _hold(self, question):
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in question.address else socket.AF_INET
        with self.prober.lab.namespace(question.client).socket(family, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(asyncio.CancelledError):
                try:
                    await loop.sock_connect(sock, (question.address, question.port))
                    await asyncio.wait_for(loop.sock_recv(sock, 256), ECHO_PATIENCE_S)
                    await self._echo(loop, sock)
                except (OSError, TimeoutError) as error:
                    self.counts.lost.append((time.monotonic(), question.client, question.address, repr(error)))

    async def _echo(self, loop, sock):
        number = 0
        while not self.ending.is_set():
            line = f"{number}\n".encode()
            start = loop.time()
            await loop.sock_sendall(sock, line)
            got = b""
            while not got.endswith(b"\n"):
                more = await asyncio.wait_for(loop.sock_recv(sock, 256), ECHO_PATIENCE_S)
                if not more:
                    raise ConnectionError("closed by the other side")
                got += more
            if got != line:
                raise ConnectionError(f"sent {line!r}, got {got!r}")
            self.counts.echoed += 1
            self.counts.longest_gap_s = max(self.counts.longest_gap_s, loop.time() - start)
            number += 1
            await asyncio.sleep(PAUSE_S)
