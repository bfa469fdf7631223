from __future__ import annotations

import json
from math import ceil, log2
from pathlib import Path

import pytest

from prm_search.labeling.cost_simulation import METHODS, CostSimulation, KnownResponse

EXPECTED = {
    "gsm8k": (41.6, 31.4, 23.9, 9.0, 8.9),
    "math": (52.0, 34.9, 25.6, 10.1, 10.5),
    "olympiadbench": (70.6, 46.6, 28.8, 12.7, 12.1),
    "omnimath": (66.3, 38.3, 28.2, 11.8, 13.3),
}
"""Rollouts per response at 8 rollouts a step and success rate 0.7, where every step costs
rollouts: exhaustive, stop at the first error, most that a binary search takes with all rollouts
of each step, lazy, lazy binary search."""


def human_errors(path: Path) -> list[KnownResponse]:
    return [
        KnownResponse(
            num_steps=len(row["steps"]), first_error=None if row["label"] < 0 else row["label"]
        )
        for row in json.loads(path.read_text())
    ]


@pytest.mark.parametrize("subset", EXPECTED)
async def test_costs_on_human_error_positions(data_dir: Path, subset: str) -> None:
    responses = human_errors(data_dir / "processbench" / f"{subset}.json")
    found = await CostSimulation().run(responses)
    exhaustive, stop_at_first_error, bound, lazy, binary_search = EXPECTED[subset]
    assert round(found["exhaustive"], 1) == exhaustive
    assert found["stop_at_first_error"] == pytest.approx(stop_at_first_error, abs=0.1)
    assert found["lazy"] == pytest.approx(lazy, abs=0.2)
    assert found["binary_search"] == pytest.approx(binary_search, abs=0.2)
    most = sum(8 * ceil(log2(response.num_steps + 1)) for response in responses)
    assert round(most / len(responses), 1) == bound
    assert found["binary_search_all_rollouts"] <= bound


async def test_a_sure_completer_costs_one_rollout_per_right_step() -> None:
    simulation = CostSimulation(success_rate=1.0, last_step_is_free=True)
    found = await simulation.run([KnownResponse(num_steps=5, first_error=2)])
    assert found == {
        "exhaustive": 32,
        "stop_at_first_error": 24,
        "lazy": 10,
        "binary_search": 8 + 1,
        "binary_search_all_rollouts": 16,
        "witness_sharing": 8 + 1,
        "witness_sharing_backward": 8 + 8 + 1,
        "consensus": 10,
    }


async def test_a_right_response_is_free_where_its_answer_is_believed() -> None:
    simulation = CostSimulation(success_rate=1.0, last_step_is_free=True)
    found = await simulation.run([KnownResponse(num_steps=4, first_error=None)])
    free = {"binary_search", "binary_search_all_rollouts", "witness_sharing"}
    assert {name for name, count in found.items() if count == 0} == {
        *free,
        "witness_sharing_backward",
    }
    assert found["lazy"] == found["consensus"] == 3
    assert found["exhaustive"] == found["stop_at_first_error"] == 24
    assert set(found) == set(METHODS)
