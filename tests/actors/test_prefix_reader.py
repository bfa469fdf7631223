"""Reading with a prefix that was read before gives what reading from the beginning gives."""

from __future__ import annotations

import random
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from torch import Tensor  # noqa: E402

from actors.prefix_reader import PrefixReader, Reading  # noqa: E402
from actors.prefix_store import PrefixStore  # noqa: E402
from actors.reward_model import RewardModel  # noqa: E402
from prm_search.prms.rendering import RenderedSolution, render  # noqa: E402

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
CONFIGS = {
    "qwen2": transformers.Qwen2Config(**SIZES),
    "llama": transformers.LlamaConfig(**SIZES),
    "mistral": transformers.MistralConfig(**SIZES, sliding_window=None),
}


def model_of(name: str) -> RewardModel:
    torch.manual_seed(0)
    backbone = transformers.AutoModel.from_config(CONFIGS[name]).eval()
    head = torch.nn.Sequential(torch.nn.Linear(SIZES["hidden_size"], 2))
    return RewardModel(backbone, head)


def tokens(randomness: random.Random, least: int, most: int) -> list[int]:
    return [randomness.randrange(50) for _ in range(randomness.randint(least, most))]


def tree(seed: int) -> list[list[RenderedSolution]]:
    """By depth, solutions to two problems, each grown from one of the depth before."""
    randomness = random.Random(seed)
    prefixes = [(tokens(randomness, 3, 20), list[list[int]]()) for _ in range(2)]
    depths: list[list[RenderedSolution]] = []
    for _ in range(4):
        parents = [randomness.choice(prefixes) for _ in range(5)]
        prefixes = [(ask, [*steps, tokens(randomness, 1, 12)]) for ask, steps in parents]
        depths.append([render(question, steps) for question, steps in prefixes])
    return depths


def newest(solution: RenderedSolution) -> Reading:
    return Reading(solution=solution, positions=solution.positions[-1:])


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(3))
def test_rows_are_those_of_reading_from_the_beginning(name: str, seed: int) -> None:
    model = model_of(name)
    assert model.keeps_states
    reuse, recompute = PrefixReader(model, max_bytes=10**9), PrefixReader(model, max_bytes=0)
    for solutions in tree(seed):
        readings = [newest(solution) for solution in solutions]
        for found, expected in zip(reuse(readings), recompute(readings), strict=True):
            assert found.logits[0] == pytest.approx(expected.logits[0], abs=1e-5)
            assert expected.num_cached == 0


@pytest.mark.parametrize("seed", range(3))
def test_each_step_is_computed_once(seed: int) -> None:
    reader = PrefixReader(model_of("qwen2"), max_bytes=10**9)
    known: set[bytes] = set()
    for solutions in tree(seed):
        for solution in solutions:
            (rows,) = reader([newest(solution)])
            ends = [solution.num_question_tokens, *(end + 1 for end in solution.positions)]
            size = ends[-1] - ends[-2]
            assert rows.num_computed + rows.num_cached == ends[-1]
            if solution.keys[-2:-1] and solution.keys[-2] in known:
                assert rows.num_computed == size
            known |= set(solution.keys)


def test_a_question_is_computed_once_for_all_its_solutions() -> None:
    reader = PrefixReader(model_of("qwen2"), max_bytes=10**9)
    first, second = render([1] * 30, [[2, 3]]), render([1] * 30, [[4, 5, 6]])
    assert reader([newest(first)])[0].num_cached == 0
    (rows,) = reader([newest(second)])
    assert (rows.num_cached, rows.num_computed) == (30, 3)


@pytest.mark.parametrize("seed", range(3))
def test_what_a_batch_shares_is_computed_once(seed: int) -> None:
    together, alone = (PrefixReader(model_of("qwen2"), max_bytes=10**9) for _ in range(2))
    # The last depth at once, with nothing read before: questions and steps of all depths.
    readings = [newest(solution) for solution in tree(seed)[-1]]
    found = together(readings)
    expected = [alone([reading])[0] for reading in readings]
    assert sum(rows.num_computed for rows in found) == sum(rows.num_computed for rows in expected)
    for one, other in zip(found, expected, strict=True):
        assert one.logits[0] == pytest.approx(other.logits[0], abs=1e-5)
        assert one.num_computed + one.num_cached == other.num_computed + other.num_cached


