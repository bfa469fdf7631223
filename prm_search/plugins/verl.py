"""verl: a reward function and a reward manager (verl 0.9), by their dotted names.

    reward.custom_reward_function.path=pkg://prm_search.plugins.verl
    reward.custom_reward_function.name=compute_score

or, for data sets whose extra_info does not hold the question:

    reward.reward_manager.source=importlib
    reward.reward_manager.module.path=pkg://prm_search.plugins.verl
    reward.reward_manager.name=PrmRewardManager

Both ask the server at $PRM_SEARCH_REWARD_URL. verl's streaming path carries one number per
response, and drops lists of different lengths: step scores travel as JSON. With the manager,
`prm_search.plugins.verl_agent_loop` takes them on to the estimator `prm_stepwise`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from prm_search.errors import ConfigurationError
from prm_search.plugins.default import default_reading, default_rewarder
from prm_search.plugins.reading import Reading, Text
from prm_search.plugins.step_sizes import step_sizes
from prm_search.rewards.rewarder import Rewarder, Scored
from prm_search.types import StepScores, Trajectory

_QUESTIONS = ("question", "problem", "prompt", "raw_prompt")


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: object,
    extra_info: Mapping[str, object] | None = None,
    **options: object,
) -> dict[str, object]:
    """The score of one solution, as `reward.custom_reward_function` has it.

    Args:
        data_source: of the problem; not needed here.
        solution_str: the response.
        ground_truth: the reference answer.
        extra_info: of the row; its "question", "problem" or "prompt" is the problem.
        options: what else verl passes: the address of its own reward model, for example.

    Raises:
        ConfigurationError: if extra_info does not hold the problem.
        ScoringError: if something failed. verl must not take it for a score.
    """
    info = extra_info or {}
    question = next((info[key] for key in _QUESTIONS if info.get(key)), None)
    if question is None:
        raise ConfigurationError(
            f"extra_info of {data_source!r} holds no problem under {', '.join(_QUESTIONS)}; add it "
            "to the data set, or use prm_search.plugins.verl.PrmRewardManager"
        )
    rollout = default_reading().rollout(cast("Text", question), solution_str, ground_truth)
    return _info(await _ask(default_rewarder(), rollout))


class PrmRewardManager:
    """Rewards of verl's rows, as `reward.reward_manager` has it.

    The problem is the last message of the user in `raw_prompt`, and a response whose last token
    is not the end token was cut off.
    """

    def __init__(
        self,
        config: object = None,
        tokenizer: Any = None,
        compute_score: object = None,
        *,
        rewarder: Rewarder | None = None,
        reading: Reading | None = None,
        **options: object,
    ) -> None:
        """As verl makes it.

        Args:
            config: of verl.
            tokenizer: of the policy.
            compute_score: of verl; the manager scores by itself.
            rewarder: what is asked; None takes the server of the environment.
            reading: how prompts and responses are read.
            options: what else verl passes.
        """
        self._tokenizer = tokenizer
        self._rewarder = rewarder
        self._reading = reading or default_reading()

    async def run_single(self, data: Any) -> dict[str, object]:
        """The score of a row: {"reward_score": …, "reward_extra_info": {…}}.

        Raises:
            ScoringError: if something failed. verl must not take it for a score.
        """
        item = data[len(data) - 1]  # of several outputs of an agent, the last one
        responses = item.batch["responses"]
        rows = item.non_tensor_batch
        size = int(
            rows["response_len"]
            if "response_len" in rows
            else item.batch["attention_mask"][-responses.shape[-1] :].sum()
        )
        token_ids = responses[:size].tolist()
        completion = await asyncio.to_thread(self._decode, token_ids)
        eos = getattr(self._tokenizer, "eos_token_id", None)
        rollout = self._reading.rollout(
            cast("Text", [dict(message) for message in rows["raw_prompt"]]),
            completion,
            rows["reward_model"].get("ground_truth"),
            is_truncated=None if eos is None or not size else int(token_ids[-1]) != eos,
        )
        scored = await _ask(self._rewarder or default_rewarder(), rollout)
        ends = [end for _, end in scored.reward.spans]
        sizes = await asyncio.to_thread(step_sizes, token_ids, ends, self._decode)
        outcome = scored.reward.outcome
        info = _info(scored) | {
            "outcome": json.dumps(outcome if outcome is None else float(cast("float", outcome))),
            "step_sizes": json.dumps(sizes),
        }
        return {"reward_score": info["score"], "reward_extra_info": info}

    def _decode(self, token_ids: Sequence[int]) -> str:
        return self._tokenizer.decode(token_ids, skip_special_tokens=True)

    @classmethod
    def assemble_rm_scores(cls, data: Any, scores: Sequence[float]) -> Any:
        """The scores as a tensor, each at the last token of its response. [B, num_tokens]"""
        responses = data.batch["responses"]
        sizes = data.batch["attention_mask"][:, -responses.shape[1] :].sum(1)
        matrix = (responses * 0).float()
        for row, score in enumerate(scores):
            matrix[row, max(int(sizes[row]) - 1, 0)] = score
        return matrix


async def _ask(rewarder: Rewarder, rollout: Trajectory) -> Scored:
    (scored,) = await rewarder([rollout])
    scored.require_number()
    return scored


def _info(scored: Scored) -> dict[str, object]:
    number, reward = scored.require_number(), scored.reward
    values = list(reward.scores.values) if isinstance(reward.scores, StepScores) else None
    # verl makes arrays of these, so every row has to have the same keys and plain values.
    return {
        "score": number,
        "acc": float(reward.outcome) if isinstance(reward.outcome, float | int) else number,
        "num_steps": len(reward.spans),
        "step_scores": json.dumps(values),
        "step_spans": json.dumps(reward.spans),
    }
