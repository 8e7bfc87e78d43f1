# SPDX-License-Identifier: GPL-2.0-or-later
"""Every packet of matrix.yaml. One test per case, protocol and family; all questions of a configuration are asked at
once, when its first test runs, and each test then reads its own complaints."""
import cases
import modes
import proxy
import pytest
import topology

CONFIGS = {
    "default": {},
    "masquerade-all": {"masquerade-all": "true"},
    "no-cluster-cidr": {"cluster-cidr": None},
    "all-node-addresses": {"nodeport-addresses": "0.0.0.0/0,::/0"},
}


def _identify(variant):
    case, protocol, family = variant
    return f"{case.name}-{protocol}-v{family}"


def _cannot_run(variant):
    """Why the dataplane under test cannot answer this; "" when it can."""
    return "SCTP does not pass a proxy in user space" if variant[1] == "sctp" and modes.is_proxied() else ""


def _local_addresses(lab, wanted, verb):
    """Adds or removes the addresses that some cases want a node to carry itself."""
    for case in wanted:
        for node, names in case.data.get("local", {}).items():
            for name in names:
                for family in case.families:
                    address = f"{case.address(name, family)}/{topology.FULL_LENGTH[family]}"
                    lab.namespace(node).run(["ip", "addr", verb, address, "dev", "lo"])


def _ask_all(lab, prober, config, variants):
    """{variant: [complaints]} of one configuration, under a fairlead of its own on every node."""
    chosen = [case for case in cases.load() if case.config == config]
    _local_addresses(lab, chosen, "add")
    try:
        cluster = proxy.Cluster(lab, CONFIGS[config])
        for case in chosen:
            if objects := case.objects(lab.topology):
                cluster.folder.write(f"{case.name}.yaml", objects)
        with cluster:
            asked = [(variant, row) for variant in variants
                     for row in variant[0].rows(lab.topology, variant[1], variant[2])]
            answers = prober.run(cases.check(prober, row) for _, row in asked)
    finally:
        _local_addresses(lab, chosen, "del")
    complaints = {_identify(variant): [] for variant in variants}
    for (variant, _), answer in zip(asked, answers):
        if answer:
            complaints[_identify(variant)].append(answer)
    return complaints


@pytest.fixture(scope="session")
def complaints(lab, prober, request):
    """A function from a configuration to its complaints; asks what this session's tests need, once."""
    selected = [item.callspec.params["variant"] for item in request.session.items
                if getattr(item, "originalname", "") == "test_packet" and not _cannot_run(item.callspec.params["variant"])]
    made = {}

    def of(config):
        if config not in made:
            try:
                made[config] = _ask_all(lab, prober, config, [v for v in selected if v[0].config == config])
            except Exception as error:  # kept: the other tests of this configuration need not wait for it again
                made[config] = error
        if isinstance(made[config], Exception):
            pytest.fail(f"configuration {config} could not be asked: {made[config]}")
        return made[config]
    return of


@pytest.mark.parametrize("variant", cases.variants(), ids=_identify)
def test_packet(variant, complaints):
    case = variant[0]
    if _cannot_run(variant):
        pytest.skip(_cannot_run(variant))
    wrong = complaints(case.config)[_identify(variant)]
    assert not wrong, f"{case.why}\n" + "\n".join(wrong)
