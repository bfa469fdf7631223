"""The run directory of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from prm_search.errors import StoreError
from prm_search.manifest import differences, load_config, write_config, write_manifest


def open_run(
    run_dir: Path,
    config: Mapping[str, object],
    *,
    seed: int,
    command: str,
    may_differ: Sequence[str],
) -> None:
    """Make a run directory, or go on with one of the same configuration.

    Args:
        run_dir: where it is.
        config: what the training was built from, as plain values.
        seed: of the training.
        command: what starts it again.
        may_differ: settings that a resumed training may change.

    Raises:
        StoreError: if it cannot be written, or holds another training.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        if not require_same(run_dir, config, may_differ=may_differ):
            write_config(run_dir, config)
        write_manifest(run_dir, config, seed=seed, command=command)
    except OSError as error:
        raise StoreError(f"run_dir: cannot write to {run_dir}: {error}") from error


def require_same(run_dir: Path, config: Mapping[str, object], *, may_differ: Sequence[str]) -> bool:
    """Whether a run directory has a configuration; it has to be the same.

    Raises:
        StoreError: if it holds another training.
    """
    recorded = load_config(run_dir)
    if recorded is None:
        return False
    if found := differences(recorded, config, tuple(may_differ)):
        raise StoreError(
            f"{run_dir} holds a training with another configuration: {'; '.join(found)}. Go "
            "on with its own settings, or choose another run_dir"
        )
    return True
