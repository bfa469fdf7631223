from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the public data sets; tests that need it are skipped without."""
    default = Path(__file__).parents[3] / "shared/data"
    folder = Path(os.environ.get("PRM_SEARCH_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist; set PRM_SEARCH_DATA")
    return folder
