# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder of manifests and the API over one registry: the folder is a field manager among others."""
import re

import manifests
import pytest
from objects import CORE, path, service
from proxy import wait_until
from rest import Rest

MANAGER = "fairlead-manifests"
WEB = "10.96.30.1"


def web(address=WEB, port=80, **spec):
    return manifests.service("web", spec={"clusterIP": address, "selector": {"app": "web"},
                                          "ports": [{"name": "http", "port": port, "targetPort": 8080}], **spec})


def bare(**spec):
    """A Service that leaves its address to the allocator."""
    return manifests.service("bare", spec={"ports": [{"port": 80, "protocol": "TCP"}], **spec})


@pytest.fixture
def folder(tmp_path):
    return manifests.Folder(tmp_path / "manifests")


@pytest.fixture
def server(new_server, folder):
    folder.write("web.yaml", [web()])
    return new_server(manifests=str(folder.path)).start()


@pytest.fixture
def admin(server):
    return Rest(server.namespace, server.kubeconfig.read_text())


def get(admin, name, resource="services"):
    answer = admin.get(path(resource, name))
    return answer.json if answer.status == 200 else None


def eventually(condition, what):
    return wait_until(condition, 8, what)


def said(server, pattern, since=0):
    """Waits for a line of the log that matches, after its first `since` characters."""
    found = eventually(lambda: re.search(pattern, server.log()[since:]),
                       lambda: f"{pattern!r} in the log:\n{server.log()}")
    return found[0]


def test_what_is_in_the_folder_is_seen_by_kubectl(server, newest):
    assert re.search(rf"^web +ClusterIP +{re.escape(WEB)} +<none> +80/TCP", newest("get svc"), re.MULTILINE)
    managers = newest("get svc web -o jsonpath='{range .metadata.managedFields[*]}{.manager} {.operation}{end}'")
    assert managers == f"{MANAGER} Apply"


def test_a_change_of_the_file_is_applied(server, admin, folder):
    folder.write("web.yaml", [web(port=81, sessionAffinity="ClientIP")])
    eventually(lambda: get(admin, "web")["spec"]["ports"][0]["port"] == 81, "the new port")
    assert get(admin, "web")["spec"]["sessionAffinity"] == "ClientIP"
    folder.write("web.yaml", [web(port=81)])
    eventually(lambda: get(admin, "web")["spec"]["sessionAffinity"] == "None", "what the file no longer says is gone")


def test_an_address_is_given_and_kept(server, admin, folder):
    """A Service of the folder that names no address gets one, and has it after an end, a kill and another write."""
    folder.write("bare.yaml", [bare()])
    address = eventually(lambda: get(admin, "bare"), "bare in the API")["spec"]["clusterIP"]
    assert address.startswith("10.96.")
    server.stop()
    server.start()
    assert get(admin, "bare")["spec"]["clusterIP"] == address
    server.kill()
    server.start()
    before = get(admin, "bare")
    assert before["spec"]["clusterIP"] == address
    folder.write("bare.yaml", [bare(sessionAffinity="ClientIP")])
    eventually(lambda: get(admin, "bare")["spec"]["sessionAffinity"] == "ClientIP", "the new write")
    after = get(admin, "bare")
    assert (after["spec"]["clusterIP"], after["metadata"]["uid"]) == (address, before["metadata"]["uid"])


def test_a_restart_with_an_unchanged_folder_writes_nothing(server, admin):
    before = get(admin, "web")
    server.stop()
    server.start()
    assert get(admin, "web") == before


def test_somebody_elses_hand_is_said_and_stays(server, newest, admin, folder):
    """kubectl edit of a field that the file names: the log says whose object was changed and by whom; the edit holds, and
    the next write of the file is refused as a conflict, until the file agrees."""
    since = len(server.log())
    done = newest.shell("KUBE_EDITOR='sed -i s/targetPort..8080/targetPort:\\ 9090/' kubectl edit svc web")
    assert done.stdout == "service/web edited\n", done
    line = said(server, r".*default/web.*", since)
    print(line)
    assert "kubectl-edit" in line
    since = len(server.log())
    folder.write("web.yaml", [web(sessionAffinity="ClientIP")])
    line = said(server, r".*default/web.*onflict.*", since)
    print(line)
    assert "kubectl-edit" in line and "targetPort" in line
    spec = get(admin, "web")["spec"]
    assert (spec["ports"][0]["targetPort"], spec["sessionAffinity"]) == (9090, "None")
    agreeing = web(sessionAffinity="ClientIP")
    agreeing["spec"]["ports"][0]["targetPort"] = 9090
    folder.write("web.yaml", [agreeing])
    eventually(lambda: get(admin, "web")["spec"]["sessionAffinity"] == "ClientIP", "a file that agrees is applied")


