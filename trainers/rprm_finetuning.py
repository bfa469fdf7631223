"""A training of an R-PRM by one of TRL's trainers: checkpoints, going on, and what comes out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedModel, Trainer
from transformers.tokenization_utils_base import PreTrainedTokenizerBase
from transformers.trainer_callback import PrinterCallback
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.sft_config import SFTConfig

from prm_search.bootstrapping.settings import Stage
from prm_search.errors import ConfigurationError, TrainingError
from prm_search.seeds import derive_seed
from trainers.interruption import interruptible
from trainers.metrics import MetricsLog, tracker_names
from trainers.packed_attention import NAME as PACKED
from trainers.packed_attention import use_packed_attention
from trainers.prm_settings import Lora, Precision
from trainers.process_state import process_state
from trainers.progress import TrainingProgress
from trainers.rprm_callbacks import Observer
from trainers.rprm_model import adapters, load_language_model
from trainers.rprm_rows import TokenRows, pack, training_order
from trainers.rprm_settings import (
    AnalysisTuning,
    Finetuning,
    PreferenceTuning,
)
from trainers.rprm_trainers import AnalysisTrainer, PairTrainer

_STATE = "trainer_state.json"
"""The file of a checkpoint that is written last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a training."""

    num_steps: int
    """Updates."""
    loss: float | None
    """Mean of this session's last updates; None if it had none."""
    validation: dict[str, float]
    """Measured on validation rows, by TRL's names without "eval_"; empty without rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A trained model; adapters have become part of its matrices."""

    model: PreTrainedModel
    """In evaluation mode."""
    weights: dict[str, Tensor]
    """All of them, gathered from all processes."""
    is_whole: bool
    """Whether the model itself has all weights, so that it can be run in this process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuning:
    """One of the two trainings of an R-PRM."""

    stage: Stage
    """sft or dpo."""
    model: str
    """What it starts from: a folder or a name."""
    tokenizer: PreTrainedTokenizerBase
    settings: Finetuning
    train: TokenRows
    validation: TokenRows
    directory: Path
    """Of the stage: checkpoints and metrics go there."""
    seed: int

    def run(
        self, *, say: Callable[[str], None], finish: Callable[[Finished, Outcome], None]
    ) -> bool:
        """Train, or go on after the last checkpoint.

        Args:
            say: shows a message.
            finish: is called with the model at the end, in the main process alone.

        Returns:
            Whether it came to its end.

        Raises:
            TrainingError: if it cannot go on.
            ConfigurationError: if the settings are impossible.
        """
        settings, state = self.settings, process_state()
        num_forwards = settings.num_forwards(state.num_processes)
        num_steps = settings.optimizer.num_steps or ceil(
            settings.optimizer.num_epochs * len(self.train.lengths) / settings.rows_per_step
        )
        trainer = self._trainer(num_steps, num_forwards)
        latest = self._latest()
        num_done = 0 if latest is None else int(latest.name.rpartition("-")[2])
        if num_done:
            say(f"{self.stage}: going on after update {num_done} of {num_steps}.")
        with (
            TrainingProgress(
                str(self.stage),
                num_steps=num_steps,
                num_done=num_done,
                is_shown=state.is_main_process,
            ) as progress,
            interruptible(is_alone=state.num_processes == 1) as interrupted,
        ):
            log = MetricsLog(self.directory, after=num_done, accelerator=trainer.accelerator)
            observer = Observer(progress, log, interrupted, evaluates=bool(self.validation.lengths))
            trainer.add_callback(observer)
            try:
                trainer.train(resume_from_checkpoint=None if latest is None else str(latest))
            except (OSError, SafetensorError, RuntimeError) as error:
                if isinstance(error, TrainingError):
                    raise
                last = self._latest()
                raise TrainingError(
                    f"{self.stage} ended with {type(error).__name__}: {error}; "
                    + (f"the last checkpoint is {last}" if last else "there is no checkpoint yet")
                    + ". Remove the cause and start the same run_dir again"
                ) from error
        if trainer.state.global_step < num_steps:
            return False
        validation = _validation(trainer) if self.validation.lengths else {}
        recent = observer.losses[-50:]
        outcome = Outcome(
            num_steps=num_steps,
            loss=sum(recent) / len(recent) if recent else None,
            validation=validation,
        )
        finished = _finished(trainer, settings.lora)
        if state.is_main_process:
            finish(finished, outcome)
        state.wait_for_everyone()
        trainer.accelerator.free_memory()
        return True

    def _trainer(self, num_steps: int, num_forwards: int) -> Trainer:
        settings = self.settings
        model = load_language_model(
            self.model,
            torch.bfloat16 if settings.lora.rank else torch.float32,
            settings.attention,
        )
        order = training_order(
            self.train.lengths,
            num_steps=num_steps,
            rows_per_step=settings.rows_per_step,
            seed=derive_seed(self.seed, str(self.stage)),
        )
        is_packed = isinstance(settings, AnalysisTuning) and settings.is_packed
        if is_packed:
            use_packed_attention(model)
        has_validation = bool(self.validation.lengths)
        arguments: dict[str, Any] = {
            "output_dir": str(self.directory / "checkpoints"),
            "max_steps": num_steps,
            "per_device_train_batch_size": settings.rows_per_forward,
            "per_device_eval_batch_size": settings.rows_per_forward,
            "gradient_accumulation_steps": num_forwards,
            "train_sampling_strategy": "sequential",
            "learning_rate": settings.optimizer.learning_rate,
            "max_grad_norm": settings.optimizer.max_gradient_norm,
            "bf16": settings.precision is Precision.bfloat16,
            "gradient_checkpointing": settings.gradient_checkpointing,
            "use_cpu": not torch.cuda.is_available(),
            "dataloader_pin_memory": torch.cuda.is_available(),
            "max_length": None,
            "seed": self.seed,
            "logging_steps": 1,
            "logging_nan_inf_filter": False,
            "eval_strategy": "steps" if has_validation else "no",
            "eval_steps": settings.checkpoint_every,
            "save_strategy": "steps",
            "save_steps": settings.checkpoint_every,
            "save_total_limit": settings.max_checkpoints,
            "load_best_model_at_end": settings.keeps_best and has_validation,
            "metric_for_best_model": "eval_loss",
            "greater_is_better": False,
            "ddp_find_unused_parameters": False,
            "disable_tqdm": True,
            "report_to": tracker_names(settings.report_to, f"{self.stage}.report_to"),
        }
        shared: dict[str, Any] = {
            "model": model,
            "train_dataset": self.train.dataset.select(order),
            "eval_dataset": self.validation.dataset if has_validation else None,
            "processing_class": self.tokenizer,
            "peft_config": adapters(settings.lora),
        }
        if isinstance(settings, PreferenceTuning):
            trainer = PairTrainer(
                settings.optimizer,
                args=DPOConfig(**arguments, beta=settings.beta),
                **shared,
            )
        else:
            trainer = AnalysisTrainer(
                settings.optimizer,
                args=SFTConfig(**arguments, shuffle_dataset=False),
                data_collator=pack if is_packed else None,
                **shared,
            )
        trainer.remove_callback(PrinterCallback)
        return trainer

    def _latest(self) -> Path | None:
        """The newest checkpoint that is complete; others are removed."""
        complete: list[tuple[int, Path]] = []
        for path in (self.directory / "checkpoints").glob("checkpoint-*"):
            if (path / _STATE).is_file():
                complete.append((int(path.name.rpartition("-")[2]), path))
            elif process_state().is_main_process:
                shutil.rmtree(path, ignore_errors=True)
        return max(complete)[1] if complete else None


def _validation(trainer: Trainer) -> dict[str, float]:
    """The last evaluation, or the best if that model is kept."""
    evaluations = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    if trainer.args.load_best_model_at_end:
        chosen = min(evaluations, key=lambda entry: entry["eval_loss"])
    else:
        chosen = evaluations[-1]
    return {
        name.removeprefix("eval_"): value
        for name, value in chosen.items()
        if name.startswith("eval_")
    }


def _finished(trainer: Trainer, lora: Lora) -> Finished:
    """The model and its weights. Every process has to call this."""
    accelerator = trainer.accelerator
    plugin = accelerator.deepspeed_plugin if trainer.is_deepspeed_enabled else None
    is_sharded = trainer.is_fsdp_enabled or (plugin is not None and plugin.zero_stage == 3)
    model: Any = accelerator.unwrap_model(trainer.model)
    if lora.rank:
        if is_sharded:
            raise ConfigurationError(
                "lora beside weights that are divided between processes cannot be merged; take "
                "ZeRO-2 or plain data parallelism"
            )
        model = model.merge_and_unload()
    if model.config._attn_implementation == PACKED:
        model.set_attn_implementation("eager")  # from now on it sees no packs
    state: Any = (
        accelerator.get_state_dict(trainer.model_wrapped) if is_sharded else model.state_dict()
    )
    return Finished(
        model=model.eval(),
        weights={name: weight.detach().cpu() for name, weight in (state or {}).items()},
        is_whole=not is_sharded,
    )
