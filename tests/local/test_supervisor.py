"""The supervisor keeps replicas running: real processes, real sockets, real signals."""

import http.client
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path
from threading import Thread, local
from urllib.parse import urlsplit

import psutil
import pytest

from canary.core.actions import Remove, Scale, SetRevision
from canary.core.observation import Arm
from canary.local.process import find_marked
from canary.local.status import read_pods
from tests.local.running import Load, Up, a_service, get, up, wait_for

pytestmark = pytest.mark.e2e


def test_a_service_comes_up_behind_one_address_and_stops_with_its_supervisor(tmp_path: Path) -> None:
    with up(a_service(tmp_path)) as running:
        world = running.settled()
        assert len(world.stable.pods) == 2
        answers = {get(running.url()).split()[1] for _ in range(8)}
        assert answers == {pod.name for pod in world.stable.pods}
        assert running.end(signal.SIGTERM) == 0
        assert find_marked(str(running.layout.root)) == {}
        assert "stopped. Nothing of shop runs any more" in running.words()


def test_a_killed_replica_is_started_again_under_its_name_while_others_serve(tmp_path: Path) -> None:
    with up(a_service(tmp_path)) as running:
        running.settled()
        name, pid = _name_and_pid(running)
        os.kill(pid, signal.SIGKILL)
        again = wait_for(
            lambda: next((pod for pod in running.pods() if pod.name == name and pod.restarts == 1), None),
            "the restart is counted",
        )
        assert again.was_ready
        for _ in range(10):
            assert get(running.url()).startswith("v1")
        running.settled()
        assert _pid_of(running, name) != pid


def test_a_version_that_ends_at_once_is_in_trouble_within_seconds(tmp_path: Path) -> None:
    with up(a_service(tmp_path, "exit", ready_s=600.0)) as running:
        trouble = wait_for(
            lambda: next((pod.trouble for pod in running.pods() if pod.trouble), None), "trouble is told"
        )
        assert "exited with code 1" in trouble
        assert "no such table: orders" in trouble
        assert not any(pod.was_ready for pod in running.pods())


@pytest.mark.parametrize(("fault", "said"), [("never", "/health answered 503"), ("deaf", "nothing listens")])
def test_a_version_that_never_gets_ready_is_in_trouble_after_its_time(
    tmp_path: Path, fault: str, said: str
) -> None:
    with up(a_service(tmp_path, fault, ready_s=1.0, replicas=1)) as running:
        trouble = wait_for(lambda: next((pod.trouble for pod in running.pods()), None), "trouble is told")
        assert "not ready within 1 s" in trouble
        assert said in trouble


def test_a_command_that_does_not_exist_is_told_at_once(tmp_path: Path) -> None:
    with up(a_service(tmp_path, command=("/no/such/command", "{port}"), replicas=1)) as running:
        trouble = wait_for(lambda: next((pod.trouble for pod in running.pods()), None), "trouble is told")
        assert trouble == "cannot be started: /no/such/command: No such file or directory"


def test_a_canary_gets_its_share_of_connections_and_goes_again(tmp_path: Path) -> None:
    with up(a_service(tmp_path, replicas=3)) as running:
        running.settled()
        action = running.canary("v2", 1)
        running.workloads.apply(action, within_s=5.0)
        running.workloads.apply(action, within_s=5.0)
        world = running.settled()
        assert world.canary is not None
        assert [pod.revision for pod in world.canary.pods] == [action.revision.hash]
        versions = [get(running.url()).split()[0] for _ in range(80)]
        assert versions.count("v2") == 20
        running.workloads.apply(Remove(), within_s=5.0)
        assert wait_for(lambda: running.world().canary is None, "the canary is gone")
        assert {get(running.url()).split()[0] for _ in range(6)} == {"v1"}
        wait_for(lambda: len(running.processes()) == 3, "its process has ended")


def test_a_rolling_update_fails_no_request_with_new_or_kept_connections(tmp_path: Path) -> None:
    with up(a_service(tmp_path, replicas=2)) as running:
        running.settled()
        url = running.url()
        kept, connections = local(), list[http.client.HTTPConnection]()

        def on_a_kept_connection() -> str:
            if not hasattr(kept, "connection"):
                kept.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
                connections.append(kept.connection)
            try:
                kept.connection.request("GET", "/")
                return str(kept.connection.getresponse().read().decode())
            except http.client.HTTPException as fault:
                raise OSError(repr(fault)) from fault

        lowest = []
        with Load(lambda: get(url)) as fresh, Load(on_a_kept_connection) as keeping:
            before = running.world().stable.revision
            after = running.workloads.revise(before, "v2")
            running.workloads.apply(SetRevision(Arm.STABLE, after, expected=before.hash), within_s=5.0)

            def rolled() -> bool:
                stable = running.world().stable
                lowest.append(stable.ready)
                return stable.settled and len(running.processes()) == 2

            wait_for(rolled, "rolled to v2")
        for connection in connections:
            connection.close()
        for loads in (fresh, keeping):
            assert loads.failures == []
            assert loads.answers[0].startswith("v1")
            assert loads.answers[-1].startswith("v2")
        assert min(lowest) >= 2
        assert [one.version for one in running.workloads.history()] == ["v1", "v2"]


