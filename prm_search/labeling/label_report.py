"""The data set of a labeling run, finished or not, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from prm_search.config import TARGET
from prm_search.labeling.dataset import CARD, DATASET, write_dataset
from prm_search.labeling.decontamination import Decontamination
from prm_search.labeling.label_job import LabelJob
from prm_search.manifest import load_config


def is_label_run(run_dir: Path) -> bool:
    """Whether a run directory is that of a labeling job."""
    name = f"{LabelJob.__module__}.{LabelJob.__qualname__}"
    return (load_config(run_dir) or {}).get(TARGET) == name


def report_labels(run_dir: Path) -> str:
    """Write the data set of the records that a run has so far, and say what is in it.

    Raises:
        DataError: if the run has no records, or an evaluation set cannot be read.
    """
    config = load_config(run_dir) or {}
    settings = dict(cast("Mapping[str, Any]", config.get("decontamination", {})))
    settings.pop(TARGET, None)
    counts = write_dataset(run_dir, decontamination=Decontamination(**settings))
    num_labels = counts.num_right_steps + counts.num_wrong_steps
    share = f" ({counts.num_right_steps / num_labels:.1%} right)" if num_labels else ""
    return (
        f"Dataset: {run_dir / DATASET}, {counts.num_rows:,} rows of {counts.num_samples:,} "
        f"responses to {counts.num_problems:,} problems, {num_labels:,} labels{share}\n"
        f"Card: {run_dir / DATASET / CARD}"
    )
