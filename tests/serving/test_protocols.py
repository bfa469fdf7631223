from __future__ import annotations

import pytest

from prm_search.fakes import FakeScorer
from prm_search.plugins.reading import Reading
from prm_search.rewards.credit import GroupCredit, ProcessGRPO
from prm_search.rewards.sources import PrmSource
from prm_search.serving.service import RewardService
from tests.serving.clients import PROBLEM, SOLUTION, WRONG, body, client, fake_source


async def test_rewards_come_with_spans_scores_outcome_number_and_advantages() -> None:
    async with client() as http:
        answer = await http.post("/v1/rewards", json={"rollouts": [body(), body(WRONG)]})
    assert answer.status_code == 200
    right, wrong = answer.json()["rollouts"]
    assert right["spans"] == [[0, 19], [19, len(SOLUTION)]]
    assert right["scores"] == [0.9, 0.9]
    assert right["outcome"] == 1.0
    assert right["reward"] == pytest.approx(1.9)
    assert right["failures"] == []
    assert wrong["outcome"] == 0.0
    assert min(right["advantages"]["steps"]) > 0 > max(wrong["advantages"]["steps"])


async def test_steps_may_come_apart_and_truncation_is_heard() -> None:
    steps = {"problem": PROBLEM, "steps": ["Take 5 and add 7.\n\n", "\\boxed{12}"], "answer": "12"}
    async with client() as http:
        answer = await http.post(
            "/v1/rewards", json={"rollouts": [steps, {**steps, "is_truncated": True}]}
        )
    ended, cut_off = answer.json()["rollouts"]
    assert ended["spans"] == [[0, 19], [19, 29]]
    assert (ended["outcome"], cut_off["outcome"]) == (1.0, 0.0)


async def test_a_rollout_without_others_has_no_advantages() -> None:
    rollouts = [body(group="a"), body(group="b"), body(WRONG, group="b")]
    async with client() as http:
        answer = await http.post("/v1/rewards", json={"rollouts": rollouts})
    alone, first, second = (item["advantages"] for item in answer.json()["rollouts"])
    assert alone is None
    assert first is not None
    assert second is not None


async def test_an_empty_completion_is_answered() -> None:
    async with client() as http:
        answer = await http.post("/v1/rewards", json={"rollouts": [body("")]})
    (empty,) = answer.json()["rollouts"]
    assert (empty["spans"], empty["scores"], empty["outcome"]) == ([], [], 0.0)
    assert empty["reward"] == 0.0


async def test_what_fails_is_said_and_is_no_score() -> None:
    service = RewardService(fake_source(FakeScorer(failing_calls=frozenset({0}))))
    async with client(service) as http:
        answer = await http.post("/v1/rewards", json={"rollouts": [body(answer=None)]})
        again = await http.post("/v1/rewards", json={"rollouts": [body()]})
    (failed,) = answer.json()["rollouts"]
    assert (failed["scores"], failed["outcome"], failed["reward"]) == (None, None, None)
    assert [(item["part"], item["kind"]) for item in failed["failures"]] == [
        ("scores", "EngineError"),
        ("outcome", "NoReferenceAnswer"),
    ]
    assert again.json()["rollouts"][0]["failures"] == []


async def test_openrlhf_gets_rewards_scores_and_logs() -> None:
    prompt = f"<|im_start|>user\n{PROBLEM}<|im_end|>\n<|im_start|>assistant\n"
    reading = Reading(problem_pattern=r"<\|im_start\|>user\n(.*?)<\|im_end\|>")
    payload = {
        "query": [f"{prompt}{SOLUTION}<|im_end|>"],
        "prompts": [prompt],
        "labels": ["12"],
        "images": None,
    }
    async with client(reading=reading) as http:
        answer = await http.post("/get_reward", json=payload)
    assert answer.status_code == 200
    assert answer.json() == {
        "rewards": [pytest.approx(1.9)],
        "scores": [1.0],
        "extra_logs": {
            "outcome": [1.0],
            "prm_min": [0.9],
            "prm_mean": [0.9],
            "num_steps": [2.0],
        },
    }


async def test_openrlhf_hears_of_failures_by_the_status_alone() -> None:
    payload = {"query": [PROBLEM + SOLUTION], "prompts": [PROBLEM], "labels": ["12"]}
    service = RewardService(fake_source(FakeScorer(failing_calls=frozenset({0}))))
    async with client(service) as http:
        passing = await http.post("/get_reward", json=payload)
        again = await http.post("/get_reward", json=payload)
        lasting = await http.post("/get_reward", json={**payload, "labels": [None]})
        torn = await http.post("/get_reward", json={**payload, "prompts": ["other"]})
    assert (passing.status_code, again.status_code) == (503, 200)
    assert passing.headers["Retry-After"]
    assert lasting.status_code == 422
    assert "no reference answer" in lasting.text
    assert torn.status_code == 422
    assert torn.json()["detail"][0]["field"] == "query.0"


async def test_slime_gets_a_number_or_a_number_with_steps() -> None:
    payload = {"prompt": PROBLEM, "response": f"{SOLUTION}<|im_end|>", "label": 12}
    chat = {**payload, "prompt": [{"role": "user", "content": PROBLEM}]}
    async with client() as http:
        number = await http.post("/slime", json=payload)
        of_chat = await http.post("/slime", json=chat)
        steps = await http.post("/slime/steps", json=payload)
    assert number.json() == of_chat.json() == pytest.approx(1.9)
    assert steps.json()["reward"] == pytest.approx(1.9)
    assert steps.json()["scores"] == [0.9, 0.9]


async def test_a_credit_that_only_compares_gives_no_single_number() -> None:
    service = RewardService(
        PrmSource(FakeScorer()), credit=GroupCredit(process=ProcessGRPO(), outcome_weight=0)
    )
    async with client(service) as http:
        number = await http.post("/slime", json={"prompt": PROBLEM, "response": SOLUTION})
        both = await http.post("/v1/rewards", json={"rollouts": [body(), body(WRONG)]})
    assert number.status_code == 501
    assert "only compares" in number.text
    assert all(item["reward"] is None for item in both.json()["rollouts"])
    assert all(item["advantages"] for item in both.json()["rollouts"])
