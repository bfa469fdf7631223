"""What happens around the updates of TRL's trainers: progress, metrics, stopping, bad losses."""

from __future__ import annotations

import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from prm_search.errors import TrainingError
from trainers.metrics import MetricsLog
from trainers.progress import TrainingProgress


class Observer(TrainerCallback):
    """Shows and records each update, and ends the training where it must end.

    Args:
        progress: of this training.
        log: of this training.
        interrupted: becomes non-empty when the training shall stop; it writes a checkpoint first.
        evaluates: whether the last update is followed by an evaluation.
    """

    def __init__(
        self,
        progress: TrainingProgress,
        log: MetricsLog,
        interrupted: list[int],
        *,
        evaluates: bool,
    ) -> None:
        self._progress = progress
        self._log = log
        self._interrupted = interrupted
        self._evaluates = evaluates
        self.losses: list[float] = []
        """Of this session's updates."""

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **others: Any,
    ) -> None:
        """Decide what follows the update."""
        if state.global_step >= state.max_steps:
            control.should_evaluate = self._evaluates
            control.should_save = True
        elif self._interrupted:
            control.should_save = True
            control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **others: Any,
    ) -> None:
        """Record an update, or an evaluation.

        Raises:
            TrainingError: if the loss is not finite.
        """
        values = {name: value for name, value in (logs or {}).items() if name != "epoch"}
        loss = values.get("loss")
        if loss is None:
            if any(name.startswith("eval_") for name in values):
                self._log.write(state.global_step, values)
            return
        norm = values.get("grad_norm", 0.0)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingError(
                f"the loss of update {state.global_step} is {loss} and its gradient's norm {norm}; "
                "stopped. The last checkpoint is kept. A lower learning rate, or "
                "precision=float32, may help"
            )
        self.losses.append(loss)
        self._log.write(state.global_step, values)
        self._progress.advance(state.global_step, loss)
