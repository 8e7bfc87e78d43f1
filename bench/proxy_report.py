# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of the proxies' measures: fairlead's against the targets, kube-proxy's and the ratio under each."""
import statistics

from harness.measure import quantile
from harness.report import CHANGE_US, FIRST_CONNECTION_S, FIRST_PACKET_US, MIB, PEAK_KIB, judged, row


def changes_of(found, pick):
    """All changes of a round that have what `pick` takes."""
    kinds = found["changes"]["kinds"] if "changes" in found else {}
    return [pick(one) for samples in kinds.values() for one in samples]


def from_answer(one):
    return one["commit_ns"] - one["call_ns"]


def from_sent(one):
    return one["commit_ns"]


def packet_from_answer(one):
    return one["first_packet_ns"] - one["call_ns"]


def middle(values):
    return statistics.median(values) if values else None


# name, a figure of a round (or None), its unit, factor from the figure to the unit, digits, target by size in
# the mode nftables
def figures(size, has_targets):
    def of_changes(pick, share):
        def take(found):
            values = [value for value in changes_of(found, pick) if value > 0]
            return quantile(values, share) if values else None
        return take

    def part(name, key):
        return lambda found: found[name][key] if name in found else None

    first_s, peak = FIRST_CONNECTION_S.get(size), PEAK_KIB.get(size)
    cpu = CHANGE_US.get(size, {}).get("cpu_us")
    packet = FIRST_PACKET_US.get(size)
    if not has_targets:
        first_s = peak = cpu = packet = None
    return [
        ("start to first connection", lambda found: found["start"]["first_connection_ns"], "s", 1e-9, 3,
         first_s and first_s * 1e9),
        ("start to all in force", lambda found: found["start"]["all_ns"], "s", 1e-9, 3, None),
        ("start to the last commit", lambda found: found["start"]["last_commit_ns"], "s", 1e-9, 3, None),
        ("CPU of the start, with children",
         lambda found: found["start"]["whole_cpu_ns"], "s", 1e-9, 3, None),
        ("peak memory, start", lambda found: found["start"]["peak_kib"], "MiB", 1 / MIB, 1, peak),
        ("peak memory, all changes included", lambda found: found["memory"]["peak_kib"], "MiB", 1 / MIB, 1, peak),
        ("one change, answer of the write to commit, p50", of_changes(from_answer, 0.5), "ms", 1e-6, 2, None),
        ("one change, answer to the first packet at a new endpoint, p50", of_changes(packet_from_answer, 0.5),
         "ms", 1e-6, 2, packet and packet * 1e3),
        ("one change, answer to commit, p99", of_changes(from_answer, 0.99), "ms", 1e-6, 2, None),
        ("one change, write sent to commit, p50", of_changes(from_sent, 0.5), "ms", 1e-6, 2, None),
        ("CPU per change", part("changes", "cpu_us"), "us", 1, 0, cpu),
        ("burst: CPU per change", part("burst", "cpu_us"), "us", 1, 0, cpu),
        ("burst: all in force after the last answer", part("burst", "after_last_answer_ms"), "ms", 1, 0, None),
        ("CPU while idle", lambda found: found["idle"]["cpu_ns"] / found["idle"]["seconds"]
         if "idle" in found else None, "us/s", 1e-3, 0, None),
    ]


# What the iptables mode has to be below kube-proxy's in.
TIMES = 5
TIMES_OF = ("one change, answer of the write to commit, p50", "CPU per change")


def values_of(found, take):
    values = {turn: take(one) for turn, one in found.items()}
    return {turn: value for turn, value in values.items() if value is not None}


def peer_row(what, mode, theirs, own, unit, factor, digits):
    text = f"{middle(theirs.values()) * factor:.{digits}f} {unit}"
    ratios = [theirs[turn] / own[turn] for turn in theirs if own.get(turn)]
    if not ratios:
        return row("    kube-proxy", text)
    text += f", {middle(ratios):.1f} times"
    if mode != "iptables" or what not in TIMES_OF:
        return row("    kube-proxy", text)
    return row("    kube-proxy", text, f"at least {TIMES} times", "met" if middle(ratios) >= TIMES else "missed")


def rows_of(entry):
    loads = [found["load"] for found in entry["rounds"]]
    if loads:
        yield row(f"{entry['size']} from {entry['server']}: load average beside",
                  f"{min(loads):.1f} to {max(loads):.1f}")
    for variant in dict.fromkeys(found["variant"] for found in entry["rounds"]):
        own = [found for found in entry["rounds"] if found["variant"] == variant]
        yield from variant_rows(entry, f"{entry['size']} from {entry['server']}, {variant}", own)


def variant_rows(entry, name, rounds):
    mode = rounds[0]["mode"]
    ours, theirs = ({found["round"]: found for found in rounds if found["program"] == program}
                    for program in ("fairlead", "kube-proxy"))
    for what, take, unit, factor, digits, target in figures(entry["size"], mode == "nftables"):
        own, peer = values_of(ours, take), values_of(theirs, take)
        if own:
            yield judged(f"{name}: {what}", middle(own.values()), target, unit, factor, digits)
        elif peer:
            yield row(f"{name}: {what}", "")
        if peer:
            yield peer_row(what, mode, peer, own, unit, factor, digits)
    yield from kind_rows(name, ours)


def kind_rows(name, ours):
    kinds = {}
    for found in ours.values():
        for kind, samples in found.get("changes", {}).get("kinds", {}).items():
            kinds.setdefault(kind, []).extend(samples)
    for kind, samples in kinds.items():
        if not samples:
            continue
        waits = [from_answer(one) / 1e6 for one in samples]
        text = (f"{quantile(waits, 0.5):.2f} / {quantile(waits, 0.99):.2f} ms, "
                f"{statistics.fmean(one['cpu_ns'] for one in samples) / 1e3:.0f} us, {len(samples)} changes")
        yield row(f"{name}: {kind}, answer to commit p50 / p99, CPU", text)
        lost = sum(one["lost"] for one in samples)
        if lost:
            yield row(f"{name}: {kind}, connections unanswered", str(lost), "0", "missed")


def rows(result):
    for entry in result.get("proxy", []):
        yield from rows_of(entry)
