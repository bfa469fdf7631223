from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from prm_search.model_size import num_parameters
from prm_search.resolvers import sandbox_model
from prm_search.store import RunStore


def test_the_tensors_of_a_folder_are_counted(tmp_path: Path) -> None:
    save_file({"a": np.zeros((3, 4)), "b": np.zeros(5)}, tmp_path / "model.safetensors")
    assert num_parameters(str(tmp_path)) == 17


def test_shards_are_counted_as_the_index_says_and_nothing_else(tmp_path: Path) -> None:
    save_file({"a": np.zeros((3, 4))}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": np.zeros(5)}, tmp_path / "model-00002-of-00002.safetensors")
    save_file({"a": np.zeros((3, 4)), "b": np.zeros(5)}, tmp_path / "consolidated.safetensors")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    assert num_parameters(str(tmp_path)) == 17


def test_the_count_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    folder = sandbox_model("prm")
    from safetensors.torch import load_file

    weights = load_file(Path(folder) / "model.safetensors")
    assert num_parameters(folder) == sum(torch.numel(each) for each in weights.values())


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    assert num_parameters("") is None
    assert num_parameters("nobody/has-this-model") is None
    assert num_parameters("/no/such/folder") is None
    assert num_parameters(str(tmp_path)) is None
    (tmp_path / "model.safetensors").write_bytes(b"no such thing")
    assert num_parameters(str(tmp_path)) is None


def test_the_manifest_keeps_the_parameters_when_a_run_is_resumed(tmp_path: Path) -> None:
    for _ in range(2):
        with RunStore(tmp_path / "run", config={}) as store:
            if store.session == 0:
                store.write_parameters({"policy": 17, "prm": None})
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert manifest["parameters"] == {"policy": 17, "prm": None}
    assert len(manifest["sessions"]) == 2
