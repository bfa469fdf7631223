"""Checkpoints that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from prm_search.prms.prm import Prm


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Prm]:
    """Gives the PRM of a name, made when it is first asked for."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tests.prms.families.checkpoints import make_checkpoint

    @cache
    def make(name: str) -> Prm:
        return make_checkpoint(tmp_path_factory.mktemp(name), name)

    return make
