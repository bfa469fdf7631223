"""Packing: solutions of any lengths one behind another, without padding.

    examples -> batches of an epoch (what one update learns from)
             -> packs of a batch (what one process computes in one forward)

What an update learns from depends on the seed alone. How many processes there are, and how much
fits into one forward, only decides how a batch is cut into packs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from prm_search.seeds import derive_seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A tokenised solution, and what is to be learned from it."""

    token_ids: tuple[int, ...]
    positions: tuple[int, ...]
    """Where a score is read. [num_scores]"""
    values: tuple[float, ...] = ()
    """[num_scores] P(step is right) to be learned; or empty, if it is only to be scored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    """Examples one behind another."""

    token_ids: Tensor
    """[1, num_tokens]"""
    position_ids: Tensor
    """[1, num_tokens] each example counts from 0."""
    lengths: tuple[int, ...]
    """Tokens of each example. [num_examples]"""
    positions: Tensor
    """[num_scores] places in `token_ids` where a score is read."""
    values: Tensor
    """[num_scores] float32, or [0]"""

    def to(self, device: torch.device) -> Pack:
        """The same on a device."""
        return Pack(
            token_ids=self.token_ids.to(device),
            position_ids=self.position_ids.to(device),
            lengths=self.lengths,
            positions=self.positions.to(device),
            values=self.values.to(device),
        )


def make_pack(examples: Sequence[Example]) -> Pack:
    """Put examples one behind another."""
    lengths = tuple(len(example.token_ids) for example in examples)
    starts = [0, *accumulate(lengths)]
    return Pack(
        token_ids=torch.tensor([[token for item in examples for token in item.token_ids]]),
        position_ids=torch.cat([torch.arange(length) for length in lengths])[None],
        lengths=lengths,
        positions=torch.tensor(
            [
                start + position
                for start, example in zip(starts, examples, strict=False)
                for position in example.positions
            ],
            dtype=torch.long,
        ),
        values=torch.tensor([value for example in examples for value in example.values]),
    )


def filler_lengths(lengths: Sequence[int], *, multiple: int) -> list[int]:
    """Lengths of meaningless examples that fill a pack up, none longer than its longest.

    On CPU a kernel is prepared for each new number of tokens, and tensors of ever other sizes
    fragment the memory. Either costs more than the tokens that are added.

    Args:
        lengths: tokens of each example of the pack. [num_examples]
        multiple: the pack is to have a multiple of so many tokens, at least 1.

    Returns:
        [num_fillers]; together less than `multiple`.
    """
    missing, longest = -sum(lengths) % multiple, max(lengths)
    return [longest] * (missing // longest) + [missing % longest] * (missing % longest > 0)


def epoch_batches(
    lengths: Sequence[int], *, tokens_per_step: int, seed: int, epoch: int
) -> list[list[int]]:
    """Indices of the examples of each update of an epoch, in random order.

    Args:
        lengths: tokens of each example.
        tokens_per_step: a batch holds at most so many, but at least one example.
        seed: with `epoch` it decides the order.
        epoch: 0-based.
    """
    order = list(range(len(lengths)))
    random.Random(derive_seed(seed, "epoch", epoch)).shuffle(order)
    batches: list[list[int]] = [[]]
    num_tokens = 0
    for index in order:
        if batches[-1] and num_tokens + lengths[index] > tokens_per_step:
            batches.append([])
            num_tokens = 0
        batches[-1].append(index)
        num_tokens += lengths[index]
    return batches


def split_batch(
    batch: Sequence[int], lengths: Sequence[int], *, tokens_per_pack: int, num_processes: int
) -> list[list[list[int]]]:
    """Divide a batch into packs of nearly equal size, as many for each process.

    Args:
        batch: indices of examples.
        lengths: tokens of every example, by index.
        tokens_per_pack: no pack is larger, unless a single example is.
        num_processes: at least 1.

    Returns:
        [num_packs, num_processes] of indices. A pack is empty where there are too few examples.
    """
    total = sum(lengths[index] for index in batch)
    num_packs = -(-total // (tokens_per_pack * num_processes)) * num_processes
    while True:
        packs: list[list[int]] = [[] for _ in range(num_packs)]
        sizes = [0] * num_packs
        for index in sorted(batch, key=lambda index: (-lengths[index], index)):
            smallest = sizes.index(min(sizes))
            packs[smallest].append(index)
            sizes[smallest] += lengths[index]
        is_fine = all(
            size <= tokens_per_pack or len(pack) == 1
            for size, pack in zip(sizes, packs, strict=True)
        )
        if is_fine:
            break
        num_packs += num_processes
    return [packs[start : start + num_processes] for start in range(0, num_packs, num_processes)]