def test_what_others_add_besides_stays(server, newest, admin, folder):
    newest("label svc web added=by-hand")
    folder.write("web.yaml", [web(sessionAffinity="ClientIP")])
    eventually(lambda: get(admin, "web")["spec"]["sessionAffinity"] == "ClientIP", "the file's change")
    assert get(admin, "web")["metadata"]["labels"] == {"added": "by-hand"}


def test_what_leaves_the_folder_is_deleted(server, admin, folder):
    admin.good("POST", path("services"), service("by-hand"))
    folder.write("both.yaml", [bare(), manifests.service("other", spec={"ports": [{"port": 81}]})])
    eventually(lambda: get(admin, "other"), "other in the API")
    folder.write("both.yaml", [bare()])
    eventually(lambda: not get(admin, "other"), "other is deleted")
    folder.remove("both.yaml")
    eventually(lambda: not get(admin, "bare"), "bare is deleted")
    assert get(admin, "web") and get(admin, "by-hand"), "what is not of that file stays"


def test_what_left_the_folder_while_nobody_looked_is_deleted(server, admin, folder):
    folder.write("bare.yaml", [bare()])
    eventually(lambda: get(admin, "bare"), "bare in the API")
    admin.good("POST", path("services"), service("by-hand"))
    server.kill()
    folder.remove("bare.yaml")
    server.start()
    eventually(lambda: not get(admin, "bare"), "bare is deleted")
    assert get(admin, "web") and get(admin, "by-hand")


def test_kubectl_deletes_what_the_folder_has(server, newest, admin, folder):
    """Deleted by hand it is gone until the file is written again: the file applies when it changes."""
    newest("delete svc web")
    folder.write("web.yaml", [web(port=82)])
    eventually(lambda: (get(admin, "web") or {"spec": {"ports": [{}]}})["spec"]["ports"][0].get("port") == 82, "web again")


def test_what_the_folder_gets_wrong_is_said(server, admin, folder):
    """Refused with the API's own words and the place in the file; what was good before stays."""
    since = len(server.log())
    folder.write("web.yaml", [web(address="10.96.30.2")])
    assert "may not change once set" in said(server, r".*default/web.*", since)
    assert get(admin, "web")["spec"]["clusterIP"] == WEB
    since = len(server.log())
    folder.write("twice.yaml", [manifests.service("twice", spec={"clusterIP": WEB, "ports": [{"port": 80}]})])
    assert "provided IP is already allocated" in said(server, r".*default/twice.*", since)
    folder.write("name.yaml", [manifests.service("Wrong_Name", spec={"ports": [{"port": 80}]})])
    assert "Wrong_Name" in said(server, r".*Wrong_Name.*Invalid value.*", since)


def test_other_kinds_and_namespaces_come_from_the_folder(server, admin, folder):
    """Slices, endpoints and nodes are applied like Services."""
    folder.write("node.yaml", [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n7", "labels": {"a": "b"}}}])
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    folder.write("slice.yaml", [manifests.endpoint_slice("web-1", "web", 4, ports, [{"addresses": ["10.244.1.11"]}])])
    eventually(lambda: admin.get(f"{CORE}/nodes/n7").status == 200, "the node")
    made = eventually(lambda: get_slice(admin), "the slice")
    assert made["endpoints"][0]["addresses"] == ["10.244.1.11"]
    assert made["metadata"]["managedFields"][0]["manager"] == MANAGER


def get_slice(admin):
    answer = admin.get("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/web-1")
    return answer.json if answer.status == 200 else None
