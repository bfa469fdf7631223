"""Where a model is, when it is named by a path."""

from __future__ import annotations

from pathlib import Path

from prm_search.errors import EngineError


def check_folder(model: str) -> None:
    """Refuse what is meant to be a folder with a model and is none.

    Raises:
        EngineError: naming the folder.
    """
    path = Path(model).expanduser()
    looks_like_a_path = path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1
    if looks_like_a_path and not (path / "config.json").is_file():
        missing = "has no config.json" if path.is_dir() else "does not exist"
        raise EngineError(f"the model folder {model!r} {missing}")
