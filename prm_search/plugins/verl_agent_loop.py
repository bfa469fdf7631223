"""verl: an agent loop whose step scores reach the advantage estimator; see docs/verl.md."""

from __future__ import annotations

from functools import cache
from typing import Any

from hydra.utils import get_class

from prm_search.plugins.verl_rows import row_of_info


class StepAgentLoop:
    """An agent loop of verl; what it gives carries step scores once it is rewarded."""

    def __init__(
        self,
        *args: Any,
        loop: str = "verl.experimental.agent_loop.SingleTurnAgentLoop",
        **options: Any,
    ) -> None:
        """As verl makes agent loops.

        Args:
            args: for the loop.
            loop: dotted name of the class that writes the rollouts, with one output for each.
            options: for the loop.
        """
        self._loop: Any = get_class(loop)(*args, **options)

    async def run(self, sampling_params: dict[str, Any], **fields: Any) -> Any:
        """A rollout of one row of the data set; see verl's `AgentLoopBase.run`."""
        output: Any = await self._loop.run(sampling_params, **fields)
        known: set[str] = output.model_fields_set
        base: Any = type(output)  # pyright: ignore[reportUnknownVariableType]
        return step_output(base)(**{name: getattr(output, name) for name in known})


@cache
def step_output(base: Any) -> Any:
    """A class of outputs with step scores in what they give to the trainer.

    Args:
        base: the `AgentLoopOutput` of verl.
    """

    class StepAgentLoopOutput(base):
        def as_dict(self) -> dict[str, Any]:
            """The fields of verl; `rm_scores` has step scores and outcome, see `verl_rows`.

            verl asks after the reward manager has put them into `reward_extra_info`.

            Raises:
                ConfigurationError: if it was not `PrmRewardManager`.
            """
            fields: dict[str, Any] = base.as_dict(self)
            scores: Any = fields.get("rm_scores")
            if scores is not None:
                info: dict[str, object] = self.extra_fields.get("reward_extra_info", {})
                fields["rm_scores"] = scores.new_tensor(row_of_info(info, len(self.response_ids)))
            return fields

    return StepAgentLoopOutput
