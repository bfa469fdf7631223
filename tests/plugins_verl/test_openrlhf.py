"""OpenRLHF 0.11's own client, loaded by its path: it asks by HTTP and by a function in a file."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from prm_search.serving.service import RewardService
from tests.plugins.server import serving
from tests.serving.clients import KEY, PROBLEM, SOLUTION, WRONG, fake_source

FILE = Path(sys.prefix) / "openrlhf" / "openrlhf" / "utils" / "agent.py"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(RewardService(fake_source()), key=KEY) as url:
        yield url


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module `openrlhf.utils.agent`, with a stub in the place of its logger."""
    package = ModuleType("openrlhf.utils.logging_utils")
    package.__dict__["init_logger"] = logging.getLogger
    for name in ("openrlhf", "openrlhf.utils"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, package.__name__, package)
    spec = importlib.util.spec_from_file_location("openrlhf_agent", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Characters:
    """A tokenizer of which each character is a token."""

    def __call__(self, *, text: str, **options: Any) -> dict[str, torch.Tensor]:
        return {"input_ids": torch.tensor([[ord(character) for character in text]])}

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool) -> str:
        assert not skip_special_tokens
        return "".join(map(chr, token_ids))


class Engine:
    """An engine that writes one text."""

    def __init__(self, text: str) -> None:
        self.text = text

    async def generate(self, *args: Any, **options: Any) -> Any:
        ids = [ord(character) for character in self.text]
        output = SimpleNamespace(token_ids=ids, finish_reason="stop", logprobs=None)
        return SimpleNamespace(outputs=[output])


async def rewarded(client: Any, address: str, text: str, label: Any = "12") -> dict[str, Any]:
    executor = client.SingleTurnAgentExecutor([address])
    params = SimpleNamespace(max_tokens=64, logprobs=None)
    return await executor.execute(PROBLEM, label, params, 4096, Characters(), Engine(text))


@pytest.mark.parametrize(("text", "reward", "score"), [(SOLUTION, 1.9, 1.0), (WRONG, 0.1, 0.0)])
@pytest.mark.parametrize("way", ["http", "file"])
async def test_it_gets_rewards(
    client: Any, server: str, tmp_path: Path, way: str, text: str, reward: float, score: float
) -> None:
    address = server.replace("http://", f"http://:{KEY}@") + "/get_reward"
    if way == "file":
        file = tmp_path / "my_reward.py"
        file.write_text(
            "from prm_search.plugins.openrlhf import OpenRlhfReward\n"
            "from prm_search.plugins.remote import RemoteRewarder\n"
            f"reward_func = OpenRlhfReward(RemoteRewarder({server!r}, key={KEY!r}))\n"
        )
        address = str(file)
    output = await rewarded(client, address, text + "</s>")
    assert output["reward"] == [pytest.approx(reward)]
    assert output["scores"] == [score]
    assert output["extra_logs"]["num_steps"] == [2.0]
    assert all(len(values) == 1 for values in output["extra_logs"].values())


async def test_what_failed_has_no_reward(client: Any, server: str, tmp_path: Path) -> None:
    file = tmp_path / "my_reward.py"
    file.write_text(
        "from prm_search.plugins.openrlhf import OpenRlhfReward\n"
        "from prm_search.plugins.remote import RemoteRewarder\n"
        f"reward_func = OpenRlhfReward(RemoteRewarder({server!r}, key={KEY!r}))\n"
    )
    output = await rewarded(client, str(file), SOLUTION, label=None)
    assert output["reward"] is None
    assert output["scores"] is None