def test_a_batch_reads_its_question_once() -> None:
    reader = PrefixReader(model_of("qwen2"), max_bytes=10**9)
    found = reader([newest(render([1] * 30, [[2 + place, 3]])) for place in range(4)])
    assert [rows.num_computed for rows in found] == [32, 2, 2, 2]
    assert [rows.num_cached for rows in found] == [0, 30, 30, 30]


def test_a_row_that_is_wanted_again_is_computed_again() -> None:
    model = model_of("qwen2")
    reader = PrefixReader(model, max_bytes=10**9)
    solution = render([1] * 9, [[2, 3], [4, 5, 6]])
    whole = Reading(solution=solution, positions=solution.positions)
    (first,) = reader([whole])
    (again,) = reader([whole])
    assert again.num_cached == 9
    assert again.logits == [pytest.approx(row, abs=1e-5) for row in first.logits]


def test_too_little_memory_costs_time_and_nothing_else() -> None:
    model = model_of("qwen2")
    few, recompute = PrefixReader(model, max_bytes=20_000), PrefixReader(model, max_bytes=0)
    for solutions in tree(seed=7):
        readings = [newest(solution) for solution in solutions]
        for found, expected in zip(few(readings), recompute(readings), strict=True):
            assert found.logits[0] == pytest.approx(expected.logits[0], abs=1e-5)
            assert found.num_cached >= 0
            assert found.num_computed + found.num_cached >= expected.num_computed


def test_what_a_model_cannot_read_spoils_nothing_that_others_share() -> None:
    model = model_of("qwen2")
    embeddings: Any = model.backbone.get_input_embeddings()
    with torch.no_grad():
        embeddings.weight[49] = float("nan")
    reader, recompute = PrefixReader(model, max_bytes=10**9), PrefixReader(model, max_bytes=0)
    (spoilt,) = reader([newest(render([1] * 9, [[2, 3], [4, 49, 6]]))])
    assert spoilt.logits[0] == pytest.approx([float("nan")] * 2, nan_ok=True)
    reading = newest(render([1] * 9, [[2, 3], [4, 5, 6]]))
    (found,), (expected,) = reader([reading]), recompute([reading])
    assert found.logits[0] == pytest.approx(expected.logits[0], abs=1e-5)


def test_nothing_is_known_after_clearing() -> None:
    reader = PrefixReader(model_of("qwen2"), max_bytes=10**9)
    solution = render([1] * 9, [[2, 3]])
    reader([newest(solution)])
    reader.clear()
    assert reader([newest(solution)])[0].num_cached == 0


def test_models_whose_attention_has_a_window_keep_nothing() -> None:
    config = transformers.MistralConfig(**SIZES, sliding_window=8)
    head = torch.nn.Sequential(torch.nn.Linear(SIZES["hidden_size"], 2))
    assert not RewardModel(transformers.AutoModel.from_config(config), head).keeps_states


def piece(num_tokens: int) -> Tensor:
    return torch.zeros(1, 2, 1, num_tokens, 1)


SIZE = piece(1).nbytes


def test_what_was_not_read_for_longest_goes_first_and_ends_before_beginnings() -> None:
    store = PrefixStore(4 * SIZE)
    store.extend([b"a", b"ab"], [piece(1), piece(1)])
    store.extend([b"a", b"ac"], [piece(1)])
    assert len(store.beginning([b"a", b"ab"])) == 2
    store.extend([b"x", b"xy"], [piece(1), piece(1)])
    assert len(store.beginning([b"a", b"ac"])) == 1
    assert len(store.beginning([b"a", b"ab"])) == 2
    store.extend([b"z"], [piece(3)])
    assert len(store.beginning([b"a", b"ab"])) == 1
    assert len(store) == 2


def test_a_piece_larger_than_the_store_is_not_kept() -> None:
    store = PrefixStore(SIZE)
    store.extend([b"a"], [piece(2)])
    assert len(store) == 0
    assert store.beginning([b"a"]) == []
