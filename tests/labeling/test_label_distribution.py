"""Labeling on a Ray cluster of several nodes that loses processes and nodes.

Whatever is lost, the run ends with the same bytes as one in a single process that nothing
disturbed.
"""

from __future__ import annotations

import logging
import os
import random
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.labeling.label_command import (
    ALL,
    label,
    outcome,
    records,
    settings,
    started,
    wait_for_records,
)

pytest.importorskip("ray")

from ray.cluster_utils import Cluster

pytestmark = pytest.mark.ray

_NODE: dict[str, Any] = {"num_cpus": 2, "object_store_memory": 80 * 2**20}


class Nodes:
    """A head without engines, and two nodes of which one is enough."""

    def __init__(self) -> None:
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "include_dashboard": False,
                "object_store_memory": 80 * 2**20,
                "_system_config": {"health_check_period_ms": 500},
            },
        )
        self.workers = [self.cluster.add_node(**_NODE) for _ in range(2)]

    def lose(self, index: int) -> None:
        """A node dies; another one joins instead."""
        self.cluster.remove_node(self.workers.pop(index), allow_graceful=False)
        self.workers.append(self.cluster.add_node(**_NODE))

    def actors(self, role: str = "") -> list[psutil.Process]:
        """The actors of a role, or of all, on any node."""
        found: list[psutil.Process] = []
        for node in self.workers:
            (raylet,) = node.all_processes["raylet"]
            for child in psutil.Process(raylet.process.pid).children(recursive=True):
                try:
                    title = " ".join(child.cmdline())
                    if title.startswith(f"ray::{role}") and "EngineActor" in title:
                        found.append(child)
                except psutil.NoSuchProcess:
                    continue
        return found


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    logging.getLogger("ray").setLevel(logging.ERROR)
    nodes = Nodes()
    yield nodes
    nodes.cluster.shutdown()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    given = settings(folder, "cluster=inprocess", "max_in_flight=60", "run_dir=run")
    done = label(with_path(given), folder)
    assert done.returncode == 0, done.stderr
    return outcome(folder / "run")


def on_cluster(nodes: Nodes, folder: Path) -> list[str]:
    return with_path(
        settings(
            folder,
            f"cluster.address={nodes.cluster.address}",
            "cluster.policy.replicas=2",
            "cluster.policy.num_cpus=0.5",
            "cluster.judge.num_cpus=0.5",
            "cluster.controller.replicas=2",
            "cluster.controller.num_cpus=0.25",
            "run_dir=run",
        )
    )


def with_path(given: Sequence[str]) -> list[str]:
    """The path of the data is in the card, so it must be the same for all runs."""
    return ["data.path=problems.jsonl" if item.startswith("data.path=") else item for item in given]


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output


def test_a_lost_engine_a_lost_controller_and_a_lost_node_cost_no_problem(
    nodes: Nodes, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    with started(on_cluster(nodes, tmp_path), tmp_path) as process:
        wait_for_records(run_dir, 6, process)
        assert len(nodes.actors("Policy")) == 2
        nodes.actors("Policy")[0].kill()
        wait_for_records(run_dir, 14, process)
        assert len(nodes.actors("Controller")) == 2
        nodes.actors("Controller")[0].kill()
        wait_for_records(run_dir, 22, process)
        nodes.lose(0)
        finish(process)
    assert sorted(row["problem"] for row in records(run_dir, "records.jsonl")) == sorted(ALL)
    assert outcome(run_dir) == undisturbed


def test_a_run_killed_three_times_at_random_ends_with_the_same_bytes(
    nodes: Nodes, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    seed = int(os.environ.get("PRM_SEARCH_FAULT_SEED", "0"))
    draw = random.Random(seed)
    faults = draw.sample(["driver", "actor", "node"], 3)
    moments = sorted(draw.sample(range(1, len(ALL) - 10), 3))
    run_dir, given = tmp_path / "run", on_cluster(nodes, tmp_path)
    plan = iter(zip(moments, faults, strict=True))
    is_done = False
    while not is_done:
        with started(given, tmp_path) as process:
            for moment, fault in plan:
                wait_for_records(run_dir, moment, process)
                if fault == "driver":
                    process.kill()
                    break
                if fault == "actor":
                    draw.choice(nodes.actors()).kill()
                else:
                    nodes.lose(draw.randrange(2))
            else:
                finish(process)
                is_done = True
    assert sorted(row["problem"] for row in records(run_dir, "records.jsonl")) == sorted(ALL)
    assert outcome(run_dir) == undisturbed, f"PRM_SEARCH_FAULT_SEED={seed}: {faults} at {moments}"