def test_scaling_down_lets_a_slow_request_finish(tmp_path: Path) -> None:
    with up(a_service(tmp_path, replicas=2, drain_s=20.0)) as running:
        running.settled()
        answers: list[str] = []
        threads = [Thread(target=lambda: answers.append(get(running.url("/?s=1.5")))) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_for(lambda: _connections_of_replicas(running) >= 4, "the slow requests are under way")
        began = time.monotonic()
        running.workloads.apply(Scale(Arm.STABLE, 1), within_s=5.0)
        wait_for(lambda: len(running.processes()) == 1, "one replica has ended")
        assert time.monotonic() - began < 15
        for thread in threads:
            thread.join()
        assert len({answer.split()[1] for answer in answers}) == 2
        assert len(answers) == 4


def test_supervisors_killed_at_any_moment_leave_neither_doubles_nor_orphans(tmp_path: Path) -> None:
    chance = random.Random(20261)
    with up(a_service(tmp_path, replicas=2)) as running:
        for _ in range(6):
            time.sleep(chance.uniform(0.0, 0.9))
            running.end(signal.SIGKILL)
            running.start()
        running.settled()
        wait_for(lambda: len(running.processes()) == 2, "no more processes than replicas")
        assert {state.pid for state in read_pods(running.layout.pods)} == {
            one.pid for one in running.processes()
        }
        assert len({get(running.url()).split()[1] for _ in range(6)}) == 2


def test_a_supervisor_started_again_takes_over_the_very_processes(tmp_path: Path) -> None:
    with up(a_service(tmp_path)) as running:
        before = {pod.name: _pid_of(running, pod.name) for pod in running.settled().stable.pods}
        running.end(signal.SIGKILL)
        assert {one.pid for one in running.processes()} == set(before.values())
        running.start()
        wait_for(lambda: "took over 2 running replicas" in running.words(), "it says so")
        after = running.settled().stable.pods
        assert {pod.name: _pid_of(running, pod.name) for pod in after} == before
        assert all(pod.restarts == 0 and pod.was_ready for pod in after)


def test_a_replica_whose_process_was_not_yet_written_down_is_found_by_its_mark(tmp_path: Path) -> None:
    with up(a_service(tmp_path, replicas=1)) as running:
        running.settled()
        name, pid = _name_and_pid(running)
        running.end(signal.SIGKILL)
        path = running.layout.pods / f"{name}.json"
        path.write_text(path.read_text().replace(f'"pid":{pid}', '"pid":null'))
        running.start()
        wait_for(lambda: "took over 1 running" in running.words(), "it is taken over")
        running.settled()
        assert _pid_of(running, name) == pid


def test_a_process_that_belongs_to_no_replica_is_stopped(tmp_path: Path) -> None:
    with up(a_service(tmp_path, replicas=1)) as running:
        running.settled()
        name, pid = _name_and_pid(running)
        running.end(signal.SIGKILL)
        (running.layout.pods / f"{name}.json").unlink()
        running.start()
        wait_for(lambda: not psutil.pid_exists(pid), "the orphan has ended")
        assert [pod.name for pod in running.settled().stable.pods] != [name]


def test_what_was_asked_while_the_supervisor_was_down_is_done_when_it_is_back(tmp_path: Path) -> None:
    with up(a_service(tmp_path, replicas=1)) as running:
        running.settled()
        running.workloads.apply(running.canary("v2", 1), within_s=5.0)
        running.end(signal.SIGKILL)
        running.start()
        world = running.settled()
        assert world.canary is not None
        assert world.canary.revision.version == "v2"


def test_a_second_supervisor_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with up(a_service(tmp_path, replicas=1)) as running:
        running.settled()
        first = running.process
        assert first is not None
        running.start()
        second = running.process
        assert second is not None
        assert second.wait(20) == 2
        running.process = first
        assert f"already has a supervisor (process {first.pid})" in running.words()
        assert running.settled().stable.ready == 1


def test_a_port_in_use_is_told_with_its_holder_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with up(a_service(tmp_path, listen=("127.0.0.1", port))) as running:
            assert running.process is not None
            assert running.process.wait(20) == 2
            assert f"local.listen: 127.0.0.1:{port} is in use by process {os.getpid()}" in running.words()
            assert read_pods(running.layout.pods) == []


def test_a_replica_that_finds_its_port_taken_gets_another_and_no_restart_is_counted(tmp_path: Path) -> None:
    once = (
        "import os,sys\n"
        "if not os.path.exists('seen'):\n"
        "    open('seen','w').close(); sys.exit('OSError: [Errno 98] Address already in use')\n"
        "os.execv(sys.executable,[sys.executable,'-S',*sys.argv[1:]])"
    )
    service = a_service(tmp_path, replicas=1)
    command = (sys.executable, "-S", "-c", once, *service.command[2:])
    with up(a_service(tmp_path, replicas=1, command=command)) as running:
        assert running.settled().stable.pods[0].restarts == 0


def test_an_edited_command_is_rolled_out_on_the_next_start_and_an_edited_version_is_not(
    tmp_path: Path,
) -> None:
    with up(a_service(tmp_path, replicas=1)) as running:
        running.settled()
        running.end()
    edited = a_service(tmp_path, "", replicas=2, version="v9")
    with up(edited) as running:
        world = running.settled()
        assert (world.stable.replicas, world.stable.revision.version) == (2, "v1")
        assert len(world.stable.revision.template["command"]) == len(edited.command)


def _pid_of(running: Up, name: str) -> int | None:
    return next(state.pid for state in read_pods(running.layout.pods) if state.name == name)


def _name_and_pid(running: Up) -> tuple[str, int]:
    state = read_pods(running.layout.pods)[0]
    assert state.pid is not None
    return state.name, state.pid


def _connections_of_replicas(running: Up) -> int:
    ports = {state.port for state in read_pods(running.layout.pods)}
    assert running.process is not None
    sockets = psutil.Process(running.process.pid).net_connections(kind="tcp")
    return sum(bool(one.raddr) and one.raddr.port in ports for one in sockets)
