"""Trains a PRM: data, model, processes, loop, checkpoints, card.

labeled solutions -> examples -> loop (packs, bf16, ZeRO, LoRA) -> checkpoints, metrics
                              -> evaluation on held-out solutions -> model and card
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
import transformers
from accelerate.utils import gather_object
from transformers import AutoTokenizer, PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from prm_search.errors import ConfigurationError, DataError, EngineError, StoreError
from prm_search.evaluation.first_error import FirstErrorScore
from prm_search.manifest import differences, load_config, write_config, write_manifest
from prm_search.model_folder import check_folder
from prm_search.seeds import derive_seed
from trainers.checkpoints import Checkpoints
from trainers.interruption import interruptible
from trainers.metrics import MetricsLog
from trainers.model_card import Outcome, model_card
from trainers.optimizers import make_optimizers
from trainers.packing import Example
from trainers.prm_checkpoint import full_weights, write_model
from trainers.prm_examples import Facts, held_out_examples, training_examples
from trainers.prm_job import MAY_DIFFER, TrainPrm
from trainers.prm_loop import Batches, Loop, Update
from trainers.processes import make_accelerator
from trainers.progress import TrainingProgress
from trainers.step_model import add_lora, load_step_model
from trainers.step_scores import first_error_metrics, score_examples
from trainers.training_state import TrainingState

_LAST_LOSSES = 50
"""Updates whose mean loss stands in the card."""
DONE, INTERRUPTED = 0, 130
"""Exit codes."""


def run_here(job: TrainPrm, *, config: Mapping[str, object], command: str) -> int:
    """Train in this process, together with those that torchrun or Ray has started beside it.

    Raises:
        PrmSearchError: if it cannot be done.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    run_dir = Path(job.run_dir)
    accelerator = make_accelerator(job.trainer, job.run_dir)
    if accelerator.is_main_process:
        _open_run(run_dir, job, config, command)
    tokenizer = _tokenizer(job.model)
    torch.manual_seed(derive_seed(job.seed, "weights"))
    step_model = load_step_model(job.model, job.family, tokenizer)
    model = step_model.model
    examples, facts, held_out, truths = _read(job, tokenizer, model)
    if job.trainer.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if job.trainer.lora.rank:
        add_lora(model, job.trainer.lora)
    optimizers = make_optimizers(step_model, job.trainer.optimizer)
    if job.trainer.zero_stage:
        prepared, optimizers[0] = accelerator.prepare(step_model, optimizers[0])
    else:
        prepared = accelerator.prepare(step_model)
    batches = Batches(examples, tokens_per_step=job.trainer.tokens_per_step, seed=job.seed)
    num_steps = job.trainer.optimizer.num_steps or batches.num_steps(
        job.trainer.optimizer.num_epochs
    )
    loop = Loop(
        model=prepared,
        optimizers=optimizers,
        accelerator=accelerator,
        examples=examples,
        batches=batches,
        objective=job.objective,
        trainer=job.trainer,
        num_steps=num_steps,
        seed=job.seed,
    )

    def evaluate() -> FirstErrorScore:
        scores = score_examples(
            prepared,
            held_out,
            accelerator=accelerator,
            tokens_per_pack=job.trainer.tokens_per_pack,
        )
        return first_error_metrics(scores, truths, job.threshold)

    say = print if accelerator.is_main_process else _silent
    say(
        f"{facts.num_solutions:,} solutions with {facts.num_steps:,} labeled steps "
        f"({facts.num_wrong:,} wrong), {facts.num_set_aside:,} left out; {num_steps:,} updates"
    )
    session = _Session(job, loop, run_dir, evaluate if held_out else None)
    loss = session.run(say)
    if loss is None:
        say(f"Stopped; what is done is kept. To go on:\n  {command}")
        return INTERRUPTED
    score = evaluate() if held_out else None
    if score is not None:
        session.log.write(num_steps, {"final": True, **_score_values(score)})
        say(f"held-out: {_describe(score)}, at threshold {job.threshold:g}")
    weights = full_weights(prepared, accelerator, job.trainer.lora)
    if accelerator.is_main_process:
        outcome = Outcome(num_steps=num_steps, loss=loss, score=score)
        write_model(
            Path(job.model_dir),
            model,
            weights,
            tokenizer,
            dtype=getattr(torch, job.weights_dtype),
            card=model_card(job, facts, outcome),
        )
    say(f"Model: {job.model_dir}")
    accelerator.wait_for_everyone()  # gloo aborts a process that leaves before the others
    accelerator.end_training()
    return DONE


