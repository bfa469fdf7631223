"""Reads solutions with a PRM of transformers, each token once, however many solutions share it.

What several solutions of a batch share and nobody has read yet is read first, by itself.

prefix that was read before ─► keys and values ─┐
├─► one forward ─► rows of logits
steps that are new ─► token ids ────────────────┘              └─► keys and values, kept
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from actors.prefix_store import PrefixStore
from actors.reward_model import RewardModel
from prm_search.prms.rendering import RenderedSolution


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Rows that are wanted of a solution."""

    solution: RenderedSolution
    positions: tuple[int, ...]
    """[num_rows] in rising order, at least one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """What was read."""

    logits: list[list[float]]
    """[num_rows, num_outputs]"""
    num_computed: int
    """Tokens."""
    num_cached: int
    """Tokens before them whose keys and values were there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """A reading, and what of it is there."""

    reading: Reading
    keys: list[bytes]
    """Of the prefixes at whose ends pieces end, shortest first."""
    ends: list[int]
    """Tokens of these prefixes."""
    pieces: list[Tensor]
    """Those that are there, of the first keys."""

    @property
    def num_cached(self) -> int:
        return self.ends[len(self.pieces) - 1] if self.pieces else 0

    @property
    def first_missing(self) -> tuple[bytes, int] | None:
        """The shortest prefix before the rows that is not there: its key and its end."""
        place = len(self.pieces)
        if place < len(self.ends) and self.ends[place] <= self.reading.positions[0]:
            return self.keys[place], self.ends[place]
        return None

    @property
    def token_ids(self) -> tuple[int, ...]:
        """What has to be computed."""
        return self.reading.solution.token_ids[self.num_cached : self.reading.positions[-1] + 1]


class PrefixReader:
    """Computes batches of readings; not from several threads at once."""

    def __init__(self, model: RewardModel, *, max_bytes: int) -> None:
        """Take a model.

        Args:
            model: whose attention looks back without limit, if anything is to be kept.
            max_bytes: of keys and values that are kept; 0 computes everything anew.
        """
        self._model = model
        self._store = PrefixStore(max_bytes) if max_bytes else None

    def clear(self) -> None:
        """Forget all prefixes."""
        if self._store is not None:
            self._store.clear()

    @torch.inference_mode()
    def __call__(self, readings: Sequence[Reading]) -> list[Rows]:
        """Read a batch. [num_readings]

        What is shared counts as computed for the first that needs it, and as cached for others.
        """
        shared = self._read_shared(readings)
        return [
            replace(
                rows,
                num_computed=rows.num_computed + shared[place],
                # Where it did not stay in the store, it was computed twice and never cached.
                num_cached=max(0, rows.num_cached - shared[place]),
            )
            for place, rows in enumerate(self._read(readings))
        ]

    def _read_shared(self, readings: Sequence[Reading]) -> Counter[int]:
        """Read prefixes that several readings lack, so that they are there.

        Returns:
            Tokens that were computed, by the place of the first reading that needs them.
        """
        num_computed: Counter[int] = Counter()
        tried: set[bytes] = set()
        while self._store is not None and len(readings) > 1:
            lacking: dict[bytes, list[tuple[int, Reading]]] = defaultdict(list)
            for place, reading in enumerate(readings):
                missing = self._plan(reading).first_missing
                if missing is not None and missing[0] not in tried:
                    key, end = missing
                    prefix = Reading(solution=reading.solution, positions=(end - 1,))
                    lacking[key].append((place, prefix))
            firsts = [found[0] for found in lacking.values() if len(found) > 1]
            if not firsts:
                break
            # What does not fit into the store is not tried again.
            tried |= {key for key, found in lacking.items() if len(found) > 1}
            for (place, _), rows in zip(
                firsts, self._read([one for _, one in firsts]), strict=True
            ):
                num_computed[place] += rows.num_computed
        return num_computed

    def _read(self, readings: Sequence[Reading]) -> list[Rows]:
        """Read in one forward."""
        plans = [self._plan(reading) for reading in readings]
        prefixes = [_joined(plan.pieces) for plan in plans]
        logits, states = self._model(
            [plan.token_ids for plan in plans],
            [[position - plan.num_cached for position in plan.reading.positions] for plan in plans],
            prefixes=prefixes if self._store is not None else None,
        )
        if self._store is not None:
            assert states is not None
            for plan, new in zip(plans, states, strict=True):
                # Attention multiplies what it must not see by 0, and 0 × NaN is NaN: what stands
                # before a token that the model cannot read is spoilt as well.
                if new.isfinite().all():
                    self._store.extend(plan.keys, _split(plan, new))
        return [
            Rows(
                logits=rows.tolist(),
                num_computed=len(plan.token_ids),
                num_cached=plan.num_cached,
            )
            for plan, rows in zip(plans, logits, strict=True)
        ]

    def _plan(self, reading: Reading) -> _Plan:
        solution = reading.solution
        named = zip(solution.positions, solution.keys, strict=True)
        places = [(position + 1, key) for position, key in named]
        if size := solution.num_question_tokens:
            places.insert(0, (size, _key(solution.token_ids[:size])))
        places = [(end, key) for end, key in places if end <= reading.positions[-1] + 1]
        ends, keys = [end for end, _ in places], [key for _, key in places]
        pieces: list[Tensor] = []
        if self._store is not None:
            # A row that is wanted has to be computed, even if its keys and values are there.
            num_before = sum(end <= reading.positions[0] for end in ends)
            pieces = self._store.beginning(keys[:num_before])
        return _Plan(reading=reading, keys=keys, ends=ends, pieces=pieces)


def _key(token_ids: Sequence[int]) -> bytes:
    return hashlib.blake2b(array("q", token_ids).tobytes(), digest_size=16).digest()


def _joined(pieces: Sequence[Tensor]) -> Tensor | None:
    """[num_layers, 2, num_heads, num_tokens, head_size]"""
    return torch.cat(list(pieces), dim=3) if pieces else None


def _split(plan: _Plan, states: Tensor) -> list[Tensor]:
    """The pieces of what was computed, each a tensor of its own."""
    ends = [plan.num_cached, *plan.ends[len(plan.pieces) :]]
    return [
        states[:, :, :, start - plan.num_cached : end - plan.num_cached].clone()
        for start, end in pairwise(ends)
    ]
