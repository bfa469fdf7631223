"""Samples of many prompts at the same time, with keys and values kept between the tokens.

Prompts are padded on the left. Each distinct prompt is computed once, whatever the number of its
samples; rows leave the batch as they end.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from actors.batch_thread import Job
from actors.completion import Completion, Sampling
from actors.token_sampling import draw_tokens
from prm_search.errors import EngineError
from prm_search.types import StopReason

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""What a token that ends within a character decodes to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRequest:
    """One sample to draw."""

    prompt: tuple[int, ...]
    sampling: Sampling


SampleJob = Job[SampleRequest, Completion]


@dataclass(eq=False, slots=True)
class _Row:
    """A sample while it is drawn."""

    job: SampleJob
    num_cached_tokens: int
    draws: random.Random
    token_ids: list[int] = field(default_factory=list[int])
    logprobs: list[float] = field(default_factory=list[float])
    watched: list[tuple[float, ...]] = field(default_factory=list[tuple[float, ...]])

    @property
    def sampling(self) -> Sampling:
        return self.job.request.sampling

    def finish(self, stop_reason: StopReason) -> None:
        self.job.finish(
            Completion(
                token_ids=tuple(self.token_ids),
                logprobs=tuple(self.logprobs),
                stop_reason=stop_reason,
                num_prompt_tokens=len(self.job.request.prompt),
                num_cached_tokens=self.num_cached_tokens,
                watched=tuple(self.watched),
            )
        )


class Decoder:
    """Draws samples from a causal language model."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._end_tokens = end_tokens(model, tokenizer)
        self._may_complete = cache(self._find_may_complete)

    def run(self, jobs: Sequence[SampleJob]) -> Iterator[None]:
        """Draw the samples of a batch, and yield after each forward."""
        prompts = list(dict.fromkeys(job.request.prompt for job in jobs))
        rows = _rows(jobs)
        ids, mask = _pad_left(prompts, self._model.device)
        memory = DynamicCache(config=self._model.config)
        logits = self._forward(ids, mask, memory)
        chosen = [prompts.index(job.request.prompt) for job in jobs]
        logits, mask = _select(chosen, logits, mask, memory)
        while True:
            tokens = self._extend(rows, logits.float())
            chosen = [index for index, row in enumerate(rows) if row.job.is_open]
            if not chosen:
                return
            yield
            rows = [rows[index] for index in chosen]
            tokens, mask = _select(chosen, tokens, mask, memory)
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            logits = self._forward(tokens[:, None], mask, memory)

    def _forward(self, ids: Tensor, mask: Tensor, memory: DynamicCache) -> Tensor:
        """Logits of the next token. [num_rows, vocabulary]"""
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        return self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=memory,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]

    def _extend(self, rows: Sequence[_Row], logits: Tensor) -> Tensor:
        """Draw a token for each row, and finish the rows that end with it. [num_rows]"""
        if bool(logits.isnan().any()):
            raise EngineError("the model gave NaN for the next token; try dtype float32")
        tokens = draw_tokens(
            logits, [row.sampling for row in rows], [row.draws.random() for row in rows]
        )
        drawn = tokens.tolist()
        wanted = [(token, *row.sampling.watch) for row, token in zip(rows, drawn, strict=True)]
        logprobs = _gather(logits.log_softmax(-1), wanted)
        for row, token, (logprob, *watched) in zip(rows, drawn, logprobs, strict=True):
            row.token_ids.append(token)
            if row.sampling.logprobs:
                row.logprobs.append(logprob)
            if row.sampling.watch:
                row.watched.append(tuple(watched))
            if token in self._end_tokens:
                row.finish(StopReason.END)
            elif self._ends_with_stop(row):
                row.finish(StopReason.STEP)
            elif len(row.token_ids) >= row.sampling.max_tokens:
                row.finish(StopReason.LENGTH)
        return tokens

    def _ends_with_stop(self, row: _Row) -> bool:
        stop = row.sampling.stop
        if stop is None or not self._may_complete(row.token_ids[-1], stop[-1]):
            return False
        # Each token of the stop text has at least one of its bytes.
        return stop in self._decode(row.token_ids[-len(stop.encode()) :])

    def _find_may_complete(self, token: int, character: str) -> bool:
        text = self._decode([token])
        return character in text or _REPLACEMENT in text

    def _decode(self, token_ids: list[int]) -> str:
        return str(self._tokenizer.decode(token_ids, skip_special_tokens=True))


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Tokens that end an answer, according to the model and its tokenizer."""
    settings = (getattr(model.generation_config, "eos_token_id", None), tokenizer.eos_token_id)
    tokens = [item for one in settings for item in (one if isinstance(one, list) else [one])]
    return frozenset(token for token in tokens if isinstance(token, int))


def _rows(jobs: Iterable[SampleJob]) -> list[_Row]:
    """A row for each job; the first one of each prompt pays for it."""
    seen: set[tuple[int, ...]] = set()
    rows: list[_Row] = []
    for job in jobs:
        prompt = job.request.prompt
        rows.append(
            _Row(
                job=job,
                num_cached_tokens=len(prompt) if prompt in seen else 0,
                draws=random.Random(job.request.sampling.seed),
            )
        )
        seen.add(prompt)
    return rows


def _pad_left(prompts: Sequence[tuple[int, ...]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask. Both [num_prompts, longest]"""
    longest = max(map(len, prompts))
    ids = [[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _gather(values: Tensor, wanted: Sequence[Sequence[int]]) -> list[list[float]]:
    """The values in some columns of each row, which may be more in one row than in another."""
    width = max(map(len, wanted))
    columns = [[*indices, *[0] * (width - len(indices))] for indices in wanted]
    gathered = values.gather(-1, torch.tensor(columns, device=values.device)).tolist()
    return [row[: len(indices)] for row, indices in zip(gathered, wanted, strict=True)]


def _select(
    chosen: Sequence[int], values: Tensor, mask: Tensor, memory: DynamicCache
) -> tuple[Tensor, Tensor]:
    """Keep, repeat or drop rows of what belongs to a batch."""
    if list(chosen) == list(range(len(mask))):
        return values, mask
    indices = torch.tensor(chosen, device=mask.device)
    memory.batch_select_indices(indices)
    return values[indices], mask[indices]
