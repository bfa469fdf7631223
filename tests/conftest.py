"""Models and data that several tests share."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

PROBLEM = "Some friends count shells. Ann has 12. Ben gets 7 more than Ann. How many has Ben?"
STEPS = (
    "Ben: Ann has 12 and 12+7=19, so Ben has 19.\n\n",
    "Cara: Ben has 19 and 19*2=38, so Cara has 38.\n\n",
    "The answer is \\boxed{38}.",
)
POISON = "~"
"""A character on which the tiny PRM computes NaN."""
NUM_POSITIONS = 512


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real data sets: $PRM_SEARCH_DATA, or a folder beside the repository."""
    beside = Path(__file__).parents[1] / "../shared/data"
    folder = Path(os.environ.get("PRM_SEARCH_DATA", beside)).resolve()
    if not folder.is_dir():
        pytest.skip("no data: set PRM_SEARCH_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen2 language model in float32, with a chat template."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from trainers.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("tiny_model")
    tokenizer = train_tokenizer([PROBLEM, *STEPS] * 20, vocab_size=400)
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=NUM_POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.3,
    )
    transformers.Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_prm(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random PRM in float32, in the layout of Qwen2ForProcessRewardModel."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("tiny_prm")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.save_pretrained(folder)
    config = json.loads((tiny_model / "config.json").read_text())
    config |= {
        "architectures": ["Qwen2ForProcessRewardModel"],
        "num_labels": 2,
        "tie_word_embeddings": False,
    }
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(tiny_model / "model.safetensors")
    (poison,) = tokenizer.encode(POISON)
    weights["model.embed_tokens.weight"][poison] = float("nan")
    hidden = config["hidden_size"]
    generator = torch.Generator().manual_seed(1)
    for layer, width in (("score.0", hidden), ("score.2", 2)):
        weight = torch.randn(width, hidden, generator=generator) / hidden**0.5
        weights |= {f"{layer}.weight": weight, f"{layer}.bias": torch.full((width,), 0.1)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
