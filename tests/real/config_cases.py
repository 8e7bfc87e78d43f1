# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines and configuration files for kube-proxy and for `fairlead proxy`.

A case is (flags, text of the file or None). Hand-picked ones first, then what a seeded generator makes of the tables of all
flags and all fields, with values that are right, nearly right, of another type and nonsense.
"""
import json
import random

import yaml

VERSION, KIND = "kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration"
HEAD = f"apiVersion: {VERSION}\nkind: {KIND}\n"

# --- values by what a flag or a field is; good ones, then bad ones ---

DURATIONS = (["30s", "1m", "2h22m", "0", "0s", "1500ms", "1.5s", "250us", "-1s", "+5s", "1h0m0.5s", ".5s", "5.s", "10ns", "1µs", "1μs",
              "-0", "+0", "2562047h47m16.854775807s"],
             ["5", "", "1x", "1 s", " 1s", "1s ", "s", ".s", "-", "9223372036854775808ns", "99999999h", "1e3s", "1d", "é", "5 m",
              "1.1.1s", "--1s", "1m-1s", "3000000h", "0.000000000000000000001s", "1.9999999999999999999s", "1é"])
BOOLEANS = (["true", "false", "T", "F", "1", "0", "TRUE", "False", "t", "f"], ["yes", "", "2", "tRUE", "on", " true"])
INTEGERS = (["0", "1", "14", "31", "-1", "32", "1000", "-999", "2147483647", "-2147483648", "0x10", "010", "0b11", "0o17", "+5",
             "1_000", "0x_1F", "-0x1"],
            ["2147483648", "", "1.5", "x", "1e3", " 1", "1 ", "99999999999999999999", "0x", "08", "1__0", "_1", "--1", "0b2", "１"])
FLOATS = (["5", "0", "1.5", "-1", "1e3", "0x1p4", "0.1", "1e-7", "1e21", "16777217", "3.4e38", "1_0", "inf", "NaN", "-Inf", ".5", "5.",
           "+5", "1e-45", "123456789", "infinity"],
          ["", "x", "1e39", " 1", "1 ", "0x", "1e", "1,5", "0x1", "nan(1)", "infinit"])
ADDRESSES = (["0.0.0.0", "::", "10.1.2.3", "fd00::1", "", "010.1.2.3", "::ffff:1.2.3.4", "FD00:0:0::1", "127.0.0.1", "::1"],
             ["x", "10.1.2", "10.1.2.3/24", "1.2.3.4:5", "[::1]", "fe80::1%eth0", " 1.2.3.4", "1.2.3.256", ":::", "localhost"])
SOCKETS = (["0.0.0.0:10256", "[::]:10256", "10.1.2.3", "fd00::1", "", "[fd00::1]:80", "1.2.3.4:1", "1.2.3.4:65535", "1.2.3.4:0", "[::1]:0",
            "1.2.3.4:0080", "010.1.2.3:80"],
           ["x", "x:80", ":80", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:65536", "1.2.3.4:-1", "[1.2.3.4]:80", "[::1]", "::1:80:", "1.2.3.4:80:81",
            "1.2.3.4:+80", "localhost:80", "[fe80::1%eth0]:80", "1.2.3.4: 80", "[::1]80", "[x]:80", "]:80"])
CIDRS = (["10.0.0.0/8", "fd00::/64", "10.1.2.3/8", "10.244.0.0/16,fd00:10:244::/56", "010.0.0.0/8", "0.0.0.0/0", "::/0", "1.2.3.4/32",
          "fd00::1/128", "10.0.0.0/08", "::ffff:10.0.0.0/104"],
         ["x", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/8,10.1.0.0/16", "10.0.0.0/8,", ",", "10.0.0.0/8, fd00::/64", "10.0.0.0/-1",
          "10.0.0.0/8,fd00::/64,fd01::/64", "fd00::/64,fd01::/64", "fd00::/129", "/8", "10.0.0.0/", "10.0.0.0/+8", "fd00::/64,10.0.0.0/8"])
LISTS = (["10.0.0.0/8", "10.0.0.0/8,fd00::/8", "primary", "", "10.0.0.0/8,10.1.0.0/16", '"10.0.0.0/8"', "fd00::/8"],
         ["x", "primary,10.0.0.0/8", "10.0.0.0/8,primary", "primary,primary", ",", '"a', "a\"b", "10.0.0.0/8,", '"a,b",c', "10.0.0.0", '"a"b',
          '""', "10.0.0.0/8\nx", "all", "localhost", " primary"])
MODES = (["iptables", "ipvs", "nftables", ""], ["userspace", "kernelspace", "IPTables", "x", " nftables", "ipvs "])
LOCAL_MODES = (["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix", ""], ["clusterCIDR", "x", "NodeCIDR "])
GATES = (["AllAlpha=true", "AllBeta=false", "WatchListClient=false", "LoggingAlphaOptions=true", "LoggingBetaOptions=false", "",
          "WatchListClient=1,AllAlpha=F", "WatchListClient = true", "WatchListClient=true,", "ContextualLogging=true", "ComponentFlagz=true"],
         ["AllAlpha", "AllAlpha=", "AllAlpha=x", "=true", "NFTablesProxyMode=false", "WatchListClient=true=false", "a b=true", "AllAlpha=true;x",
          "ContextualLogging=false"])
TEXTS = (["a", "", "eth0", "a b", "a: b", "'a'", '"', "yes", "5", "null", "~", "1e3", "#a", "a #b", "- a", "é", "a\tb", "a\nb", " a ", "0x10", "2020-01-01",
          "on", "a:", "@a", "%a", "*a", "&a", "!a", "|", ">", "?", "-", "---", "a'b", "=", "<<", ".inf", "0o7", "1:20", "+1", "\\", "{a}", "[a",
          "a,b", "true", "NaN", ".", "..", "12:30:45", "x" * 100, "x y " * 40, "1_000", "0b1", "_", "~a", "😀", "\u0085", "\u2028", "\ufeffa", "\x7f",
          "a\r\nb", "\n", " ", "N", "2001-12-14t21:59:43.10-05:00", ":a", "a\\b", "Off", "-1", "-.5", "0.", "-0", "0777", "0999"], [])
VERSIONS = (["", "1.35"], ["1.36", "1.34", "x", "v1.35", "1.35.0", " 1.35"])
LEVELS = (["0", "1", "5", "10", "2147483647", "+0", "0x5", "010"], ["-1", "x", "", "2147483648", "4294967296", "1.5", "99999999999"])
VMODULES = (["a=1", "a=1,b=2", "", "a*=3,", "server_*=10"], ["a", "a=", "=1", "a=x", "a=1=2", "a=-1", "a=99999999999", "a=1 ", ",", " a=1"])
FORMATS = (["text", "json"], ["", "xml", "TEXT"])
QUANTITIES = (["0", "1", "1Ki", "1M", "1.5k", "1e3", "64Mi", "100m", "-1", "+5", "1000", "1024", "0.5", "12345Ki", "1E", "1Ei", "1n"],
              ["", "x", "1kb", "1 k", "KI", "1.1.1", "1e", "--1", "1ki"])

FLAGS = {
    "hostname-override": TEXTS, "kubeconfig": TEXTS, "kube-api-content-type": TEXTS, "master": TEXTS,
    "feature-gates": GATES, "kube-api-burst": INTEGERS, "kube-api-qps": FLOATS,
    "bind-address": ADDRESSES, "healthz-bind-address": SOCKETS, "metrics-bind-address": SOCKETS,
    "healthz-port": INTEGERS, "metrics-port": INTEGERS, "bind-address-hard-fail": BOOLEANS, "profiling": BOOLEANS,
    "show-hidden-metrics-for-version": VERSIONS, "proxy-mode": MODES, "iptables-masquerade-bit": INTEGERS,
    "masquerade-all": BOOLEANS, "iptables-localhost-nodeports": BOOLEANS, "iptables-sync-period": DURATIONS,
    "iptables-min-sync-period": DURATIONS, "ipvs-sync-period": DURATIONS, "ipvs-min-sync-period": DURATIONS,
    "ipvs-scheduler": TEXTS, "ipvs-exclude-cidrs": LISTS, "ipvs-strict-arp": BOOLEANS, "ipvs-tcp-timeout": DURATIONS,
    "ipvs-tcpfin-timeout": DURATIONS, "ipvs-udp-timeout": DURATIONS, "detect-local-mode": LOCAL_MODES,
    "pod-bridge-interface": TEXTS, "pod-interface-name-prefix": TEXTS, "cluster-cidr": CIDRS, "nodeport-addresses": LISTS,
    "oom-score-adj": INTEGERS, "conntrack-max-per-core": INTEGERS, "conntrack-min": INTEGERS,
    "conntrack-tcp-timeout-established": DURATIONS, "conntrack-tcp-timeout-close-wait": DURATIONS,
    "conntrack-tcp-be-liberal": BOOLEANS, "conntrack-udp-timeout": DURATIONS, "conntrack-udp-timeout-stream": DURATIONS,
    "config-sync-period": DURATIONS, "v": LEVELS, "vmodule": VMODULES, "logging-format": FORMATS,
    "log-flush-frequency": DURATIONS, "log-text-split-stream": BOOLEANS, "log-text-info-buffer-size": QUANTITIES,
    "log-json-split-stream": BOOLEANS, "log-json-info-buffer-size": QUANTITIES,
    "machine-id-file": TEXTS, "boot-id-file": TEXTS, "init-only": BOOLEANS,
}
SWITCHES = {name for name, values in FLAGS.items() if values is BOOLEANS}

# --- fields of a file: path to (good, bad) texts; how they are written says `quote` ---

NUMBERS = (["0", "1", "14", "31", "32", "-1", "1000", "1001", "-1000", "null", "2147483647", "1e2", "0x10", "010", "1.0"],
           ["2147483648", "1.5", '"5"', "x", "true", "[1]", "{}", "-2147483649", "1e10", ".5", ".nan", "99999999999999999999", "1e400"])
REALS = (["0", "1", "5", "1.5", "-1", "1e3", "null", "0.1", "1e21", "16777217", "1e-7", "-0.0", "1e-50"], ["x", '"5"', "true", "[1]", "{}", "1e39", ".inf"])
SWITCH_VALUES = (["true", "false", "null", "yes", "on", "off", "no", "True", "FALSE", "y", "n"], ["1", '"true"', "x", "[]", "{}", "0", '""'])
SPANS = ([json.dumps(value) for value in DURATIONS[0]] + ["null", "30s", "1h"],
         [json.dumps(value) for value in DURATIONS[1]] + ["5", "true", "[]", "{}", "1.5", "0", "[1s]"])
WORDS = ([json.dumps(value) for value in TEXTS[0]] + ["null", "plain", "'a'"], ["5", "true", "[]", "{}", "1.5", "[a]", "{a: b}", "-0", "0x10", "2020-01-01", "1e400"])


def quoted(values):
    return ([json.dumps(value) for value in values[0]] + ["null"],
            [json.dumps(value) for value in values[1]] + ["5", "true", "[]", "{}"])


WORD_LISTS = (["[]", "null", '["10.0.0.0/8"]', '["10.0.0.0/8", "fd00::/8"]', "[primary]", '["010.0.0.0/8"]', '["1.2.3.4/8", "fd00::1/64", "5.6.7.8/32"]'],
              ["x", "5", "{}", "[5]", "[null]", '[""]', "[x]", '["primary", "10.0.0.0/8"]', '["10.0.0.0/8", "primary"]', "[[a]]", "[true]",
               '["10.0.0.0/8", null]', '["a", "b", "c"]', "{a: b}", '["primary", "primary"]', '["10.0.0.0"]', "[all]"])
FIELDS = {
    "featureGates": (["{}", "null", "{AllAlpha: true}", "{WatchListClient: false, AllBeta: true}", "{AllAlpha: null}", "{LoggingBetaOptions: false}"],
                     ["5", "[]", "x", "{AllAlpha: x}", "{AllAlpha: 1}", "{NFTablesProxyMode: false}", '{AllAlpha: "true"}', "{AllAlpha: [true]}"]),
    "clientConnection.kubeconfig": WORDS, "clientConnection.acceptContentTypes": WORDS, "clientConnection.contentType": WORDS,
    "clientConnection.qps": REALS, "clientConnection.burst": NUMBERS,
    "logging.format": quoted(FORMATS), "logging.flushFrequency": (SPANS[0] + ["5", "5000000000", "1"], [value for value in SPANS[1] if value != "5"] + ["-1", "-5s"]),
    "logging.verbosity": (["0", "1", "5", "null", "2147483647", "1e1"], ["-1", "2147483648", "4294967296", "x", '"1"', "1.5", "[]"]),
    "logging.vmodule": (["[]", "null", "[{filePattern: a, verbosity: 1}]", "[{filePattern: a, verbosity: 1}, {filePattern: b}]"],
                        ["x", "{}", "[x]", "[{}]", '[{filePattern: "a=b"}]', "[{filePattern: a, verbosity: -1}]", "[{filePattern: 5}]", "[null]",
                         "[{filePattern: a, verbosity: 2147483648}]", "[{filePattern: a, level: 1}]", '[{filePattern: "a,b", verbosity: x}]']),
    "logging.options": (["{}", "null", "{text: {}}", "{json: null}"], ["x", "[]", "{xml: {}}", "5"]),
    "logging.options.text.splitStream": SWITCH_VALUES, "logging.options.json.splitStream": SWITCH_VALUES,
    "logging.options.text.infoBufferSize": (quoted(QUANTITIES)[0] + ["0", "5", "1024"], quoted(QUANTITIES)[1][:9] + ["true", "[]"]),
    "logging.options.json.infoBufferSize": (quoted(QUANTITIES)[0] + ["0", "5"], ["x", "true", "{}", "1.5"]),
    "hostnameOverride": WORDS, "bindAddress": quoted(ADDRESSES), "healthzBindAddress": quoted(SOCKETS),
    "metricsBindAddress": quoted(SOCKETS), "bindAddressHardFail": SWITCH_VALUES, "enableProfiling": SWITCH_VALUES,
    "showHiddenMetricsForVersion": (quoted(VERSIONS)[0], quoted(VERSIONS)[1] + ["1.35"]), "mode": quoted(MODES),
    "iptables.masqueradeBit": NUMBERS, "iptables.masqueradeAll": SWITCH_VALUES, "iptables.localhostNodePorts": SWITCH_VALUES,
    "iptables.syncPeriod": SPANS, "iptables.minSyncPeriod": SPANS, "ipvs.syncPeriod": SPANS, "ipvs.minSyncPeriod": SPANS,
    "ipvs.scheduler": WORDS, "ipvs.excludeCIDRs": WORD_LISTS, "ipvs.strictARP": SWITCH_VALUES, "ipvs.tcpTimeout": SPANS,
    "ipvs.tcpFinTimeout": SPANS, "ipvs.udpTimeout": SPANS, "nftables.masqueradeBit": NUMBERS,
    "nftables.masqueradeAll": SWITCH_VALUES, "nftables.syncPeriod": SPANS, "nftables.minSyncPeriod": SPANS,
    "winkernel.networkName": WORDS, "winkernel.sourceVip": WORDS, "winkernel.enableDSR": SWITCH_VALUES,
    "winkernel.rootHnsEndpointName": WORDS, "winkernel.forwardHealthCheckVip": SWITCH_VALUES,
    "detectLocalMode": quoted(LOCAL_MODES), "detectLocal.bridgeInterface": WORDS, "detectLocal.interfaceNamePrefix": WORDS,
    "clusterCIDR": quoted(CIDRS), "nodePortAddresses": WORD_LISTS, "oomScoreAdj": NUMBERS,
    "conntrack.maxPerCore": NUMBERS, "conntrack.min": NUMBERS, "conntrack.tcpEstablishedTimeout": SPANS,
    "conntrack.tcpCloseWaitTimeout": SPANS, "conntrack.tcpBeLiberal": SWITCH_VALUES, "conntrack.udpTimeout": SPANS,
    "conntrack.udpStreamTimeout": SPANS, "configSyncPeriod": SPANS, "portRange": WORDS, "windowsRunAsService": SWITCH_VALUES,
}
BLOCKS = sorted({path.rpartition(".")[0] for path in FIELDS if "." in path})
# Fields of other releases (1.21 to 1.25), of nobody, and nearly right ones.
UNKNOWN = ["udpIdleTimeout: 250ms", "foo: 1", "Mode: ipvs", "iptable: {}", "iptables.masqueradebit: 5", "conntrack.max: 5", "conntrack.maxPercore: 1",
           "ipvs.foo.bar: 1", "metadata.name: x", "winkernel.foo: {a: [1]}", "logging.foo: 1", "logging.options.text.foo: 1", "clientConnection.QPS: 3",
           "resourceContainer: /kube-proxy", "featureGate: {a: true}", "detectLocal.clusterCIDRs: [10.0.0.0/8]", "syncPeriod: 5s", "nodeportAddresses: []",
           "linux.oomScoreAdj: 5", "status: {}", '"": 1', "bindaddress: x", '"a.b": 1', '"a\\"b": 1', "é: 1"]

FLAG_CASES = [
    [], ["--foo"], ["--foo=1"], ["-x"], ["-xv"], ["-v"], ["-v5"], ["-v=5"], ["-v", "5"], ["-vx"], ["--v"], ["--v=3", "-v", "4"], ["-v="],
    ["pos"], ["pos", "more"], [""], ["", "pos"], ["--", "pos"], ["--"], ["--", "--foo"], ["-"], ["--=x"], ["---foo"], ["--=", "x"], ["-=x"],
    ["--profiling", "false"], ["--profiling=false"], ["--profiling"], ["--bind_address=1.2.3.4"], ["--bind-address"], ["--bind-address", ""],
    ["--bind-address", "--profiling"], ["--proxy_mode", "ipvs"], ["--Proxy-mode=ipvs"], ["--proxy-mode=ipvs", "--proxy-mode=nftables"],
    ["--proxy-mode=ipvs", "--ipvs-sync-period=7s", "--iptables-sync-period=8s"],
    ["--proxy-mode=ipvs", "--ipvs-min-sync-period=7s", "--iptables-min-sync-period=8s"],
    ["--proxy-mode=nftables", "--ipvs-sync-period=7s", "--iptables-sync-period=8s", "--iptables-min-sync-period=3s"],
    ["--ipvs-sync-period=7s", "--iptables-sync-period=8s", "--masquerade-all"], ["--proxy-mode=ipvs", "--masquerade-all"],
    ["--proxy-mode=nftables", "--masquerade-all", "--iptables-masquerade-bit=5"], ["--iptables-masquerade-bit=32", "--proxy-mode=nftables"],
    ["--nodeport-addresses=10.0.0.0/8", "--nodeport-addresses=fd00::/8"], ["--nodeport-addresses=", "--proxy-mode=nftables"],
    ["--nodeport-addresses=primary", "--nodeport-addresses=10.0.0.0/8"], ["--cluster-cidr="], ["--cluster-cidr=", "--detect-local-mode=NodeCIDR"],
    ["--cluster-cidr=x", "--detect-local-mode=NodeCIDR"], ["--detect-local-mode=BridgeInterface"], ["--detect-local-mode=InterfaceNamePrefix"],
    ["--detect-local-mode=BridgeInterface", "--pod-bridge-interface=br0"], ["--detect-local-mode=InterfaceNamePrefix", "--pod-interface-name-prefix=veth"],
    ["--hostname-override=NODE"], ["--hostname-override= Node "], ["--hostname-override= "], ["--hostname-override=ÄÖ"], ["--hostname-override=\t\n"],
    ["--hostname-override=\u00a0A\u2003"], ["--kubeconfig=a", "--kubeconfig=b"], ["--healthz-port=5"], ["--healthz-port=0", "--metrics-port=0"],
    ["--healthz-port=70000"], ["--metrics-port=-1"], ["--logging-format=json"], ["--logging-format=json", "--vmodule=a=1"], ["--logging-format=xml", "--vmodule=a=1"],
    ["--logging-format=json", "--oom-score-adj=5000"], ["--logging-format=json", "--feature-gates=LoggingBetaOptions=false"],
    ["--log-text-split-stream"], ["--log-json-info-buffer-size=1Ki"], ["--log-text-split-stream", "--feature-gates=LoggingAlphaOptions=true"],
    ["--log-text-split-stream", "--feature-gates=AllAlpha=true"], ["--log-json-info-buffer-size=1Ki", "--feature-gates=LoggingAlphaOptions=true"],
    ["--log-flush-frequency=0"], ["--log-flush-frequency=-1s"], ["--vmodule=a=1", "--vmodule=b=2"], ["--feature-gates=WatchListClient=false", "--feature-gates=AllBeta=false"],
    ["--feature-gates=NoSuchGate=true"], ["--feature-gates=SupportIPVSProxyMode=true"], ["--feature-gates=NFTablesProxyMode=true"],
    ["--source-vip=1.2.3.4"], ["--windows-service"], ["--network-name=x"], ["--enable-dsr"], ["--root-hnsendpoint-name=x"], ["--forward-healthcheck-vip"],
    ["--proxy-port-range=1-2"], ["--udp-timeout=5s"], ["--bind-address=::"], ["--bind-address=::", "--healthz-bind-address="], ["--healthz-bind-address=::"],
    ["--metrics-bind-address="], ["--iptables-sync-period=1s", "--iptables-min-sync-period=2s"], ["--config-sync-period=0"], ["--config-sync-period=-1s"],
    ["--iptables-sync-period=0"], ["--iptables-min-sync-period=-1s"], ["--ipvs-tcp-timeout=-1s"], ["--proxy-mode=ipvs", "--ipvs-tcp-timeout=-1s", "--ipvs-udp-timeout=-1s"],
    ["--proxy-mode=ipvs", "--ipvs-exclude-cidrs=x,10.0.0.0/8,y"], ["--proxy-mode=x", "--oom-score-adj=-1001", "--bind-address=::", "--conntrack-min=-1",
     "--conntrack-max-per-core=-1", "--kube-api-burst=-1", "--config-sync-period=0", "--show-hidden-metrics-for-version=1.2", "--cluster-cidr=a,b,c"],
    ["--init-only"], ["--cleanup=false"], ["--help=false"], ["--version=false"], ["-h=false"], ["--kube-api-content-type="], ["--alsologtostderr"], ["--logtostderr"],
    ["--log-dir=/tmp"], ["--iptables-min-sync-period=31s"], ["--oom-score-adj=1000"], ["--conntrack-tcp-timeout-established=-5s"],
]

FILE_CASES = [
    "", "\n", "# nothing\n", "---\n", "---\n---\n", "null", "~", "[]", "5", "x", '""', "{}", "{", "}", "[", "a: b: c", "a:\n\tb: 1\n", "\t", "{}\n{}",
    "kind: KubeProxyConfiguration\n", f"apiVersion: {VERSION}\n", "apiVersion: v1\nkind: Pod\n", f"apiVersion: {VERSION}\nkind: Pod\n",
    f"apiVersion: kubeproxy.config.k8s.io/v1\nkind: {KIND}\n", f"apiVersion: kubeproxy.config.k8s.io/v1beta1\nkind: {KIND}\n", f"apiVersion: a/b/c\nkind: {KIND}\n",
    f"apiVersion: {VERSION}\nkind: kubeproxyconfiguration\n", f"apiVersion: 5\nkind: {KIND}\n", f"apiVersion: {VERSION}\nkind: [a]\n", f"apiVersion: ''\nkind: {KIND}\n",
    f"apiVersion: null\nkind: {KIND}\n", f"kind: {KIND}\nkind: {KIND}\napiVersion: {VERSION}\n", f"apiVersion: kubeproxy.config.k8s.io/__internal\nkind: {KIND}\n",
    HEAD, HEAD + "---\n", "---\n" + HEAD, HEAD + "---\n" + HEAD, HEAD + "---\n" + HEAD + "mode: ipvs\n", HEAD + "mode: ipvs\n---\nx\n", HEAD + "...\n", "\ufeff" + HEAD,
    HEAD + "---\nfoo: [\n", "# a comment\n" + HEAD, HEAD + "mode: ipvs\nmode: nftables\n", HEAD + "ipvs: {scheduler: a, scheduler: b}\n", "%YAML 1.1\n---\n" + HEAD,
    HEAD + "foo: 1\nmode: ipvs\nmode: nftables\nipvs: {foo: 1}\n", HEAD + "foo: 1\nfoo: 2\n", HEAD + "conntrack: &a {min: 5}\nfoo: *a\n", HEAD + "x: &a {min: 5}\nconntrack: *a\n",
    HEAD + "conntrack: {<<: {min: 5}, maxPerCore: 1}\n", HEAD + "conntrack: *b\n", HEAD + "mode: !!str nftables\n", HEAD + "mode: !foo nftables\n", HEAD + "mode: |\n  nftables\n",
    HEAD + "mode: >-\n  nftables\n", HEAD + "? mode\n: nftables\n", HEAD + "5: 6\n", HEAD + "true: 1\n", HEAD + "null: 1\n", HEAD + "[a]: 1\n", HEAD + "oomScoreAdj: !!int \"5\"\n",
    HEAD + "mode: !!binary aXB2cw==\n", HEAD.replace("\n", "\r\n"), HEAD + "mode: nftables", HEAD + "mode: nftables #x\n", HEAD + "mode: nftables\0", HEAD + "mode: \x01\n",
    HEAD + "mode: \"\\x41\"\n", HEAD + "mode: \"\\u0000\"\n", HEAD + "  mode: ipvs\n", HEAD + " - a\n", HEAD + "- a\n", HEAD + "mode: @x\n", HEAD + "mode: `x`\n", HEAD + "mode: %x\n",
    HEAD + "mode: 'x\n", HEAD + 'mode: "x\n', HEAD + "mode: \"\\q\"\n", HEAD + "mode: [a, b\n", HEAD + "mode: {a: b\n", HEAD + "mode: a: b\n", HEAD + "mode: ipvs\n mode: x\n",
    HEAD + "udpIdleTimeout: 250ms\n", HEAD + "udpIdleTimeout: x\n", HEAD + "mode: userspace\nudpIdleTimeout: 250ms\nportRange: 1-2\n", HEAD + "portRange: 1-2\n",
    HEAD + "iptables: {masqueradeAll: true}\nmode: ipvs\n", HEAD + "nftables: {masqueradeAll: true}\nmode: ipvs\n", HEAD + "nftables: {masqueradeAll: true}\nmode: nftables\n",
    HEAD + "iptables: {masqueradeAll: true, syncPeriod: 3s}\nmode: nftables\n", HEAD + "ipvs: {syncPeriod: 9s, minSyncPeriod: 2s}\nmode: ipvs\n", HEAD + "ipvs: {minSyncPeriod: 31s}\nmode: ipvs\n",
    HEAD + "ipvs: {syncPeriod: x}\nmode: iptables\n", HEAD + "nftables: {syncPeriod: -1s}\nmode: iptables\n", HEAD + "nftables: {syncPeriod: -1s, minSyncPeriod: -2s}\nmode: nftables\n",
    HEAD + "bindAddress: ::\n", HEAD + "bindAddress: '::'\n", HEAD + "bindAddress: x\n", HEAD + "bindAddress: ''\n", HEAD + "bindAddress: fd00::1\nhealthzBindAddress: ''\n",
    HEAD + "healthzBindAddress: '::'\nmetricsBindAddress: 'fd00::1'\n", HEAD + "healthzBindAddress: x\nmetricsBindAddress: y:z\n",
    HEAD + "clusterCIDR: ''\ndetectLocalMode: ClusterCIDR\n", HEAD + "clusterCIDR: x\ndetectLocalMode: NodeCIDR\n", HEAD + "detectLocalMode: BridgeInterface\n",
    HEAD + "logging: {format: json}\nmode: x\n", HEAD + "logging: {format: json, vmodule: [{filePattern: a, verbosity: 1}]}\n", HEAD + "logging: {verbosity: 3}\n",
    HEAD + "logging: {flushFrequency: 5000000000}\n", HEAD + "logging: {flushFrequency: 0}\n", HEAD + "logging: {flushFrequency: -1s}\n", HEAD + "logging: {flushFrequency: 1.5}\n",
    HEAD + "logging: {format: xml, verbosity: 2147483648, vmodule: [{filePattern: ''}]}\n", HEAD + "mode: x\nlogging: {format: xml}\nfeatureGates: {NFTablesProxyMode: false}\n",
    HEAD + "oomScoreAdj: x\nmode: 5\n", HEAD + "mode: 5\noomScoreAdj: x\n", HEAD + "oomScoreAdj: x\nfoo: 1\n", HEAD + "conntrack: {min: -1, maxPerCore: -1, udpTimeout: -1s}\noomScoreAdj: 5000\nmode: x\n",
    HEAD + "conntrack: {tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}\n", HEAD + "conntrack: {tcpEstablishedTimeout: null}\n", HEAD + "conntrack: 5\n", HEAD + "conntrack: []\n", HEAD + "conntrack: null\n",
    HEAD + "conntrack:\n", HEAD + "iptables: x\n", HEAD + "nodePortAddresses: 10.0.0.0/8\n", HEAD + "nodePortAddresses:\n- 10.0.0.0/8\n- fd00::/8\n", HEAD + "clusterCIDR: [10.0.0.0/8]\n",
    HEAD + "metadata: {name: x}\n", HEAD + "showHiddenMetricsForVersion: 1.35\n", HEAD + "featureGates: {A: true}\n", HEAD + "featureGates:\n  WatchListClient: false\n", HEAD + "hostnameOverride: NODE\n",
    HEAD + "clientConnection: {qps: 1.5, burst: 3}\n", HEAD + "clientConnection: {qps: 1e39}\n", HEAD + "clientConnection: {burst: -1}\n", HEAD + "clientConnection: {qps: 0, burst: 0}\n",
    json.dumps({"apiVersion": VERSION, "kind": KIND, "mode": "nftables"}), json.dumps({"apiVersion": VERSION, "kind": KIND, "mode": 5}), json.dumps({"apiVersion": VERSION, "kind": KIND, "foo": 5, "iptables": {"bar": 1}}),
    json.dumps({"apiVersion": VERSION, "kind": KIND}) + json.dumps({"a": 1}), json.dumps({"apiVersion": VERSION, "kind": KIND})[:-1], json.dumps({"apiVersion": VERSION, "kind": KIND}) + "x",
    f'{{"apiVersion": "{VERSION}", "kind": "{KIND}", "mode": "ipvs", "mode": "nftables"}}', f'{{"apiVersion": "{VERSION}", "kind": "{KIND}", "oomScoreAdj": 99999999999}}',
    f'{{"apiVersion": "{VERSION}", "kind": "{KIND}", "oomScoreAdj": 1.5}}', f'{{"apiVersion": "{VERSION}", "kind": "{KIND}",}}', f'{{"apiVersion": "{VERSION}", "kind": "{KIND}", /* x */ "mode": ""}}',
    f'{{"apiVersion": "{VERSION}", "kind": "{KIND}", "mode": \'x\'}}', f'{{"apiVersion": "{VERSION}", "kind": "{KIND}", "iptables": {{"a": 1, "a": 2}}}}', f'  {{"apiVersion": "{VERSION}", "kind": "{KIND}", "mode": "a\\u00e9"}}',
]

# Which flags count beside a file.
BESIDE_CASES = [[f"--{name}"] if values is BOOLEANS else [f"--{name}={values[0][1]}"] for name, values in FLAGS.items()] + [
    ["-v7", "--vmodule=a=1"], ["--hostname-override= "], ["--logging-format=json"], ["--feature-gates=NFTablesProxyMode=false"], ["--proxy-mode=x"], ["--oom-score-adj=5000"], ["--log-flush-frequency=0"],
]
BESIDE_FILE = HEAD + "mode: ipvs\nhostnameOverride: File\nlogging: {verbosity: 1, flushFrequency: 3s, vmodule: [{filePattern: b, verbosity: 2}]}\nfeatureGates: {WatchListClient: true}\n"

# --- files of older releases, as kubeadm puts them into the ConfigMap kube-proxy, belong to the unit tests of src/config ---


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def value(self, values, bad=0.15):
        good, wrong = values
        return self.random.choice(wrong if wrong and self.random.random() < bad else good)

    def flags(self):
        """A command line of some flags; most of them are well."""
        argv = []
        for name in self.random.sample(sorted(FLAGS), self.random.choice([1, 1, 2, 3, 5, 8])):
            value = self.value(FLAGS[name])
            word = name.replace("-", "_") if self.random.random() < 0.05 else name
            if name in SWITCHES and self.random.random() < 0.4:
                argv.append(f"--{word}")
            elif name not in SWITCHES and self.random.random() < 0.3:
                argv += [f"--{word}", value]
            else:
                argv.append(f"--{word}={value}")
        if self.random.random() < 0.03:
            argv.insert(self.random.randrange(len(argv) + 1), self.random.choice(["pos", "", "--", "--no-such-flag", "-q", "--=", "-v"]))
        return argv

    def lines(self):
        """(path, text of the value) of some fields."""
        bad = self.random.choice([0, 0, 0.1, 0.4])
        fields = [(path, self.value(FIELDS[path], bad)) for path in self.random.sample(sorted(FIELDS), self.random.choice([0, 1, 1, 2, 4, 8, 20]))]
        if self.random.random() < 0.2:
            fields += [tuple(self.random.choice(UNKNOWN).split(": ", 1)) for _ in range(self.random.choice([1, 1, 2]))]
        if self.random.random() < 0.05 and fields:
            fields.append(self.random.choice(fields))
        if self.random.random() < 0.03:
            fields.append((self.random.choice(BLOCKS), self.random.choice(["5", "x", "[]", "null", "{}"])))
        self.random.shuffle(fields)
        return [("apiVersion", VERSION), ("kind", KIND), *fields]

    def file(self):
        """YAML, one key under the other; in a tenth of the cases JSON of the same."""
        tree = {}
        for path, value in self.lines():
            at, *parents = reversed(path.split(".")) if not path.startswith('"') else [path]
            block = tree
            for parent in reversed(parents):
                held = block.get(parent)
                block = held if isinstance(held, dict) else block.setdefault(parent + "\0" if held else parent, {})
            block[at + "\0" if at in block else at] = value
        text = written(tree)
        if self.random.random() < 0.1:
            try:
                return json.dumps(yaml.safe_load(text))
            except (yaml.YAMLError, TypeError):
                pass
        return text

    def mutated(self):
        """A file that somebody's hand slipped in: some lines or characters are gone, twice, elsewhere or others."""
        lines = self.file().split("\n")
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            at, other = self.random.randrange(len(lines)), self.random.randrange(len(lines))
            line = lines[at]
            column = self.random.randrange(len(line) + 1)
            match self.random.randrange(8):
                case 0:
                    del lines[at:at + 1]
                case 1:
                    lines.insert(other, line)
                case 2:
                    lines[at] = self.random.choice(["", " ", "  ", "\t"]) + line.lstrip()
                case 3:
                    lines[at], lines[other] = lines[other], line
                case 4:
                    lines[at] = line[:column] + line[column + 1:]
                case 5:
                    lines[at] = line[:column] + self.random.choice(":-#{}[],&*!|>'\"%@`?\\ \t\r~=<.0x") + line[column:]
                case 6:
                    lines[at] = line.swapcase() if self.random.random() < 0.3 else line[:column] + line[column:].swapcase()
                case 7:
                    lines[at] = line[:column]
            lines = lines or [""]
        return "\n".join(lines)


def written(tree, indent=""):
    """A NUL behind a key stands for a second key of that name."""
    lines = []
    for key, value in tree.items():
        key = key.rstrip("\0")
        lines.append(f"{indent}{key}:\n{written(value, indent + '  ')}" if isinstance(value, dict) else f"{indent}{key}: {value}\n")
    return "".join(lines)
