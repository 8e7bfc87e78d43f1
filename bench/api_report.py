# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of the API's measures: fairlead's, and those of kube-apiserver under each."""
from harness.report import judged, row

MIB = 1024
# The target of the embedded API server: a write reaches every one of 200 watchers within this, p99.
EVENT_NS = 20e6


def times(found, scale=1e6, unit="ms", digits=2):
    each = (f"{found[key] / scale:.{digits}f}" for key in ("p50_ns", "p99_ns", "max_ns"))
    return " / ".join(each) + f" {unit}"


def together(each):
    """The server's, and etcd's where there is one."""
    return ", etcd ".join(f"{value:.0f} us" for value in each)


def load_figures(entry):
    load = entry["created"]
    yield "others' work on the machine, as load average before", f"{entry['load']:.1f}"
    for what in ("services", "slices"):
        yield (f"created {what} per second, {load['connections']} connections",
               f"{load[what]['per_second']:.0f}; each {times(load[what]['each'])} (p50 / p99 / max)")
    yield "data on the disk", f"{entry['file_bytes'] / MIB / MIB:.1f} MiB"


def memory_figures(entry):
    def mib(found):
        own = f"{found['resident_kib'] / MIB:.1f} MiB (peak {found['peak_kib'] / MIB:.1f})"
        more = found["all_resident_kib"] - found["resident_kib"]
        return own + (f", and etcd {more / MIB:.1f}" if more else "")

    yield "resident memory, empty", mib(entry["memory_empty"])
    yield "resident memory, loaded", mib(entry["memory_loaded"])
    watch = entry["watch"]
    more = watch["memory_watched"]["resident_kib"] - watch["memory_before"]["resident_kib"]
    yield "memory per waiting watcher", f"{more / watch['open']['watchers']:.1f} KiB"
    yield "resident memory after the writes", mib(watch["memory_after"])
    yield "resident memory after a start with everything", mib(entry["memory_started"])
    yield "resident memory after the lists", mib(entry["memory_listed"])


def watch_figures(entry):
    watch, spent = entry["watch"], entry["watch"]["idle"]
    writes = watch["writes"]
    yield ("opening all watches", f"{watch['open']['open_ns'] / 1e6:.0f} ms")
    yield (f"{watch['open']['watchers']} idle watchers for {spent['seconds']} s, CPU and voluntary switches",
           f"{spent['cpu_ns'] / 1e6:.2f} ms, {spent['voluntary_switches']}")
    yield "a write, sent to answer, p50 / p99 / max", times(writes["answer"])
    yield "of it PUT", times(writes["answer_put"])
    yield "of it PATCH", times(writes["answer_patch"])
    yield "sent to each watcher's socket", times(writes["sent_to_socket"])
    yield "sent to each watcher, decrypted", times(writes["sent_to_event"])
    yield "sent to the last watcher, decrypted", times(writes["sent_to_last"])
    yield "answer to the last watcher", times(writes["answer_to_last"])
    yield ("CPU per write, with all watchers' events", together(watch["cpu_us_per_write"]))
    yield "beside it ready but without a CPU, all threads", together(watch["waited_us_per_write"])


def start_figures(entry):
    start = entry["start"]
    yield "start with everything, to the first answer", f"{start['answered_ns'] / 1e9:.3f} s"
    if start["commits"]:
        yield "the same, to the kernel's last commit", (
            f"{start['last_commit_ns'] / 1e9:.3f} s ({start['commits']} commits, "
            f"CPU {start['cpu_ns'] / 1e9:.3f} s)")


def list_figures(entry):
    for one in entry["lists"]:
        pages = f", {one['pages']} pages" if one["pages"] > 1 else ""
        cold, warm, first, cpu = (one[key] / 1e6 for key in ("cold_ns", "warm_ns", "first_byte_ns", "cpu_ns"))
        more = f"cold {cold:.1f}, first byte {first:.1f}, CPU {cpu:.1f}"
        yield f"list of {one['name']}", f"{warm:.1f} ms ({more}), {one['bytes'] / 1e6:.2f} MB{pages}"


def figures(entry):
    """What there is of it: a fault may have ended the rest."""
    for needed, give in (("created", load_figures), ("watch", watch_figures), ("start", start_figures),
                         ("lists", list_figures), ("memory_listed", memory_figures)):
        if needed in entry:
            yield from give(entry)


def rows(result):
    entries = result.get("api", [])
    for entry in entries:
        if entry["server"] != "fairlead":
            continue
        peers = {peer["server"]: dict(figures(peer)) for peer in entries
                 if peer["size"] == entry["size"] and peer is not entry}
        name = f"API, {entry['size']} services"
        if "writes" in entry.get("watch", {}):
            writes = entry["watch"]["writes"]
            yield judged(f"{name}: a write reaches all of {writes['watchers']} watchers, p99",
                         writes["sent_to_last"]["p99_ns"], EVENT_NS, "ms", 1e-6, 2)
        for what, figure in figures(entry):
            yield row(f"{name}: {what}", figure)
            for peer, found in peers.items():
                if what in found:
                    yield row(f"    {peer}", found[what])
