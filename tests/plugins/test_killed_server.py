"""`kill -9` of a reward server that clients are asking, and what becomes of them."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from prm_search.concurrency import gather_all
from prm_search.errors import EngineError
from prm_search.fakes import FakeScorer
from prm_search.plugins.reading import Reading
from prm_search.plugins.remote import RemoteRewarder
from prm_search.plugins.trl import TrlReward
from prm_search.rewards.rewarder import LocalRewarder, Scored
from prm_search.types import Trajectory
from tests.serving.clients import KEY, PROBLEM, fake_source
from tests.serving.processes import Server, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

NUM_CLIENTS = 30
NUM_UPDATES = 5
GROUP = 4


class Supervisor:
    """Starts a server at one address again and again, as systemd or Kubernetes would."""

    def __init__(self, stack: ExitStack) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = listener.getsockname()[1]
        self._stack = stack
        self._server: Server | None = None
        self.num_killed = 0
        self.url = f"http://127.0.0.1:{self._port}"
        self.rewarder = RemoteRewarder(self.url, key=KEY)

    def start(self) -> None:
        """Start a server, and wait until it answers."""
        settings = (f"server.port={self._port}", "+engine.scorer.latency=0.5")
        self._server = self._stack.enter_context(started(*settings, "batching.max_batch=4"))
        self._server.wait_for(r"(http://\S+)")

    def kill(self) -> None:
        """End it as the kernel does when memory runs out; nothing is said to anybody."""
        assert self._server is not None
        self._server.kill()
        self.num_killed += 1

    def kill_when_busy(self) -> None:
        """Kill it as soon as rollouts are being rewarded."""
        while self._number("queue") == 0:
            time.sleep(0.005)
        self.kill()

    def _number(self, name: str) -> float:
        headers = {"Authorization": f"Bearer {KEY}"}
        text = httpx.get(f"{self.url}/metrics", headers=headers, timeout=60).text
        found = re.search(rf"^prm_search_{name} (\S+)$", text, re.MULTILINE)
        assert found is not None, text
        return float(found[1])


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with ExitStack() as stack:
        supervisor = Supervisor(stack)
        supervisor.start()
        yield supervisor


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """While something goes on in a thread; its error is raised here."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # for the test to raise
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join()
    if errors:
        raise errors[0]


async def test_every_client_has_the_rewards_that_it_would_have_had(supervisor: Supervisor) -> None:
    def asked(client: int) -> list[Trajectory]:
        texts = [f"Take {client}.\n\nThe answer is \\boxed{{{end}}}." for end in range(3)]
        return [Reading().rollout(PROBLEM, text, "1") for text in texts]

    def kill_twice() -> None:
        for _ in range(2):
            supervisor.kill_when_busy()
            time.sleep(0.5)  # meanwhile they are refused
            supervisor.start()

    async def ask(client: int) -> list[Scored]:
        return await supervisor.rewarder(asked(client))

    here = LocalRewarder(fake_source(FakeScorer()))
    expected = [await here(asked(client)) for client in range(NUM_CLIENTS)]
    with beside(kill_twice):
        found = await asyncio.wait_for(gather_all(map(ask, range(NUM_CLIENTS))), timeout=600)
        assert list(found) == expected
        # Those that were answered before the second kill need not have noticed it.
        while supervisor.num_killed < 2:
            await ask(0)
    assert await ask(0) == expected[0]


class CountedReward(TrlReward):
    """Notes what TRL is given."""

    def __init__(self, rewarder: RemoteRewarder) -> None:
        super().__init__(rewarder)
        self.given: list[float | None] = []

    async def __call__(self, *arguments: Any, **columns: Any) -> list[float | None]:
        numbers = await super().__call__(*arguments, **columns)
        self.given += numbers
        return numbers


def trainer(model: Path, folder: Path, reward: TrlReward) -> Any:
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    transformers = pytest.importorskip("transformers")

    rows = [{"prompt": f"How much is {one} + 1?", "answer": str(one + 1)} for one in range(10)]
    return trl.GRPOTrainer(
        model=str(model),
        reward_funcs=[reward],
        args=trl.GRPOConfig(
            output_dir=str(folder),
            max_steps=NUM_UPDATES,
            per_device_train_batch_size=2 * GROUP,
            num_generations=GROUP,
            max_completion_length=8,
            learning_rate=1e-3,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to=[],
            logging_steps=1,
            save_strategy="no",
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=transformers.AutoTokenizer.from_pretrained(model),
    )


def curve(trainer: Any) -> list[float]:
    trainer.train()
    names = ("reward", "reward_std", "grad_norm", "prm_search/prm_mean", "prm_search/num_rollouts")
    return [line[name] for line in trainer.state.log_history if "loss" in line for name in names]


def test_a_training_goes_on_as_if_the_server_had_never_been_killed(
    supervisor: Supervisor, tiny_model: Path, tmp_path: Path
) -> None:
    undisturbed = CountedReward(supervisor.rewarder)
    expected = curve(trainer(tiny_model, tmp_path, undisturbed))
    # Another server: the one that rewarded this training remembers it.
    supervisor.kill()
    supervisor.start()
    reward = CountedReward(supervisor.rewarder)

    def kill_in_the_second_update() -> None:
        while len(reward.given) < 2 * GROUP:
            time.sleep(0.005)
        supervisor.kill_when_busy()
        time.sleep(1.0)
        supervisor.start()

    with beside(kill_in_the_second_update):
        found = curve(trainer(tiny_model, tmp_path, reward))
    assert supervisor.num_killed == 2
    assert len(expected) == NUM_UPDATES * 5
    assert found == pytest.approx(expected, rel=1e-5)
    # Each rollout was rewarded once, by its own score and by no substitute for one.
    assert len(reward.given) == NUM_UPDATES * 2 * GROUP
    assert reward.given == undisturbed.given
    assert None not in reward.given


def test_a_training_ends_with_the_reason_if_the_server_stays_away(
    supervisor: Supervisor, tiny_model: Path, tmp_path: Path
) -> None:
    reward = CountedReward(RemoteRewarder(supervisor.url, key=KEY, max_seconds=3))
    training = trainer(tiny_model, tmp_path, reward)

    def kill_in_the_second_update() -> None:
        while len(reward.given) < 2 * GROUP:
            time.sleep(0.005)
        supervisor.kill_when_busy()

    with (
        beside(kill_in_the_second_update),
        pytest.raises(EngineError, match=r"gave no rewards within 3 s.*refused"),
    ):
        training.train()
    assert len(reward.given) == 2 * GROUP
    assert None not in reward.given
