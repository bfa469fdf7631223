"""A sandbox tokenizer, labeled solutions, and jobs that train a tiny PRM on them in seconds."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from prm_search.data.stepwise import StepwiseRow, write_stepwise
from prm_search.prms.tagged_head import TaggedHead
from trainers.pretrain import new_tokenizer
from trainers.prm_job import TrainPrm, WeightsDtype
from trainers.prm_settings import LabelFiles, Optimizer, Precision, Trainer

NAMES = ("Ann", "Ben", "Cara", "Dan")


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    """The tokenizer of the sandbox."""
    return new_tokenizer(0)


def write_rows(num_rows: int, seed: int = 0) -> list[StepwiseRow]:
    """Solutions whose wrong steps are easy to tell; each with soft labels and sources too."""
    rng = random.Random(seed)
    rows: list[StepwiseRow] = []
    for number in range(num_rows):
        num_steps = rng.randint(1, 5)
        error = rng.choice([None, rng.randrange(num_steps)])
        steps = tuple(
            f"{rng.choice(NAMES)} has {18 if index == error else 19} because {number}."
            for index in range(num_steps)
        )
        labels = tuple(error is None or index < error for index in range(num_steps))
        rows.append(
            StepwiseRow(
                prompt=f"Some friends count shells. How many has {rng.choice(NAMES)}?",
                completions=steps,
                labels=labels,
                soft_labels=tuple(rng.choice([0.5, 1.0]) if label else 0.0 for label in labels),
                label_sources=("monte_carlo",) * num_steps,
            )
        )
    return rows


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of labeled solutions."""
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    write_stepwise(path, write_rows(40))
    return path


@pytest.fixture
def make_job(tiny_model: Path, labels: Path, tmp_path: Path) -> Callable[..., TrainPrm]:
    """Makes a job of a few updates in float32; what is given replaces the defaults."""

    def make(
        trainer: dict[str, Any] | None = None, optimizer: dict[str, Any] | None = None, **given: Any
    ) -> TrainPrm:
        fields: dict[str, Any] = {
            "model": str(tiny_model),
            "family": TaggedHead(),
            "data": LabelFiles(path=str(labels)),
            "run_dir": str(tmp_path / "run"),
            "model_dir": str(tmp_path / "run" / "model"),
            "weights_dtype": WeightsDtype.float32,
            "trainer": Trainer(
                **{
                    "optimizer": Optimizer(
                        **{"learning_rate": 1e-3, "num_steps": 6} | (optimizer or {})
                    ),
                    "tokens_per_step": 800,
                    "tokens_per_pack": 400,
                    "precision": Precision.float32,
                    "checkpoint_every": 3,
                }
                | (trainer or {})
            ),
        }
        return TrainPrm(**fields | given)

    return make


def losses(run_dir: str) -> list[float]:
    """The loss of each update of a run."""
    lines = (Path(run_dir) / "metrics.jsonl").read_text().splitlines()
    return [line["loss"] for line in map(json.loads, lines) if "loss" in line]