class _Session:
    """The part of a training that is done by this start of the program."""

    def __init__(
        self,
        job: TrainPrm,
        loop: Loop,
        run_dir: Path,
        evaluate: Callable[[], FirstErrorScore] | None,
    ) -> None:
        self._job = job
        self._loop = loop
        self._evaluate = evaluate
        self._checkpoints = Checkpoints(
            run_dir / "checkpoints", max_checkpoints=job.trainer.max_checkpoints
        )
        self._state = TrainingState(loop.model, loop.optimizers, loop.accelerator)
        self._losses: deque[float] = deque(maxlen=_LAST_LOSSES)
        self._num_done = 0
        # Each process may have named the run directory after its own clock.
        [latest, *_] = gather_object([self._checkpoints.latest()])
        if latest is not None:
            kept = self._state.load(latest)
            self._num_done = kept["step"]
            self._losses.extend(kept["losses"])
        self.log = MetricsLog(run_dir, after=self._num_done, accelerator=loop.accelerator)
        loop.accelerator.init_trackers("prm-search")

    def run(self, say: Callable[[str], None]) -> float | None:
        """Train to the end.

        Returns:
            The mean loss of the last updates; None if the training was interrupted.
        """
        loop, trainer = self._loop, self._job.trainer
        if self._num_done:
            say(f"Going on after update {self._num_done} of {loop.num_steps}.")
        step = self._num_done
        started = time.monotonic()
        with (
            TrainingProgress(
                "prm",
                num_steps=loop.num_steps,
                num_done=self._num_done,
                is_shown=loop.accelerator.is_main_process,
            ) as progress,
            interruptible(is_alone=loop.accelerator.num_processes == 1) as interrupted,
        ):

            def after(update: Update) -> bool:
                nonlocal step, started
                step = update.step
                self._losses.append(update.loss)
                progress.advance(step, update.loss)
                seconds = time.monotonic() - started
                started = time.monotonic()
                values = {name: value for name, value in asdict(update).items() if name != "step"}
                self.log.write(step, {**values, "tokens_per_second": update.num_tokens / seconds})
                is_end = step == loop.num_steps or bool(interrupted)
                every = trainer.evaluate_every
                if self._evaluate and every and step % every == 0 and step < loop.num_steps:
                    score = self._evaluate()
                    self.log.write(step, _score_values(score))
                    say(f"update {step}: {_describe(score)}")
                    started = time.monotonic()
                if is_end or step % trainer.checkpoint_every == 0:
                    self._state.save(self._checkpoints, step, {"losses": list(self._losses)})
                return not interrupted

            loop.run(first=self._num_done + 1, after=after)
        if step < loop.num_steps:
            return None
        return sum(self._losses) / len(self._losses)


def _open_run(run_dir: Path, job: TrainPrm, config: Mapping[str, object], command: str) -> None:
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        recorded = load_config(run_dir)
        if recorded is None:
            write_config(run_dir, config)
        elif found := differences(recorded, config, MAY_DIFFER):
            raise StoreError(
                f"{run_dir} holds a training with another configuration: {'; '.join(found)}. Go "
                "on with its own settings, or choose another run_dir"
            )
        write_manifest(run_dir, config, seed=job.seed, command=command)
    except OSError as error:
        raise StoreError(f"run_dir: cannot write to {run_dir}: {error}") from error


def _tokenizer(model: str) -> PreTrainedTokenizerBase:
    try:
        check_folder(model)
        return AutoTokenizer.from_pretrained(model)
    except EngineError as error:
        raise ConfigurationError(f"model: {error}") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"model: cannot load the tokenizer of {model!r}: {error}"
        ) from error


def _read(
    job: TrainPrm, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
) -> tuple[list[Example], Facts, list[Example], list[int | None]]:
    context = int(model.config.get_text_config().max_position_embeddings)
    examples, facts = training_examples(
        job.data,
        loss=job.objective.loss,
        tokenizer=tokenizer,
        family=job.family,
        system_prompt=job.system_prompt,
        max_tokens=min(context, job.trainer.tokens_per_pack),
    )
    if job.held_out.path is None:
        return examples, facts, [], []
    try:
        held_out, truths = held_out_examples(
            job.held_out,
            tokenizer=tokenizer,
            family=job.family,
            system_prompt=job.system_prompt,
            max_tokens=context,
        )
    except DataError as error:
        raise DataError(f"held_out: {error}") from error
    return examples, facts, held_out, truths


def _score_values(score: FirstErrorScore) -> dict[str, float]:
    return {**asdict(score), "f1": score.f1}


def _describe(score: FirstErrorScore) -> str:
    return (
        f"F1 {score.f1:.3f}, error accuracy {score.error_accuracy:.3f} (n={score.num_errors}), "
        f"correct accuracy {score.correct_accuracy:.3f} (n={score.num_correct})"
    )


def _silent(_: str) -> None:
    """What the other processes say."""
