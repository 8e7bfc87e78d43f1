# SPDX-License-Identifier: GPL-2.0-or-later
"""Just enough SCTP (RFC 9260) for one question and one answer: INIT, and an INIT ACK that carries a text.

Kernels without SCTP sockets still forward and translate SCTP; raw sockets at both ends are all that a verdict needs.
The text travels in the state cookie, which the asking side would have to send back unread: nobody else looks at it.
"""
import struct

PROTOCOL = 132
INIT, INIT_ACK = 1, 2
STATE_COOKIE = 7
_POLYNOMIAL = 0x82F63B78


def _table():
    rows = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        rows.append(value)
    return rows


_TABLE = _table()


def crc32c(data):
    """Castagnoli's CRC; crc32c(b"123456789") is 0xE3069283."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _packet(source_port, port, tag, chunk):
    head = struct.pack("!HHI", source_port, port, tag)
    return head + struct.pack("<I", crc32c(head + bytes(4) + chunk)) + chunk


def _chunk(kind, initiate_tag, parameters=b""):
    body = struct.pack("!IIHHI", initiate_tag, 65536, 1, 1, 1) + parameters
    return struct.pack("!BBH", kind, 0, 4 + len(body)) + body + bytes(-len(body) % 4)


def init(source_port, port, initiate_tag):
    return _packet(source_port, port, 0, _chunk(INIT, initiate_tag))


def init_ack(source_port, port, peer_tag, text):
    cookie = text.encode()
    parameter = struct.pack("!HH", STATE_COOKIE, 4 + len(cookie)) + cookie
    return _packet(source_port, port, peer_tag, _chunk(INIT_ACK, 0x1AB1AB, parameter))


def parse(packet):
    """(source port, port, verification tag, chunk type, initiate tag, text) of a packet, or None when it is not one of
    these two, or its checksum is wrong (a translator that forgets it must be seen)."""
    if len(packet) < 32:
        return None
    source_port, port, tag = struct.unpack_from("!HHI", packet)
    if struct.pack("<I", crc32c(packet[:8] + bytes(4) + packet[12:])) != packet[8:12]:
        return None
    kind, _, length, initiate_tag = struct.unpack_from("!BBHI", packet, 12)
    if kind not in (INIT, INIT_ACK):
        return None
    text = ""
    if kind == INIT_ACK and length > 24 and len(packet) >= 36:
        parameter, size = struct.unpack_from("!HH", packet, 32)
        if parameter == STATE_COOKIE:
            text = packet[36:32 + size].decode()
    return source_port, port, tag, kind, initiate_tag, text
