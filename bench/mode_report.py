# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of the modes' measures."""
from harness.report import MIB, judged, row

STREAM_SHARE = 0.8  # of haproxy's: "within 20 %"


def rows_of_mode(size, found):
    name, start, cost = f"{size}, {found['mode']}", found["start"], found["cost"]
    yield row(f"{name}: start to first connection; to all in force",
              f"{start['first_connection_ns'] / 1e9:.3f}; {start['all_ns'] / 1e9:.3f} s")
    yield row(f"{name}: CPU of the start, peak memory",
              f"{start['whole_cpu_ns'] / 1e9:.3f} s, {start['peak_kib'] / MIB:.1f} MiB")
    for change in found["changes"]:
        yield row(f"{name}: {change['kind']} in force, p50 / p99",
                  f"{change['p50_us'] / 1e3:.2f} / {change['p99_us'] / 1e3:.2f} ms, {change['samples']} changes")
        if change["lost"]:
            yield row(f"{name}: {change['kind']}, connections unanswered",
                      f"{change['lost']} ({', '.join(change['lost_how'])})", "0", "missed")
    yield row(f"{name}: CPU per change, with children", f"{cost['cpu_us'] / 1e3:.2f} ms")


def connection_rows(measured, prefix=""):
    for label, own in measured["targets"].items():
        yield row(f"{prefix}new connections, {label}",
                  f"{own['per_second']:.0f}/s, {own['p50_ns'] / 1e3:.0f}/{own['p99_ns'] / 1e3:.0f} us")
    for ratio in measured["ratios"]:
        yield row(f"{prefix}new connections, {ratio['target']} beside {ratio['beside']}",
                  f"{ratio['per_second']:.3f} x")


def stream_rows(found):
    name = f"{found['size']}, one stream"
    for label, rate in found["streams"]["targets"].items():
        yield row(f"{name}, {label}", f"{rate / 1e6:.0f} MB/s")
    for label, ratio in found["streams"]["ratios"].items():
        limit = STREAM_SHARE if label == "haproxy" else None
        yield judged(f"{name}, userspace beside {label}", ratio, limit, "x", digits=3, above=True)
    yield from connection_rows(found["connections"], f"{found['size']}, ")


def rows(result):
    for entry in result.get("modes", []):
        for found in entry["modes"]:
            yield from rows_of_mode(entry["size"], found)
        if entry.get("connections"):
            yield from connection_rows(entry["connections"])
    for found in result.get("streams", []):
        yield from stream_rows(found)
