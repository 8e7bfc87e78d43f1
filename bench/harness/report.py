# SPDX-License-Identifier: GPL-2.0-or-later
"""The targets, and the table that holds the figures against them."""
import statistics

MIB = 1024


def row(what, figure, target="", verdict=""):
    return {"what": what, "figure": figure, "target": target, "verdict": verdict}


def judged(what, value, limit, unit, scale=1.0, digits=1, above=False):
    """value and limit in the same unit before scaling; limit None: there is no target."""
    figure = f"{value * scale:.{digits}f} {unit}".strip()
    if limit is None:
        return row(what, figure)
    met = value >= limit if above else value < limit
    bound = f"{'at least' if above else 'under'} {limit * scale:g} {unit}".strip()
    return row(what, figure, bound, "met" if met else "missed")


# The Targets table of the design, by number of services. Seconds, KiB, microseconds.
FIRST_CONNECTION_S = {10000: 0.6, 100000: 6.0}
PEAK_KIB = {10000: 32 * MIB, 100000: 250 * MIB}
CHANGE_US = {10000: {"p50_us": 200, "p99_us": 1000, "cpu_us": 200}}
FIRST_PACKET_US = {10000: 5000}
# "Nothing measurable": less than one 10 ms tick, and less than the wake-up of one second timer would cost.
IDLE_CPU_S = 0.001
FLAT = 0.95
PROGRAM_BYTES = 2 * 1024 * 1024


def start_rows(entry):
    starts, name = entry["starts"], f"{entry['size']} {entry['form']}"
    size = entry["size"]

    def middle(key):
        return statistics.median(one[key] for one in starts)

    if not starts:
        return
    yield judged(f"{name}: start to first connection", middle("first_connection_ns") / 1e9,
                 FIRST_CONNECTION_S.get(size), "s", digits=3)
    yield row(f"{name}: start to the kernel's commit", f"{middle('last_commit_ns') / 1e9:.3f} s "
              f"({middle('commits'):.0f} commits)")
    yield row(f"{name}: CPU of the start", f"{middle('cpu_ns') / 1e9:.3f} s")
    yield row(f"{name}: elements in the kernel", f"{starts[-1]['elements']}")
    yield judged(f"{name}: peak memory, start", middle("peak_kib"), PEAK_KIB.get(size), "MiB", 1 / MIB)


def change_row(name, change, limits):
    """p50, p99 and CPU of one kind in one row; the verdict names those that missed."""
    keys = {"p50_us": "p50", "p99_us": "p99", "cpu_us": "CPU"}
    figure = " / ".join(f"{change[key]:.0f}" for key in keys) + " us"
    if not limits:
        return row(name, figure)
    missed = [word for key, word in keys.items() if change[key] >= limits[key]]
    return row(name, figure, " / ".join(f"{limits[key]}" for key in keys) + " us",
               "missed: " + ", ".join(missed) if missed else "met")


def change_rows(entry):
    for change in entry.get("changes", []):
        name = f"{entry['size']} {entry['form']}: {change['kind']}"
        yield change_row(f"{name}, p50 / p99 / CPU", change, CHANGE_US.get(entry["size"]))
        notes = [f"of it rename or unlink {change['call_p50_us']:.0f} us", f"{change['commits']:.1f} commits"]
        if change["disturbed"]:
            calm = change["calm_p99_us"]
            notes.append(f"{change['disturbed']} of {change['samples']} disturbed by others"
                         + (f", p99 of the rest {calm:.0f} us" if calm else ""))
        if change.get("daemon_turn_us"):
            notes.append(f"the daemon's own turn {change['daemon_turn_us']:.0f} us")
        yield row("", "; ".join(notes))
        if change["kind"] == "replace-all":
            yield judged(f"{name}, p50 to first packet", change["first_packet_p50_us"],
                         FIRST_PACKET_US.get(entry["size"]), "us", digits=0)
        if change["late"]:
            yield row(f"{name}, in force after a later commit", f"{change['late']} of {change['samples']}")
        if change["lost"]:
            yield row(f"{name}, connections unanswered",
                      f"{change['lost']} ({', '.join(change['lost_how'])})", "0", "missed")


def rest_rows(entry):
    name = f"{entry['size']} {entry['form']}"
    if "idle" in entry:
        spent = entry["idle"]
        yield judged(f"{name}: CPU while idle for {spent['seconds']} s", spent["cpu_ns"] / 1e9, IDLE_CPU_S,
                     "ms", 1e3, 3)
        yield row(f"{name}: idle ticks, voluntary switches",
                  f"{spent['ticks']}, {spent['voluntary_switches']}")
    if "memory" in entry:
        yield judged(f"{name}: peak memory, all changes included", entry["memory"]["peak_kib"],
                     PEAK_KIB.get(entry["size"]), "MiB", 1 / MIB)
    if "restart" in entry:
        again = entry["restart"]
        yield row(f"{name}: restart to a change made meanwhile",
                  f"{again['first_connection_ns'] / 1e9:.3f} s, {again['commits']} commits, "
                  f"CPU {again['cpu_ns'] / 1e9:.3f} s")
        yield row(f"{name}: connections unanswered during restart", f"{again['lost']} of {again['attempts']}",
                  "0", "missed" if again["lost"] else "met")


def connection_rows(measured):
    for label, own in measured["targets"].items():
        yield row(f"new connections, {label}", f"{own['per_second']:.0f}/s, {own['p50_ns'] / 1e3:.0f}/"
                  f"{own['p99_ns'] / 1e3:.0f} us")
    for ratio in measured["ratios"]:
        is_flat = ratio["beside"].startswith("first")
        yield judged(f"new connections, {ratio['target']} beside {ratio['beside']}", ratio["per_second"],
                     FLAT if is_flat else None, "x", digits=3, above=True)
    yield row("new connections beside kube-proxy's nftables mode", "not measured",
              "within 5 % at 10, better at 10000")


def rows(result):
    for entry in result["sizes"]:
        yield from start_rows(entry)
        yield from change_rows(entry)
        yield from rest_rows(entry)
    if "connections" in result:
        yield from connection_rows(result["connections"])
    if "program_bytes" in result:
        yield judged("program size, stripped", result["program_bytes"], PROGRAM_BYTES, "MiB", 1 / 1024 / 1024,
                     2)
    for fault in result["faults"]:
        yield row(fault["where"], "FAILED", "", "failed")


def table(lines):
    heads = {"what": "measure", "figure": "figure", "target": "target", "verdict": "verdict"}
    widths = {key: max(len(one[key]) for one in [heads] + lines) for key in heads}
    text = []
    for one in [heads, {key: "-" * widths[key] for key in heads}] + lines:
        text.append("  ".join(one[key].ljust(widths[key]) for key in heads).rstrip())
    return "\n".join(text)
