"""From rows of analyses and pairs to the tokens that TRL's trainers learn from.

Messages become tokens by the same function as in the engines that ask the finished R-PRM, and
analyses end in the token at which engines stop. So what is trained is what is scored.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from prm_search.bootstrapping.rows import AnalysisRow, PairRow
from prm_search.errors import ConfigurationError, DataError
from prm_search.seeds import derive_seed
from prm_search.tokens import question_tokens, text_tokens

_IGNORED = -100
_BATCHES_SORTED_TOGETHER = 32
"""Batches among which rows are sorted by length. More waste less, and mix rows less."""


_Columns: TypeAlias = dict[str, list[NDArray[np.int32]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRows:
    """Rows as tokens."""

    dataset: Dataset
    """In the columns of one of TRL's trainers."""
    lengths: list[int]
    """Tokens of the longest sequence of each row. [num_rows]"""
    num_left_out: int
    """Rows that are too long."""


def pack(rows: Sequence[Mapping[str, list[int]]]) -> dict[str, Any]:
    """Rows for SFT one behind another, as models with packed attention take them.

    Args:
        rows: with `input_ids` and `labels`.

    Returns:
        `input_ids`, `labels` and `position_ids`, [1, num_tokens] each, and `lengths`, the tokens
        of each row.
    """
    lengths = [len(row["input_ids"]) for row in rows]
    columns = {
        name: [token for row in rows for token in row[name]] for name in ("input_ids", "labels")
    }
    columns["position_ids"] = [place for length in lengths for place in range(length)]
    return {
        **{name: torch.tensor([values]) for name, values in columns.items()},
        "lengths": lengths,
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """Makes tokens of rows."""

    tokenizer: PreTrainedTokenizerBase
    system_prompt: str | None
    max_tokens: int
    """Longer rows are left out."""

    def message(self, text: str) -> list[int]:
        """A message up to where the answer begins."""
        tokens = question_tokens(self.tokenizer, text, system_prompt=self.system_prompt)
        return list(tokens)

    @property
    def end(self) -> int:
        """The token that ends an answer.

        Raises:
            ConfigurationError: if the model has none.
        """
        end = self.tokenizer.eos_token_id
        if not isinstance(end, int):
            raise ConfigurationError("model: its tokenizer has no token that ends an answer")
        return end

    def analysis(self, text: str) -> list[int]:
        """An analysis, with the token that ends it."""
        return [*text_tokens(self.tokenizer, text), self.end]

    def analyses(self, rows: Sequence[AnalysisRow]) -> TokenRows:
        """Rows for SFT: the loss is that of the analyses alone.

        Raises:
            DataError: if all rows are too long.
        """
        columns: _Columns = {"input_ids": [], "labels": []}
        lengths: list[int] = []
        for row in rows:
            message, analysis = self.message(row.prompt), self.analysis(row.completion)
            if len(message) + len(analysis) <= self.max_tokens:
                columns["input_ids"].append(_array(message + analysis))
                columns["labels"].append(_array([_IGNORED] * len(message) + analysis))
                lengths.append(len(message) + len(analysis))
        return self._checked(columns, lengths, len(rows))

    def pairs(self, rows: Sequence[PairRow]) -> TokenRows:
        """Rows for DPO.

        Raises:
            DataError: if all rows are too long.
        """
        names = ("prompt_ids", "chosen_ids", "rejected_ids")
        columns: _Columns = {name: [] for name in names}
        lengths: list[int] = []
        for row in rows:
            message = self.message(row.prompt)
            chosen, rejected = self.analysis(row.chosen), self.analysis(row.rejected)
            length = len(message) + max(len(chosen), len(rejected))
            if length <= self.max_tokens:
                for name, tokens in zip(names, (message, chosen, rejected), strict=True):
                    columns[name].append(_array(tokens))
                lengths.append(length)
        return self._checked(columns, lengths, len(rows))

    def _checked(self, columns: _Columns, lengths: list[int], num_rows: int) -> TokenRows:
        if num_rows and not lengths:
            raise DataError(
                f"all {num_rows} rows have more than max_tokens={self.max_tokens} tokens; raise it"
            )
        return TokenRows(
            dataset=Dataset.from_dict(columns),
            lengths=lengths,
            num_left_out=num_rows - len(lengths),
        )


def training_order(
    lengths: Sequence[int], *, num_steps: int, rows_per_step: int, seed: int
) -> list[int]:
    """Which row comes when: every row once in each epoch, and rows of an update of similar length.

    It depends on the arguments alone, so a training that is gone on with sees the same rows.

    Args:
        lengths: tokens of each row. [num_rows]
        num_steps: updates.
        rows_per_step: rows of an update.
        seed: decides the order.

    Returns:
        [num_steps * rows_per_step] indices of rows.
    """
    total = num_steps * rows_per_step
    stream: list[int] = []
    epoch = 0
    while len(stream) < total:
        rows = list(range(len(lengths)))
        random.Random(derive_seed(seed, "epoch", epoch)).shuffle(rows)
        stream += rows
        epoch += 1
    order: list[int] = []
    window = rows_per_step * _BATCHES_SORTED_TOGETHER
    rng = random.Random(derive_seed(seed, "batches"))
    for start in range(0, total, window):
        rows = sorted(stream[start : min(start + window, total)], key=lengths.__getitem__)
        batches = [rows[at : at + rows_per_step] for at in range(0, len(rows), rows_per_step)]
        rng.shuffle(batches)
        order += [row for batch in batches for row in batch]
    return order


def _array(tokens: list[int]) -> NDArray[np.int32]:
    """A tenth of the memory of a list, of which there may be hundreds of thousands."""
    return np.array(tokens, dtype=np.int32)
