"""One training of a policy, by TRL's loop: rollouts come from engines, weights go to them.

    rollouts and rewards ─► update ─► weights to the engines ─► (evaluation, checkpoint) ─► …

Everything random derives from the seed and the number of the update, so that a training that is
resumed goes on as if it had never stopped.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
import transformers
from transformers import AutoConfig, AutoTokenizer, PrinterCallback
from transformers.tokenization_utils_base import PreTrainedTokenizerBase
from trl.trainer.utils import shutdown_event_loop_in_daemon

from prm_search.errors import ConfigurationError
from prm_search.rl import Collected, Collector, Request, VersionedGenerator
from prm_search.rl.summary import RESULT
from prm_search.run_session import INTERRUPTED, OK
from prm_search.seeds import derive_seed
from prm_search.tokens import question_tokens
from prm_search.types import Problem
from trainers.prm_checkpoint import write_model
from trainers.rl_arguments import grpo_arguments, latest_checkpoint, num_updates
from trainers.rl_callback import RlCallback
from trainers.rl_card import policy_card
from trainers.rl_data import draw_order, usable_problems
from trainers.rl_evaluation import Evaluation, Evaluator
from trainers.rl_job import TrainRl
from trainers.rl_stop import Stop
from trainers.rl_trainer import PackedGRPOTrainer
from trainers.rl_weights import WeightFolders, policy_weights
from trainers.step_grpo import REWARDS, TRAJECTORIES

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Bridge:
    """From the thread that trains to the event loop in which the engines are asked."""

    loop: asyncio.AbstractEventLoop

    def __call__(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Wait for a coroutine of the loop; its error is raised here."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()


@dataclass(kw_only=True)
class Notes:
    """What is known of an update beside what TRL logs."""

    collected: Collected | None = None
    handover_seconds: float = 0.0
    sampled_at: float = field(default_factory=time.monotonic)

    def metrics(self) -> dict[str, float]:
        """As they stand in metrics.jsonl; all in seconds but for the version and the shares."""
        if self.collected is None:
            return {}
        times = self.collected.times
        metrics = {
            "policy_version": float(self.collected.rollouts[0].policy_version),
            "seconds_sampling": times.sampling,
            "seconds_scoring": times.scoring,
            "seconds_exposed_scoring": times.exposed_scoring,
            "seconds_handover": self.handover_seconds,
            "seconds_training": time.monotonic() - self.sampled_at,
        }
        if times.hidden_share is not None:
            metrics["hidden_scoring_share"] = times.hidden_share
        if self.collected.share_from_search is not None:
            metrics["share_from_search"] = self.collected.share_from_search
        return metrics


class RlSession:
    """Runs in a thread beside the event loop of the engines."""

    def __init__(
        self,
        job: TrainRl,
        collector: Collector,
        generator: VersionedGenerator,
        evaluator: Evaluator | None,
        *,
        bridge: Bridge,
        stop: Stop,
    ) -> None:
        """Take a job without methods and seeds, and what stands between it and the engines."""
        self._job = job
        self._collector = collector
        self._generator = generator
        self._evaluator = evaluator
        self._bridge = bridge
        self._stop = stop
        self._notes = Notes()
        Path(job.run_dir).mkdir(parents=True, exist_ok=True)
        self._tokenizer = _tokenizer(job.policy.model)
        self._prompts: dict[str, list[int]] = {}

    def run(self) -> int:
        """Train, or go on after the last checkpoint.

        Returns:
            0 if it came to its end, 130 if it was stopped.
        """
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        job, settings = self._job, self._job.trainer
        run_dir = Path(job.run_dir)
        arguments = grpo_arguments(job)
        problems, num_left_out = usable_problems(
            job.data.load().problems, self._question, max_tokens=self._max_prompt_tokens()
        )
        self._problems: dict[str, Problem] = {one.prompt: one for one in problems}
        order = draw_order(
            len(problems), settings.problems_per_update, settings.num_updates, seed=job.seed
        )
        trainer = self._trainer = PackedGRPOTrainer(
            job.policy.model,
            credit=job.credit,
            max_failure_share=settings.max_failure_share,
            args=arguments,
            train_dataset=_dataset([problems[index].prompt for index in order]),
            processing_class=self._tokenizer,
            rollout_func=self._roll_out,
        )
        trainer.remove_callback(PrinterCallback)
        latest = latest_checkpoint(run_dir)
        self._folders = WeightFolders(
            settings.weights_dir, run_dir=job.run_dir, dtype=_engine_dtype(job)
        )
        callback = RlCallback(
            job,
            accelerator=trainer.accelerator,
            num_done=num_updates(latest),
            notes=self._notes.metrics,
            evaluate=None if self._evaluator is None else self._evaluate,
            stop=self._stop,
        )
        trainer.add_callback(callback)
        if callback.is_finished:  # only the model was not written
            trainer.args.max_steps = num_updates(latest)
            num_rows = num_updates(latest) * settings.problems_per_update
            trainer.train_dataset = _dataset([problems[index].prompt for index in order[:num_rows]])
        callback.say(
            f"{len(problems):,} problems"
            + (f" ({num_left_out:,} left out: too long, or seen before)" if num_left_out else "")
            + f", {settings.rollouts_per_update} rollouts an update"
        )
        try:
            with callback.shown():
                trainer.train(resume_from_checkpoint=None if latest is None else str(latest))
            if not callback.is_finished:
                return INTERRUPTED
            self._finish(run_dir, callback)
        finally:
            if trainer.accelerator.is_main_process:
                self._folders.remove()
                callback.plot()
            # TRL leaves that to the end of the process, which may train again.
            shutdown_event_loop_in_daemon(trainer.async_loop_thread, trainer.async_loop)
        return OK

    def _finish(self, run_dir: Path, callback: RlCallback) -> None:
        trainer, job = self._trainer, self._job
        weights = policy_weights(trainer.model_wrapped, trainer.accelerator)
        if trainer.accelerator.is_main_process:
            result = callback.result()
            model: Any = trainer.accelerator.unwrap_model(trainer.model)
            write_model(
                Path(job.model_dir),
                model,
                weights,
                self._tokenizer,
                dtype=_engine_dtype(job),
                card=policy_card(job, result),
            )
            (run_dir / RESULT).write_text(json.dumps(result, indent=2) + "\n")
        callback.say(f"Model: {job.model_dir}")
        trainer.accelerator.wait_for_everyone()

    def _roll_out(self, prompts: Sequence[str], trainer: PackedGRPOTrainer) -> dict[str, Any]:
        """What TRL calls for the completions of its prompts; see its `rollout_func`."""
        update = int(trainer.state.global_step)
        self._hand_over(update)
        first = trainer.accelerator.process_index * len(prompts)
        group_size = self._job.trainer.rollouts_per_problem
        requests = [
            Request(problem=self._problems[prompt], index=(first + row) % group_size)
            for row, prompt in enumerate(prompts)
        ]
        seed = derive_seed(self._job.seed, "rollouts", update)
        collected = self._bridge(self._collector(requests, seed=seed))
        self._notes.collected = collected
        self._notes.sampled_at = time.monotonic()
        trajectories = [rollout.trajectory for rollout in collected.rollouts]
        return {
            "prompt_ids": [self._question(one.problem) for one in trajectories],
            "completion_ids": [list(one.token_ids) for one in trajectories],
            "logprobs": _logprobs(collected),
            TRAJECTORIES: trajectories,
            REWARDS: [rollout.reward for rollout in collected.rollouts],
        }

    def _hand_over(self, update: int) -> None:
        """Give the engines the weights after so many updates, unless they have them."""
        if self._generator.version == update:
            return
        began = time.monotonic()
        accelerator = self._trainer.accelerator
        weights = policy_weights(self._trainer.model_wrapped, accelerator)
        folder = ""
        if accelerator.is_main_process:
            folder = self._folders.write(weights, update)
        [folder] = [path for path in _gathered(folder) if path]
        self._bridge(self._generator.update_weights(folder, update))
        self._notes.handover_seconds = time.monotonic() - began

    def _evaluate(self, update: int) -> Evaluation | None:
        """Evaluate the policy after so many updates; every process has to call this."""
        self._hand_over(update)
        evaluation: Evaluation | None = None
        if self._trainer.accelerator.is_main_process and self._evaluator is not None:
            evaluation = self._bridge(self._evaluator(is_start=update == 0))
        self._trainer.accelerator.wait_for_everyone()
        return evaluation

    def _question(self, problem: Problem) -> list[int]:
        known = self._prompts.get(problem.prompt)
        if known is None:
            policy = self._job.policy
            known = self._prompts[problem.prompt] = list(
                question_tokens(
                    self._tokenizer,
                    problem.prompt,
                    system_prompt=policy.system_prompt,
                    prompt_template=policy.prompt_template,
                )
            )
        return known

    def _max_prompt_tokens(self) -> int:
        policy = self._job.policy
        config = AutoConfig.from_pretrained(policy.model).get_text_config()
        return (policy.max_model_len or int(config.max_position_embeddings)) - 1


def _gathered(value: str) -> list[str]:
    from accelerate.utils import gather_object

    return list(gather_object([value]))


def _logprobs(collected: Collected) -> list[list[float]]:
    """Of the engine, for TRL's own use; unknown ones are NaN."""
    return [
        [
            value
            for step in rollout.trajectory.steps
            for value in step.logprobs or [float("nan")] * len(step.token_ids)
        ]
        for rollout in collected.rollouts
    ]


def _dataset(prompts: Sequence[str]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict({"prompt": list(prompts)})


def _tokenizer(model: str) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"policy.model: cannot load the tokenizer of {model!r}: {error}"
        ) from error


def _engine_dtype(job: TrainRl) -> torch.dtype:
    if job.policy.dtype != "auto":
        return getattr(torch, job.policy.dtype)
    dtype: Any = AutoConfig.from_pretrained(job.policy.model).dtype or torch.float32
    return dtype
