"""The command `prm-search train-rprm`, beside what all commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from hydra.utils import get_class
from omegaconf import DictConfig

from prm_search.bootstrapping.settings import Stage
from prm_search.building import build_part, engine_factory, refuse_unknown, require_complete
from prm_search.command_help import Description
from prm_search.config import TARGET
from prm_search.engines import Engines
from prm_search.training import TrainingJob

TRAIN_RPRM = Description(
    command="train-rprm",
    summary="train a PRM that analyses a step before it judges it",
    text=(
        "Trains a generative PRM as R-PRM (arXiv 2503.21295) does, in four stages: a stronger "
        "model, the teacher, analyses labeled steps; a model learns the analyses whose verdict is "
        "that of the label (SFT); it then writes analyses itself; and it learns to prefer those "
        "that agree with the label to those that do not (DPO). Each stage has a folder of its "
        "own in run_dir. Starting the same run_dir again goes on where it stopped; stages=[…] "
        "does some of them."
    ),
    examples=(
        ("the R-PRM of the built-in sandbox", "prm-search train-rprm experiment=sandbox_rprm"),
        (
            "from PRM800K-like labels",
            "prm-search train-rprm model=Qwen/Qwen2.5-Math-7B-Instruct data.path=labels.jsonl "
            "teacher.model=meta-llama/Llama-3.3-70B-Instruct "
            "cluster.teacher.tensor_parallel_size=4",
        ),
        (
            "a teacher behind an OpenAI-compatible server",
            "prm-search train-rprm … engine=openai stages=[analyses] run_dir=runs/rprm",
        ),
        (
            "then SFT on eight GPUs, with LoRA",
            "torchrun --nproc-per-node 8 -m prm_search train-rprm … stages=[sft] sft.lora.rank=16 "
            "run_dir=runs/rprm",
        ),
    ),
)

_ENGINES = {Stage.analyses: "teacher", Stage.pairs: "generator"}
"""What runs a model in a stage; the other stages train."""


def rprm_job(config: DictConfig) -> TrainingJob:
    """The training that a composed configuration describes.

    Engines that no chosen stage needs are left out and may be incomplete.

    Raises:
        ConfigurationError: if the configuration is incomplete or impossible.
    """
    job = cast("type[Any]", get_class(str(config[TARGET])))
    refuse_unknown(config, job)
    config = config.copy()
    config.run_dir = str(Path(config.run_dir).expanduser().absolute())  # engines may run elsewhere
    engines = [name for stage, name in _ENGINES.items() if stage in config.stages]
    left_out = ("engine", "teacher", "policy")
    parts = [str(name) for name in config if name != TARGET and name not in left_out]
    require_complete(config, *parts, *(f"engine.{name}" for name in engines))
    built = cast("dict[str, Any]", {part: build_part(config, part) for part in parts})
    built["stages"] = tuple(Stage(stage) for stage in built["stages"])
    factories = {name: engine_factory(config.engine[name], name) for name in engines}
    return job(**built, engine=Engines(**{"generator": _missing, **factories}))


def _missing() -> Any:
    raise AssertionError("no stage that was chosen needs this engine")
