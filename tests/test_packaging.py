"""What is shipped, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

_IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
import prm_search
for module in pkgutil.walk_packages(prm_search.__path__, "prm_search."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
forbidden = {
    "accelerate", "actors", "conf", "datasets", "deepspeed", "peft", "pyarrow", "ray", "torch",
    "trainers", "transformers", "trl", "vllm",
}
print(*sorted(forbidden & sys.modules.keys()))
"""


@pytest.mark.parametrize("package", ["prm_search", "actors", "trainers"])
def test_every_folder_of_modules_is_a_package(package: str) -> None:
    folders = {path.parent for path in (ROOT / package).rglob("*.py")}
    assert {folder for folder in folders if not (folder / "__init__.py").exists()} == set()


def test_the_pure_library_imports_no_engine_not_even_through_others(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", _IMPORT_EVERYTHING],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in a wheel built from this repository."""
    pytest.importorskip("hatchling", reason="make install installs it")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    (path,) = folder.glob("prm_search-*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


@pytest.mark.slow
def test_the_wheel_holds_the_four_packages_and_nothing_else(wheel: list[str]) -> None:
    top = {name.split("/")[0] for name in wheel if ".dist-info/" not in name}
    assert top == {"prm_search", "actors", "trainers", "conf"}


@pytest.mark.slow
def test_the_wheel_holds_every_tracked_file_of_its_packages(wheel: list[str]) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "prm_search", "actors", "trainers", "conf"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    tracked = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    assert "prm_search/py.typed" in tracked
    assert tracked - set(wheel) == set()


@pytest.mark.slow
def test_the_wheel_names_its_console_script_and_licence(wheel: list[str]) -> None:
    names = {name.split(".dist-info/")[1] for name in wheel if ".dist-info/" in name}
    assert {"entry_points.txt", "licenses/LICENSE", "METADATA"} <= names


def test_the_commands_can_be_asked_for_help_without_any_extra(tmp_path: Path) -> None:
    script = (
        "import sys, prm_search.cli\n"
        "print(*sorted({'fastapi', 'pydantic', 'uvicorn', 'openai'} & sys.modules.keys()))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert finished.stdout.split() == []
