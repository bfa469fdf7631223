"""What happens around the updates of a policy: metrics, alarm, evaluation, when to stop."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from prm_search.errors import ConfigurationError
from prm_search.reporting.reward_plot import plot_rewards
from prm_search.rewards.guards import Hacking
from prm_search.store import METRICS
from trainers.metrics import MetricsLog
from trainers.rl_evaluation import Evaluation, describe
from trainers.rl_job import TrainRl
from trainers.rl_progress import RlProgress
from trainers.rl_stop import Stop, shall_stop
from trainers.step_grpo import PREFIX

PLOT = "rewards.png"
_OF_TRL = ("loss", "grad_norm", "entropy", "kl", "clip_ratio/region_mean")
"""What is taken over from TRL's own metrics."""


class RlCallback(TrainerCallback):
    """Called by TRL's loop, in every process."""

    def __init__(
        self,
        job: TrainRl,
        *,
        accelerator: Accelerator,
        num_done: int,
        notes: Callable[[], Mapping[str, float]],
        evaluate: Callable[[int], Evaluation | None] | None,
        stop: Stop,
    ) -> None:
        """Begin, or go on with the metrics of an earlier session.

        Args:
            job: the training.
            accelerator: knows the processes.
            num_done: updates of earlier sessions that a checkpoint keeps.
            notes: further metrics of the update that has just been made.
            evaluate: solves held-out problems after so many updates; gives None in all processes
                but one.
            stop: ends the training after the update that is under way.
        """
        self._job = job
        self._accelerator = accelerator
        self._num_done = num_done
        self._notes = notes
        self._evaluate = evaluate
        self._stop = stop
        run_dir = Path(job.run_dir)
        lines = _read(run_dir / METRICS, num_done)
        accelerator.wait_for_everyone()  # before the file is written anew
        self._log = MetricsLog(run_dir, after=num_done, accelerator=accelerator)
        self._history = [line for line in lines if "loss" in line]
        self._evaluations = [line for line in lines if "held_out_accuracy" in line]
        self._last_evaluation: Evaluation | None = None
        self._hacking: Hacking | None = None
        self._find_hacking()
        self._learning_rate = 0.0
        self._progress = RlProgress(
            num_done=num_done,
            share_done=self.share_done,
            is_shown=accelerator.is_main_process,
        )

    @property
    def num_generated_tokens(self) -> int:
        """What the policy has written for all updates."""
        return round(sum(line.get("generated_tokens", 0.0) for line in self._history))

    @property
    def is_finished(self) -> bool:
        """Whether the training has come to its end."""
        return self.share_done >= 1

    @property
    def share_done(self) -> float:
        """How far the training is, from 0 to 1 or a little above."""
        settings = self._job.trainer
        share = self._num_updates / settings.num_updates
        if settings.max_generated_tokens is not None:
            share = max(share, self.num_generated_tokens / settings.max_generated_tokens)
        return share

    @property
    def _num_updates(self) -> int:
        """Updates so far. The checkpoint knows it, whatever has become of the metrics."""
        return max(self._num_done, *(int(line["step"]) for line in self._history[-1:]), 0)

    def say(self, message: str) -> None:
        """Show a message."""
        self._progress.say(message)

    @contextmanager
    def shown(self) -> Generator[None, None, None]:
        """While this lasts, progress is displayed."""
        if self._num_done:
            self.say(f"Going on after update {self._num_done}.")
        with self._progress:
            yield

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Evaluate the policy as it is before the first update, or after the last one."""
        if not self._evaluations or self.is_finished:
            self._evaluate_now(self._num_done)
        self._progress.begin()

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        optimizer: Any = None,
        **_: Any,
    ) -> None:
        """Lower the rate of the update that comes, if the end is near.

        TRL's schedule has set it, and sets it again afterwards.
        """
        decay_share = self._job.trainer.optimizer.decay_share
        if decay_share > 0:
            factor = min(1.0, (1 - self.share_done) / decay_share)
            for group in optimizer.param_groups:
                group["lr"] *= factor
        self._learning_rate = float(optimizer.param_groups[0]["lr"])

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Write down what came of an update, evaluate if that is due, and say when to stop."""
        if logs is None or "loss" not in logs:
            return
        update = int(state.global_step)
        metrics = {name: logs[name] for name in _OF_TRL if logs.get(name) is not None}
        metrics["learning_rate"] = self._learning_rate
        metrics |= {
            name.removeprefix(PREFIX): value
            for name, value in logs.items()
            if name.startswith(PREFIX) and value is not None
        }
        metrics["generated_tokens"] = metrics["num_rollouts"] * metrics["tokens_per_response"]
        metrics |= self._notes()
        self._history.append({"step": update, **metrics})
        if self._hacking is None and (hacking := self._find_hacking()) is not None:
            self.say(
                f"update {update}: the PRM's score has risen by {hacking.prm_rise:.2f} while the "
                f"share of right answers fell by {hacking.outcome_fall:.2f}, since update "
                f"{self._onset}: the policy seems to hack its reward"
            )
        self._log.write(update, {**metrics, "hacking": float(self._hacking is not None)})
        self._progress.advance(update, metrics, share_done=self.share_done)
        every = self._job.trainer.evaluate_every
        if self.is_finished or (every is not None and update % every == 0):
            self._evaluate_now(update)
        if self.is_finished or shall_stop(self._stop, self._accelerator):
            control.should_save = True
            control.should_training_stop = True

    def result(self) -> dict[str, Any]:
        """What came of the training, once it is finished."""
        last = self._last_evaluation
        return {
            "updates": self._num_updates,
            "generated_tokens": self.num_generated_tokens,
            "seed": self._job.seed,
            "hack_onset": self._onset if self._hacking is not None else None,
            "before": self._evaluations[0] if self._evaluations else None,
            "after": self._evaluations[-1] if self._evaluations else None,
            "last_updates": _means(self._history[-10:]),
            "held_out": [asdict(one) for one in last.greedy] if last is not None else [],
        }

    def plot(self) -> None:
        """Draw the curves so far, if matplotlib is installed."""
        if not self._history:
            return
        try:
            plot_rewards(self._history, Path(self._job.run_dir) / PLOT, alarm=self._job.alarm)
        except ConfigurationError as error:
            self.say(f"{PLOT} is left out: {error}")

    def _evaluate_now(self, update: int) -> None:
        if self._evaluate is None:
            return
        began = time.monotonic()
        evaluation = self._evaluate(update)
        if evaluation is not None:
            self._last_evaluation = evaluation
            metrics = {**evaluation.metrics, "seconds_evaluation": time.monotonic() - began}
            self._evaluations.append({"step": update, **metrics})
            self._log.write(update, metrics)
            self.say(f"update {update}: held-out {describe(metrics)}")

    @property
    def _onset(self) -> int | None:
        """1-based update at which hacking set in."""
        known = self._known()
        return None if self._hacking is None else int(known[self._hacking.onset]["step"])

    def _known(self) -> list[dict[str, float]]:
        return [line for line in self._history if "prm_mean" in line and "outcome" in line]

    def _find_hacking(self) -> Hacking | None:
        known = self._known()
        prm, outcome = ([line[name] for line in known] for name in ("prm_mean", "outcome"))
        check = self._job.alarm.check if self._num_done < len(known) else self._job.alarm.first
        self._hacking = check(prm, outcome)
        return self._hacking


def _read(path: Path, num_done: int) -> list[dict[str, float]]:
    """The lines of earlier updates; what was torn when the process was killed is left out."""
    lines: list[dict[str, float]] = []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            line: dict[str, float] = json.loads(text)
        except ValueError:
            continue
        if line.get("step", num_done + 1) <= num_done:
            lines.append(line)
    return lines


def _means(lines: list[dict[str, float]]) -> dict[str, float]:
    names = sorted({name for line in lines for name in line} - {"step"})
    found = {name: [line[name] for line in lines if name in line] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items()}
