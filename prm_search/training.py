"""Trainings, as the command line sees them: the classes themselves are named in configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

from hydra.utils import get_class
from omegaconf import DictConfig

from prm_search.building import build_part, refuse_unknown, require_complete
from prm_search.command_help import Description
from prm_search.config import TARGET

TRAIN_PRM = Description(
    command="train-prm",
    summary="train a PRM on labeled steps",
    text=(
        "Trains a PRM with a two-class head at a step tag (family=tagged_head, which stock vLLM "
        "serves for Qwen2 models) or one that says + or - after each step "
        "(family=verdict_tokens, any causal language model). Writes checkpoints, metrics.jsonl, "
        "and a model with its card. Starting the same run_dir again goes on after the last "
        "checkpoint."
    ),
    examples=(
        ("the PRM of the built-in sandbox", "prm-search train-prm experiment=sandbox_prm"),
        (
            "a head on Qwen2.5-Math, with F1 on held-out solutions",
            "prm-search train-prm model=Qwen/Qwen2.5-Math-1.5B-Instruct data.path=labels.jsonl "
            "held_out.path=dev.jsonl",
        ),
        ("soft labels", "prm-search train-prm … objective.loss=mse"),
        (
            "verdict tokens of another model, with LoRA",
            "prm-search train-prm model=meta-llama/Llama-3.2-1B-Instruct family=verdict_tokens "
            "trainer=lora data.path=labels.jsonl",
        ),
        (
            "eight GPUs with ZeRO-3",
            "torchrun --nproc-per-node 8 -m prm_search train-prm … trainer.zero_stage=3",
        ),
        (
            "eight workers of a Ray cluster",
            "prm-search train-prm … trainer.ray.num_workers=8 trainer.ray.num_gpus=1",
        ),
    ),
)


class TrainingJob(Protocol):
    """A training that is ready to run."""

    def run(self, *, config: Mapping[str, object], command: str) -> int:
        """Train, or go on where the run directory exists.

        Args:
            config: what the job was built from, as plain values; recorded in the run directory.
            command: what starts the same training in the same run directory.

        Returns:
            The exit code.
        """
        ...


def training_job(config: DictConfig) -> TrainingJob:
    """The training that a composed configuration describes.

    Raises:
        ConfigurationError: if the configuration is incomplete or impossible.
    """
    job = cast("type[Any]", get_class(str(config[TARGET])))
    refuse_unknown(config, job)
    names = [str(name) for name in config if name != TARGET]
    require_complete(config, *names)
    return job(**{name: build_part(config, name) for name in names})
