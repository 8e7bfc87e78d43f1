# SPDX-License-Identifier: GPL-2.0-or-later
"""The demonstration behind ./run: a small cluster, nginx in its pods, fairlead on its nodes, and who answered.

What it builds and asks is data: examples/lab/lab.yaml; what it serves are the manifests of examples/.
"""
import collections
import os
import shutil
import signal
import sys
import time

import yaml

import lab as labs
import proxy
import topology
from manifests import Folder
from probe import get

REQUESTS = 60
NGINX = """
daemon off;
worker_processes 1;
user root;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log {directory}/access.log;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 80;
    listen [::]:80;
    listen 8080;
    listen [::]:8080;
    root {directory}/html;
  }}
}}
"""


class Steps:
    """Progress lines: what is being done, and how long it took."""

    def __init__(self):
        self.start = time.monotonic()

    def __call__(self, text):
        print(f"[{time.monotonic() - self.start:5.2f} s] {text}", flush=True)


def start_nginx(lab):
    """nginx in every pod that has a page, and waits until each answers."""
    pods = [pod for pod in lab.topology.pods.values() if pod.page]
    for pod in pods:
        directory = lab.directory / pod.name
        (directory / "html").mkdir(parents=True)
        (directory / "html" / "index.html").write_text(pod.page + "\n")
        (directory / "nginx.conf").write_text(NGINX.format(directory=directory))
        lab.start(pod.name, ["nginx", "-p", str(directory), "-e", str(directory / "error.log"),
                             "-c", str(directory / "nginx.conf")], f"{pod.name}/nginx.log")
    for pod in pods:
        def answers(pod=pod):
            try:
                return get(lab.namespace(pod.name), pod.address(4), 80)[2].strip() == pod.page
            except OSError:
                return False
        proxy.wait_until(answers, 5, f"nginx in {pod.name} (see {lab.directory}/{pod.name})")
    return len(pods)


def ask(lab, question):
    """Counter of the pages that answered; what did not answer counts under its error."""
    mark = lab.topology.nodes[question["via"]].number if "via" in question else 0
    answers = collections.Counter()
    for _ in range(REQUESTS):
        try:
            status, _, body = get(lab.namespace(question["from"]), question["address"], question["port"], mark=mark)
            answers[body.strip() if status == 200 else f"status {status}"] += 1
        except OSError as error:
            answers[error.strerror or "no answer"] += 1
            if len(answers) == 1 and answers.total() == 3:
                break  # three failures in a row will not get better, and each may be a time-out
    return answers


def is_expected(answers, expected):
    return set(answers) == set(expected) and answers.total() == REQUESTS


def who(lab, question):
    """The asking side in words, with its zone where it has one."""
    node = lab.topology.node_of(question["from"])
    if node is None:
        return f"outside client via {question['via']}" if "via" in question else "outside client"
    name = question["from"] if question["from"] in lab.topology.nodes else f"{question['from']} on {node.name}"
    return f"{name} ({node.zone})"


def show(lab, groups):
    """Prints one table per group, and returns how many rows are not as expected."""
    wrong = 0
    for group in groups:
        print(f"\n{group['title']}")
        for question in group["ask"]:
            answers = ask(lab, question)
            fine = is_expected(answers, question["expect"])
            wrong += not fine
            address = f"[{question['address']}]" if ":" in question["address"] else question["address"]
            counts = "  ".join(f"{name} {count}" for name, count in sorted(answers.items()))
            remark = "" if fine else f"   <- expected {' and '.join(question['expect'])}"
            print(f"  {who(lab, question):30} {address + ':' + str(question['port']):22} {counts}{remark}", flush=True)
    return wrong


def stay(lab, cluster):
    """A shell on the first node, until its user leaves it."""
    node = next(iter(lab.topology.nodes))
    client = lab.namespace_name("client")
    print(f"\nThe lab stays up. You are on node {node}; leave with `exit`, and everything is taken down. For example:\n"
          f"  curl 10.96.0.80\n"
          f"  ip netns exec {client} curl http://203.0.113.90:8090/\n"
          f"  {labs.binary()} explain 10.96.0.50:80/tcp --control-socket {cluster.proxies[node].socket}\n"
          f"  nft list ruleset\n"
          f"Other namespaces: ip netns list; logs and sockets: {lab.directory}", flush=True)
    if not sys.stdin.isatty():
        print("(no terminal: waiting for Ctrl-C or SIGTERM)", flush=True)
        signal.pause()
        return
    environment = {**os.environ, "PS1": f"[{node}] # ", "LAB": str(lab.directory), "LAB_CLIENT": client}
    lab.namespace(node).run(["/bin/sh", "-i"], check=False, timeout=None, stdout=None, stderr=None, env=environment)


def run(examples, wants_to_stay):
    """The whole demonstration; returns the exit status."""
    step = Steps()
    examples = examples.resolve()
    with open(examples / "lab" / "lab.yaml") as file:
        plan = yaml.safe_load(file)
    if not shutil.which("nginx"):
        print("the demonstration needs nginx (Debian: nginx-light)", file=sys.stderr)
        return 1
    if not os.access(labs.binary(), os.X_OK):
        print(f"no fairlead at {labs.binary()}: build it first, or name one in $FAIRLEAD", file=sys.stderr)
        return 1
    made = topology.build(plan["nodes"], plan["pods"])
    with labs.Lab(made, servers=False) as lab:
        step(f"lab {lab.id} is up: {len(made.nodes)} nodes, {len(made.pods)} pods and an outside client")
        step(f"nginx answers in {start_nginx(lab)} pods")
        with proxy.Cluster(lab, folder=Folder(examples), with_nodes=False) as cluster:
            step(f"fairlead runs on {len(cluster.proxies)} nodes ({proxy.mode()}), manifests from {examples}")
            print(f"\nWho answered {REQUESTS} new connections:")
            wrong = show(lab, plan["questions"])
            for entry in plan.get("explain", []):
                print(f"\nfairlead explain {' '.join(entry['words'])}   (on {entry['node']})")
                print(cluster.proxies[entry["node"]].tool("explain", *entry["words"], check=False).stdout.rstrip())
            print(flush=True)
            if wants_to_stay:
                stay(lab, cluster)
        step("taking everything down")
    print(f"{wrong} rows are not as expected" if wrong else "Everything answered as it should.")
    return 1 if wrong else 0
