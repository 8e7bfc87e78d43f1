# SPDX-License-Identifier: GPL-2.0-or-later
"""The API server answers wrongly, late, or not at all, while objects change all the time and packets flow; afterwards the
proxy has what the server has.

The tests are here, and the fixtures `lab`, `prober`, `fleet`, `new_rest`, `upstream`, `server`, `server_namespace` and
`targets` are where they are imported: test_answers.py has the embedded API server, tests/real/test_proxy_faults.py a real one.
"""
import contextlib
import http.client
import itertools
import socket
import threading
import time

import between
import fed
import manifests
import patience
import pytest
from between import Fault, answer, cut, drip, expire, spoil, spoil_length, spoil_tail, truncate
from load import Load
from proxy import wait_until
from test_faults import assert_untouched

BETWEEN_PORTS = (7445, 7446)
SERVICES, SLICES = 20, 200
PULSE_MS = 1000
ANSWER_S = 10  # http_client.h: for the answer to a pulse
HANG_S = PULSE_MS / 1000 * 4 / 3 + ANSWER_S + patience.seconds(2)  # until a hanging server is given up
MOVED_S = patience.seconds(10)  # until all watches are at another server
PATIENCE_S = 30              # the source waits longer after each failure in a row
EVENTS = 10000
RESOURCES = ("nodes", "servicecidrs", "services", "endpointslices")
DIFF_TURNS_MAX = 3   # a list of each kind that changed, and one of those that came while a list was read
BURST_TURNS_MAX = 50
PAUSE_S = 0.01
QUIET_S = 1.2  # longer than changes are gathered while a list is under way
PODS = "a1 a2 a3 b1 b2 b3 c1 c2 c3 d1".split()


class Thread:
    """Does `step` again and again until the block ends; what it raises, the block raises."""

    def __init__(self, pause_s):
        self.pause_s, self.error = pause_s, None
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.ending.set()
        self.thread.join(patience.seconds(20))
        if self.error and not kind:
            raise self.error

    def _run(self):
        try:
            for number in itertools.count():
                if self.ending.wait(self.pause_s):
                    return
                self.step(number)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error


class Writer(Thread):
    """Changes slices all the time, and makes and removes one Service with its slices now and then."""

    def __init__(self, lab, rest, slices):
        super().__init__(PAUSE_S)
        self.lab, self.rest, self.slices = lab, rest, slices
        self.passing = manifests.simple("passing", lab.topology, ["10.96.8.200"], "a1 b1")
        self.count, self.is_there, self.is_patient = 0, False, False
        self.stepping = threading.Lock()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.clean()

    def clean(self):
        if self.is_there:
            fed.delete(self.rest, self.passing)
            self.is_there = False

    def be_patient(self, is_patient):
        """Whether the server may be away; from the next write on, the one under way is waited for."""
        with self.stepping:
            self.is_patient = is_patient

    def step(self, number):
        with self.stepping:
            self.write(number)

    def write(self, number):
        if self.is_patient:
            try:
                fed.replace(self.rest, moved(self.lab, self.slices[number * 7 % len(self.slices)], number))
            except (OSError, http.client.HTTPException, AssertionError):  # away, or not yet quite there
                self.rest.kept.close()
                return
        elif number % 10 == 9:
            (fed.delete if self.is_there else fed.create)(self.rest, self.passing)
            self.is_there = not self.is_there
        else:
            fed.replace(self.rest, moved(self.lab, self.slices[number * 7 % len(self.slices)], number))
        self.count += 1

    def wait_more(self, count):
        goal = self.count + count
        wait_until(lambda: self.count >= goal or self.error, PATIENCE_S, lambda: f"{count} writes more; {self.count} in all")


class Health(Thread):
    """Asks the proxy's /healthz all the time."""

    def __init__(self, proxy):
        super().__init__(0.1)
        self.namespace = proxy.lab.namespace(proxy.node)
        self.answers = []

    def step(self, _number):
        with self.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(patience.seconds(10))
            sock.connect(("127.0.0.1", 10256))
            connection = http.client.HTTPConnection("127.0.0.1")
            connection.sock = sock
            connection.request("GET", "/healthz")
            self.answers.append(connection.getresponse().status)


