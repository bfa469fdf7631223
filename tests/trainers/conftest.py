"""A sandbox tokenizer and a base with random weights, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainers.pretrain import new_model, new_tokenizer, round_up, save


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    """The tokenizer of the sandbox."""
    return new_tokenizer(0)


@pytest.fixture(scope="session")
def base(tokenizer: PreTrainedTokenizerBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a causal model."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    save(new_model(round_up(len(tokenizer))), tokenizer, folder)
    return folder
