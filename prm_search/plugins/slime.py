"""slime: `--custom-rm-path prm_search.plugins.slime.reward` (or `.reward_with_steps`).

Both ask the server at $PRM_SEARCH_REWARD_URL, and take one sample or, under `--group-rm`, a
list of them. `--rm-type remote_rm --rm-url http://:KEY@127.0.0.1:8421/slime` does the same
without this module.

Credit of steps takes two functions, the first of which knows the policy's tokenizer and so stands
in a module of your own, say `my_reward`:

    reward = RewardAndCredit(AutoTokenizer.from_pretrained("the policy"))

    --group-rm --custom-rm-path my_reward.reward
    --custom-advantage-function-path prm_search.plugins.slime.step_advantages

slime loses what samples say of themselves on the way to its trainer (THUDM/slime#2400): until that
is mended, "metadata" has to be added to the keys that its `_split_train_data_by_dp` passes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

from prm_search.errors import ConfigurationError, ScoringError
from prm_search.plugins.default import default_reading, default_rewarder
from prm_search.plugins.step_sizes import step_sizes
from prm_search.rewards.credit import Credit, GroupCredit, spread_over_sizes
from prm_search.rewards.rewarder import Scored
from prm_search.serving.answers import rollout_answer
from prm_search.types import Trajectory

_ADVANTAGES = "step_advantages"


async def reward(args: object, sample: Any, **options: object) -> float | list[float]:
    """The number of a sample, or of each sample of a group.

    Raises:
        ScoringError: if something failed.
    """
    scored = await _ask(sample)
    numbers = [one.require_number() for one in scored]
    return numbers if isinstance(sample, list) else numbers[0]


async def reward_with_steps(
    args: object, sample: Any, **options: object
) -> dict[str, object] | list[dict[str, object]]:
    """The same with step scores and spans: `--reward-key reward` picks the number.

    Raises:
        ScoringError: if something failed.
    """
    scored = await _ask(sample)
    for one in scored:
        one.require_number()
    answers = [rollout_answer(one, None) for one in scored]
    return answers if isinstance(sample, list) else answers[0]


class RewardAndCredit:
    """The numbers of a group, whose samples get the advantages of their tokens as well.

    They are left in `train_metadata`, where `step_advantages` finds them.
    """

    def __init__(self, tokenizer: Any, *, credit: Credit | None = None) -> None:
        """Take a tokenizer.

        Args:
            tokenizer: of the policy.
            credit: how rewards become advantages; None takes the minimum and the outcome.
        """
        self._credit = credit or GroupCredit()
        self._tokenizer = tokenizer

    async def __call__(self, args: object, samples: Any, **options: object) -> list[float]:
        """As `--group-rm` calls it.

        Raises:
            ScoringError: if something failed.
            ConfigurationError: without `--group-rm`.
        """
        if not isinstance(samples, list):
            raise ConfigurationError("credit compares the samples of a problem; set --group-rm")
        group = cast("list[Any]", samples)
        scored = await _ask(group)
        numbers = [one.require_number() for one in scored]
        credited = self._credit([one.reward for one in scored])
        for sample, one, advantages in zip(group, scored, credited, strict=True):
            token_ids = list(sample.tokens[len(sample.tokens) - sample.response_length :])
            ends = [end for _, end in one.reward.spans]
            sizes = await asyncio.to_thread(step_sizes, token_ids, ends, self._tokenizer.decode)
            tokens: list[float] = []
            if token_ids:
                tokens = spread_over_sizes(advantages, sizes).tolist()
            sample.train_metadata = {**(sample.train_metadata or {}), _ADVANTAGES: tokens}
        return numbers


def step_advantages(args: object, rollout_data: dict[str, Any]) -> None:
    """Puts the advantages of tokens where slime's loss looks for them.

    Raises:
        ConfigurationError: if no `RewardAndCredit` left them there, or each process has only a
            part of a sample (context parallelism).
    """
    metadata = cast("Sequence[Mapping[str, Any] | None]", rollout_data.get("metadata") or ())
    places = cast("Sequence[Any]", rollout_data["kl"])
    found: list[Any] = []
    for index, place in enumerate(places):
        own = metadata[index] if index < len(metadata) else None
        if own is None or _ADVANTAGES not in own:
            raise ConfigurationError(
                "the samples bring no advantages of tokens; set --group-rm, and --custom-rm-path "
                "to a prm_search.plugins.slime.RewardAndCredit, and let slime's "
                "_split_train_data_by_dp pass on the key metadata (THUDM/slime#2400)"
            )
        if len(own[_ADVANTAGES]) != len(place):
            raise ConfigurationError(
                f"sample {index} has advantages of {len(own[_ADVANTAGES])} tokens and "
                f"{len(place)} are here; step credit needs --context-parallel-size 1"
            )
        found.append(place.new_tensor(own[_ADVANTAGES]))
    rollout_data["advantages"] = found
    rollout_data["returns"] = list(found)


async def _ask(sample: Any) -> list[Scored]:
    samples = cast("list[Any]", sample) if isinstance(sample, list) else [sample]
    return await default_rewarder()([_read(one) for one in samples])


def _read(sample: Any) -> Trajectory:
    status = getattr(sample.status, "value", sample.status)
    if status in ("aborted", "failed"):
        raise ScoringError(f"the sample was not generated to its end: {status}")
    return default_reading().rollout(
        cast("str | Sequence[dict[str, object]]", sample.prompt),
        sample.response,
        sample.label,
        is_truncated=status == "truncated",
    )
