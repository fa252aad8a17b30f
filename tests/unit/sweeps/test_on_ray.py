"""The Ray engine on two raylets of this computer, as two hosts; skipped where Ray is not installed."""

import socket
import sys
import time
from pathlib import Path

import pytest

from labonn.errors import ConfigError
from labonn.sweeps.local import LocalEngine
from labonn.sweeps.on_ray import ANSWER_S, RayEngine, _knock
from labonn.sweeps.sweep import Resources
from labonn.sweeps.trial import Order
from tests.unit.sweeps.work import die_once, work

ROOT = str(Path(__file__).parents[3])


def orders(folder, count=6):
    return [Order(number, {"seed": number}, {}, {}, str(folder)) for number in range(count)]


def made(engine, asked):
    outcomes = {}
    try:
        engine.run(asked, lambda one: outcomes.setdefault(one.number, one))
    finally:
        engine.close()
    return outcomes


@pytest.fixture
def cluster(monkeypatch):
    """A head and another raylet, each of one processor."""
    pytest.importorskip("ray", reason='Ray is not installed: pip install "labonn[ray]"')
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", ROOT, prepend=":")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    both = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    both.add_node(num_cpus=1)
    yield both
    both.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray leaves files and processes for the garbage collector
def test_two_hosts_answer_as_this_computer_does_and_a_dead_worker_costs_its_trial_s_time(cluster, tmp_path):
    asked = orders(tmp_path)
    here = made(LocalEngine(1, Resources(), work), asked)
    there = made(RayEngine(Resources(memory_gb=0.1), address=cluster.address, work=work), asked)
    assert there == here
    again = made(RayEngine(Resources(memory_gb=0.1), address=cluster.address, work=die_once), asked)
    assert (tmp_path / "died").is_file()
    assert again == here
    slow = [Order(number, {"seed": value}, {}, {}, "") for number, value in enumerate((1, "sleep", 2))]
    late = made(RayEngine(Resources(memory_gb=0.1, minutes=0.4), address=cluster.address, work=work), slow)
    assert [late[number].status for number in range(3)] == ["done", "failed", "done"]
    assert "took longer than minutes = 0.4" in late[1].error


def test_an_address_where_nobody_answers_is_refused_at_once(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began_s = time.monotonic()
    with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}': no Ray cluster answers there .*ray start --head"):
        _knock(f"127.0.0.1:{port}")
    assert time.monotonic() - began_s < ANSWER_S + 1
    monkeypatch.setattr("labonn.sweeps.on_ray.ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # somebody is there, and says nothing
        where = "{}:{}".format(*silent.getsockname())
        with pytest.raises(ConfigError, match=rf"{where}': no Ray cluster answers there \(timed out, within 0\.2 s\)"):
            _knock(where)
    with pytest.raises(ConfigError, match="is given as HOST:PORT"):
        _knock("somewhere")


def test_without_ray_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r'pip install "labonn\[ray\]"'):
        RayEngine(Resources())