def moved(lab, one, number):
    """The same slice with one or two other endpoints; with another number others."""
    pods = {PODS[number % len(PODS)], PODS[number // len(PODS) % len(PODS)]}
    return {**one, "endpoints": [manifests.endpoint(pod, lab.topology, 4) for pod in sorted(pods)]}


@pytest.fixture(scope="module")
def busy_slices(lab, new_rest):
    """What the writers change."""
    services = [thing for number in range(SERVICES)
                for thing in manifests.simple(f"busy{number}", lab.topology, [f"10.96.8.{number + 1}"], "a1")]
    ports = [{"name": "tcp", "protocol": "TCP", "port": 8080}]
    slices = [manifests.endpoint_slice(f"busy-{number}", f"busy{number % SERVICES}", 4, ports,
                                       [manifests.endpoint("a1", lab.topology, 4)]) for number in range(SLICES)]
    rest = new_rest()
    with rest.one_connection():
        fed.create(rest, services + slices)
    yield slices
    rest = new_rest()
    with rest.one_connection():
        fed.delete(rest, slices + services)


class Scene:
    """The proxy of n1 with two men in the middle, the second of which is used only where `servers` names it."""

    def __init__(self, proxy, men, directory):
        self.proxy, self.men, self.man = proxy, men, men[0]
        self.token, self.authority = directory / "token", directory / "ca.crt"
        self.write_token("first")
        self.trust(self.man.authority)

    def write_token(self, token):
        self.token.write_text(token)

    def trust(self, *authorities):
        self.authority.write_text("".join(one.certificate.read_text() for one in authorities))

    def start(self, servers=None):
        self.proxy.use(fed.kubeconfig_of_files(",".join(man.url() for man in servers or [self.man]), self.authority,
                                               self.token))
        self.proxy.start({"FAIRLEAD_PULSE_MS": PULSE_MS})
        self.proxy.wait_ready()

    def wait_done(self, man=None):
        man = man or self.man
        wait_until(man.is_done, PATIENCE_S, lambda: f"all faults met; left: "
                   f"{[(fault.where, fault.resource, fault.left) for fault in man.plan if fault.left]} of "
                   f"{self.timeline(man)}\n{self.proxy.log()[-2000:]}")

    def wait_watching(self, man=None, since=0.0):
        """Waits until all is watched, the slices by a request of after that time."""
        man = man or self.man

        def is_watching(resource):
            last = next((asked for asked in reversed(man.asked) if asked.resource == resource), None)
            return last and last.is_answered and last.way == "watch" and (last.time > since or resource != "endpointslices")
        wait_until(lambda: all(map(is_watching, RESOURCES)), PATIENCE_S,
                   lambda: f"all is watched\n{self.timeline(man)}\n{self.proxy.log()[-2000:]}")

    def quiet_turns(self):
        """How many turns there were, once there are no more of them."""
        def is_quiet():
            before = self.proxy.turns()
            time.sleep(QUIET_S)
            return before == self.proxy.turns()
        wait_until(is_quiet, PATIENCE_S, "no more turns")
        return self.proxy.turns()

    def cut(self):
        """Cuts all watches."""
        self.wait_watching()
        self.man.cut_all()

    @staticmethod
    def timeline(man):
        return [(round(asked.time - man.asked[0].time, 2), asked.resource, asked.way) for asked in man.asked]


@pytest.fixture
def scene(fleet, upstream, server_namespace, tmp_path):
    proxy = fleet.proxies["n1"]
    usual = proxy.kubeconfig.read_text()
    proxy.stop()
    men = [between.Between(server_namespace, (fed.API_ADDRESS, port), upstream("n1"), tmp_path / str(port))
           for port in BETWEEN_PORTS]
    try:
        yield Scene(proxy, men, tmp_path)
    finally:
        proxy.stop()
        proxy.use(usual)
        for man in men:
            man.close()
        proxy.start()
        proxy.wait_ready()


@pytest.fixture
def load(lab, prober, new_rest, targets, scene, busy_slices):
    """A function: `with load() as writer:` is a block in which objects change, packets flow and health is asked for. After
    it the proxy has what the server has; nothing was lost, and it was well all the time."""
    @contextlib.contextmanager
    def under_load():
        rest = new_rest()
        health = Health(scene.proxy)
        with Load(prober, targets, established=1) as counts, health:
            with rest.one_connection(), Writer(lab, rest, busy_slices) as writer:
                writer.wait_more(5)
                yield writer
            fed.wait_equal([scene.proxy], new_rest(), PATIENCE_S)
            wait_until(lambda: health.answers or health.error, PATIENCE_S, "health asked for")
        assert_untouched(counts)
        assert health.answers and set(health.answers) == {200}, health.answers
    return under_load


def test_server_restarts(scene, load, server):
    """It is killed, begins anew and is written to from its first moment on."""
    scene.start()
    with load() as writer:
        writer.be_patient(True)
        server.kill()
        time.sleep(1)
        scene.proxy.wait_ready()
        began = time.monotonic()
        server.start()
        scene.wait_watching(since=began)
        writer.wait_more(20)
        writer.be_patient(False)


def test_refused_for_now(scene, load):
    """429 with Retry-After is heeded; each sort of 5xx is asked again; while lists are refused nothing is taken back."""
    scene.start()
    with load() as writer:
        busy = scene.man.add(Fault("ask watch", answer(429, "TooManyRequests", retry_after=2), "endpointslices"))
        scene.cut()
        scene.wait_done()
        first = busy.hit[0].time
        scene.wait_watching(since=first)
        writer.wait_more(20)
        again = min(asked.time for asked in scene.man.asked if asked.resource == "endpointslices" and asked.time > first)
        assert again - first >= 2, f"asked again after {again - first:.2f} s"
        scene.man.add(*(Fault("ask watch", answer(status, "InternalError"), resource) for status, resource in
                        ((500, "endpointslices"), (502, "services"), (503, "endpointslices"), (504, "services"))))
        scene.cut()
        scene.wait_done()
        writer.wait_more(20)
        scene.man.add(Fault("ask watch", answer(410, "Expired"), "endpointslices"),
                      Fault("ask list", answer(503, "ServiceUnavailable", retry_after=1), "endpointslices", times=2))
        scene.cut()
        scene.wait_done()


def test_gone(scene, load, new_rest):
    """410 as the status of a watch, of a list, and as an event of a watch: a new list, and what differs, at once."""
    scene.start()
    with load() as writer:
        scene.man.add(Fault("in watch", expire, "endpointslices"))
        scene.wait_done()
        writer.wait_more(20)
        scene.man.add(Fault("ask watch", answer(410, "Expired"), times=len(RESOURCES)),
                      Fault("ask list", answer(410, "Expired"), "endpointslices"))
        scene.cut()
        scene.wait_done()
        writer.wait_more(20)
    # Without any news a new list is no turn.
    turns = scene.quiet_turns()
    scene.man.add(Fault("ask watch", answer(410, "Expired"), times=len(RESOURCES)))
    scene.cut()
    scene.wait_done()
    scene.wait_watching()
    assert scene.quiet_turns() == turns, f"{scene.proxy.turns() - turns} turns without news"


def test_one_diff(lab, scene, new_rest, busy_slices, load):
    """What was written while the server was away, and is too old to be told as events, is one difference."""
    scene.start()
    with load():
        pass
    turns = scene.quiet_turns()
    scene.man.add(Fault("ask watch", answer(410, "Expired"), times=len(RESOURCES)))
    scene.man.die()
    rest = new_rest()
    with rest.one_connection():
        for number, one in enumerate(busy_slices):
            fed.replace(rest, moved(lab, one, number + 3))
    scene.proxy.wait_ready()
    assert scene.proxy.turns() == turns
    scene.man.listen()
    fed.wait_equal([scene.proxy], rest, PATIENCE_S)
    scene.wait_done()
    used = scene.proxy.turns() - turns
    assert 0 < used <= DIFF_TURNS_MAX, f"{SLICES} changes made while nobody listened took {used} turns"


@pytest.mark.parametrize("harm", [cut, truncate, spoil, spoil_tail, spoil_length], ids=lambda harm: harm.__name__)
def test_harmed(harm, scene, load, new_rest):
    """A connection cut, an answer that ends, bytes that mean nothing: in a watch, in a streamed list, in a page."""
    scene.man.add(Fault("in list", harm, "endpointslices", after=7), Fault("in list", harm, "services", after=3))
    scene.start()
    scene.wait_done()
    fed.wait_equal([scene.proxy], new_rest(), PATIENCE_S)
    with load() as writer:
        for resource in ("endpointslices", "services"):
            scene.man.add(Fault("in watch", harm, resource, after=1))
            scene.wait_done()
        writer.wait_more(10)


def test_pages(scene, load):
    """The same in lists that come in pages, because the server has no streams."""
    def only_streams(exchange, _data):
        if "sendInitialEvents" in exchange.path:
            exchange.refuse(400, "BadRequest", None)
            return True
        return False
    scene.man.add(Fault("ask list", only_streams, times=10 ** 6))
    harms = [scene.man.add(Fault("in list", harm, "endpointslices")) for harm in (cut, truncate, spoil)]
    scene.start()
    with load() as writer:
        scene.man.add(Fault("ask watch", answer(410, "Expired"), "endpointslices"), Fault("in list", cut, "endpointslices"))
        scene.cut()
        writer.wait_more(10)
        wait_until(lambda: all(not fault.left for fault in harms + scene.man.plan[-2:]), PATIENCE_S, "all pages harmed")
    assert any("limit=" in asked.path for asked in scene.man.asked_for("endpointslices", "list"))


def test_slow(scene, load):
    """All answers come a few bytes at a time: slow is not dead."""
    scene.man.add(Fault("in list", drip, times=10 ** 6), Fault("in watch", drip, times=10 ** 6))
    scene.start()
    with load() as writer:
        writer.wait_more(100)
        scene.cut()
        writer.wait_more(50)


def test_expired_token(scene, load):
    """The token is taken no more: the file is read again until it holds another."""
    scene.man.tokens = {"Bearer first"}
    scene.start()
    with load() as writer:
        scene.man.tokens = {"Bearer second"}
        scene.cut()
        wait_until(lambda: scene.man.unauthorized >= len(RESOURCES), PATIENCE_S, "the old token refused")
        writer.wait_more(20)
        scene.proxy.wait_ready()
        began = time.monotonic()
        scene.write_token("second\n")
        scene.wait_watching(since=began)


def test_rotated_authority(scene, load, tmp_path):
    """The server's certificate is of another authority, which the file has a while later."""
    scene.start()
    with load() as writer:
        scene.man.authority = between.Authority(tmp_path, "second", fed.API_ADDRESS)
        scene.cut()
        asked = len(scene.man.asked)
        writer.wait_more(50)
        assert len(scene.man.asked) == asked, "a server that nobody vouches for was asked"
        scene.proxy.wait_ready()
        scene.trust(scene.man.authority)
        scene.wait_watching(since=time.monotonic())


def test_hangs(scene, load):
    """A server that hangs without closing is found out within seconds, and asked anew."""
    scene.start()
    with load() as writer:
        writer.wait_more(20)
        scene.wait_watching()
        began, standing = time.monotonic(), scene.man.standing()
        assert len(standing) >= len(RESOURCES)
        scene.man.hang()
        wait_until(lambda: not any(map(between.is_open, standing)), PATIENCE_S,
                   lambda: f"{len(standing)} hanging connections given up, but for {sum(map(between.is_open, standing))}")
        seconds = time.monotonic() - began
        scene.proxy.wait_ready()
        scene.man.wake()
    assert PULSE_MS / 1000 <= seconds <= HANG_S, f"given up after {seconds:.1f} s"


def test_fail_over(scene, load):
    """The first of two servers dies, later the second hangs: the other one serves within seconds."""
    first, second = scene.men
    scene.trust(first.authority, second.authority)
    scene.start([first, second])
    assert first.asked and not second.asked
    with load() as writer:
        began = time.monotonic()
        first.die()
        scene.wait_watching(second)
        assert time.monotonic() - began < MOVED_S
        writer.wait_more(20)
    first.listen()
    with load():
        began = time.monotonic()
        second.hang()
        scene.wait_watching(first, since=began)
        assert time.monotonic() - began < HANG_S + MOVED_S


def test_ten_thousand_events_at_once(lab, scene, load, new_rest, busy_slices):
    """They come together, are few turns, and the last word on each slice is in force."""
    scene.start()
    with load():
        pass
    turns = scene.quiet_turns()
    scene.man.dam.clear()
    changes = [moved(lab, one, number // SLICES + index)
               for number in range(0, EVENTS, SLICES) for index, one in enumerate(busy_slices)]
    fed.replace_all([new_rest() for _ in range(4)], changes)
    assert scene.proxy.turns() == turns
    began = time.monotonic()
    scene.man.dam.set()
    fed.wait_equal([scene.proxy], new_rest(), PATIENCE_S)
    used = scene.proxy.turns() - turns
    print(f"{EVENTS} events in force {time.monotonic() - began:.2f} s after they came, {used} turns")
    assert 0 < used <= BURST_TURNS_MAX, f"{EVENTS} events took {used} turns"
