# SPDX-License-Identifier: GPL-2.0-or-later
"""The pods' servers: one process that listens in every pod's namespace, started by lab.py as `servers.py FILE`.

FILE is JSON: {"pods": [{"name", "namespace"}], "ports": [8080, ...]}. Each pod answers on each port with one line
    <pod> <peer address> <peer port> <own port>
TCP at once on connecting, and after that it echoes whatever comes; UDP once per datagram; SCTP (see sctp.py) in its
INIT ACK. It prints `ready` when all listen, and ends when its standard input does.
"""
import json
import select
import socket
import sys

import netns
import sctp

SO_RECEIVE_ALL = 256


def text_address(address):
    """A peer's address as text; an IPv4 peer of a dual-stack socket without its ::ffff: prefix."""
    return address[7:] if address.startswith("::ffff:") else address


class Server:
    """One epoll loop over the listeners of all pods. `handlers` maps a descriptor to (function, socket, pod, port)."""

    def __init__(self):
        self.poll = select.epoll()
        self.handlers = {}

    def add(self, sock, function, pod, port=0):
        sock.setblocking(False)
        self.handlers[sock.fileno()] = (function, sock, pod, port)
        self.poll.register(sock.fileno(), select.EPOLLIN)

    def drop(self, sock):
        self.handlers.pop(sock.fileno(), None)
        sock.close()  # closing also ends its registration

    def listen(self, pod, namespace, ports):
        with namespace.entered():
            for port in ports:
                for kind, function in ((socket.SOCK_STREAM, self.accept), (socket.SOCK_DGRAM, self.datagram)):
                    sock = socket.socket(socket.AF_INET6, kind)
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    sock.bind(("::", port))
                    if kind == socket.SOCK_STREAM:
                        sock.listen(4096)
                    self.add(sock, function, pod, port)
            for family in (socket.AF_INET, socket.AF_INET6):
                self.add(socket.socket(family, socket.SOCK_RAW, sctp.PROTOCOL), self.chunk, pod)

    def accept(self, sock, pod, port):
        for _ in range(SO_RECEIVE_ALL):
            try:
                peer, address = sock.accept()
            except (BlockingIOError, ConnectionError):
                return
            self.add(peer, self.echo, pod, port)
            try:
                peer.send(f"{pod} {text_address(address[0])} {address[1]} {port}\n".encode())
            except OSError:
                self.drop(peer)

    def echo(self, sock, _pod, _port):
        try:
            data = sock.recv(65536)
            if data:
                sock.send(data)
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.drop(sock)

    def datagram(self, sock, pod, port):
        for _ in range(SO_RECEIVE_ALL):
            try:
                _, address = sock.recvfrom(2048)
                sock.sendto(f"{pod} {text_address(address[0])} {address[1]} {port}\n".encode(), address)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error of an earlier answer; the next datagram is not to blame

    def chunk(self, sock, pod, _port):
        for _ in range(SO_RECEIVE_ALL):
            try:
                packet, address = sock.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:
                continue
            if sock.family == socket.AF_INET:
                packet = packet[(packet[0] & 15) * 4:]
            found = sctp.parse(packet)
            if not found or found[3] != sctp.INIT or found[1] not in self.ports:
                continue
            text = f"{pod} {address[0]} {found[0]} {found[1]}\n"
            try:
                sock.sendto(sctp.init_ack(found[1], found[0], found[4], text), (address[0], 0))
            except OSError:
                continue

    def run(self):
        """Until standard input ends: whoever started this holds the other end, so it cannot be orphaned."""
        stdin = sys.stdin.fileno()
        self.poll.register(stdin, select.EPOLLIN)
        while True:
            for descriptor, _ in self.poll.poll():
                if descriptor == stdin:
                    return
                entry = self.handlers.get(descriptor)
                if entry:
                    entry[0](*entry[1:])


def main():
    with open(sys.argv[1]) as file:
        plan = json.load(file)
    server = Server()
    server.ports = set(plan["ports"])
    for pod in plan["pods"]:
        server.listen(pod["name"], netns.Namespace(pod["namespace"]), plan["ports"])
    print("ready", flush=True)
    server.run()


if __name__ == "__main__":
    main()
