"""What needs verl itself: `make test-verl` runs it in an environment of its own."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from prm_search.fakes import FakeScorer
from prm_search.plugins.default import default_reading, default_rewarder
from prm_search.serving.service import RewardService
from tests.plugins.server import serving
from tests.serving.clients import KEY, fake_source

collect_ignore_glob = [] if find_spec("verl") else ["test_*.py"]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(RewardService(fake_source(FakeScorer(noise=0.3))), key=KEY) as url:
        yield url


@pytest.fixture
def environment(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PRM_SEARCH_REWARD_URL", server)
    monkeypatch.setenv("PRM_SEARCH_API_KEY", KEY)
    default_rewarder.cache_clear()
    default_reading.cache_clear()
    yield
    default_rewarder.cache_clear()


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tests.plugins_verl.rollouts import ANSWERS, PROBLEMS
    from trainers.tokenizer import train_tokenizer

    texts = [*PROBLEMS, *(answer for group in ANSWERS.values() for answer in group)]
    return train_tokenizer(texts * 20, vocab_size=300)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """verl's own configuration with the overrides that the documentation says."""
    from tests.plugins_verl.rollouts import composed, documented_loops

    path = tmp_path_factory.mktemp("verl") / "agent_loops.yaml"
    path.write_text(documented_loops())
    return composed(0, **{"actor_rollout_ref.rollout.agent.agent_loop_config_path": str(path)})
