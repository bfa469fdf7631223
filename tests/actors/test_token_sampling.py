"""Tokens drawn from probabilities."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from actors.completion import Sampling
from actors.token_sampling import draw_tokens


def test_tokens_are_drawn_with_their_probabilities() -> None:
    logits = torch.log(torch.tensor([0.1, 0.5, 0.15, 0.25]))
    number = 4000
    uniforms = [(index + 0.5) / number for index in range(number)]

    def shares(**settings: Any) -> list[float]:
        samplings = [Sampling(**{"max_tokens": 1, "temperature": 1.0} | settings)] * number
        drawn = draw_tokens(logits.expand(number, -1), samplings, uniforms)
        return [round(share, 2) for share in (drawn.bincount(minlength=4) / number).tolist()]

    assert shares() == [0.1, 0.5, 0.15, 0.25]
    assert shares(top_k=2) == [0.0, 0.67, 0.0, 0.33]
    assert shares(top_p=0.7) == [0.0, 0.67, 0.0, 0.33]
    assert shares(top_p=1e-9) == [0.0, 1.0, 0.0, 0.0]
    assert shares(top_k=3, top_p=0.8) == [0.0, 0.67, 0.0, 0.33]
    assert shares(temperature=0.0) == [0.0, 1.0, 0.0, 0.0]
    assert shares(temperature=0.5) == [0.03, 0.72, 0.07, 0.18]


def test_a_draw_never_gives_an_impossible_token() -> None:
    logits = torch.tensor([[0.0, 1.0, -torch.inf, -torch.inf]])
    almost_one = math.nextafter(1.0, 0.0)
    for settings in ({}, {"top_k": 2}, {"top_p": 0.99}):
        sampling = replace(Sampling(max_tokens=1, temperature=1.0), **settings)
        assert int(draw_tokens(logits, [sampling], [almost_one])) in (0, 1)
        assert int(draw_tokens(logits, [sampling], [0.0])) in (0, 1)


def test_rows_may_sample_in_different_ways() -> None:
    logits = torch.log(torch.tensor([[0.2, 0.7, 0.1]])).expand(3, -1)
    samplings = [
        Sampling(max_tokens=1, temperature=0.0),
        Sampling(max_tokens=1, temperature=1.0, top_k=1),
        Sampling(max_tokens=1, temperature=1.0),
    ]
    assert draw_tokens(logits, samplings, [0.999] * 3).tolist() == [1, 1, 2]
