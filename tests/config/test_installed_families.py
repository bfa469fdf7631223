"""Families of PRMs that an installed package brings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hydra.errors import HydraException

from prm_search.building import build_part
from prm_search.composition import compose, options
from prm_search.errors import ConfigurationError
from prm_search.prms.generative_prm import GenerativePrm
from prm_search.prms.prm import Prm
from prm_search.prms.rendering import renderer_of

MODULE = '''
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True, slots=True)
class Loud:
    """Scores a step by its last letter."""

    shift: int = 0
    """Added to every letter."""

    def question(self, tokenizer, problem, system_prompt):
        return tuple(map(ord, problem))

    def step(self, tokenizer, text, *, is_first):
        return tuple(ord(letter) + self.shift for letter in text)

    def score(self, row):
        return row[0]

@dataclass(frozen=True, kw_only=True, slots=True)
class Talkative:
    @property
    def verdicts(self):
        return " No", " Yes"

    def message(self, problem, steps):
        return problem

    def read(self, analysis):
        raise NotImplementedError

number = 3
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs a package with some entry points."""

    def install(*entries: str, package: str = "loud-prms") -> None:
        (tmp_path / "loud_prms.py").write_text(MODULE)
        (tmp_path / "broken_prms.py").write_text("import no_such_module_at_all")
        folder = tmp_path / f"{package.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = ["[prm_search.prm_families]", *entries]
        (folder / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(tmp_path)

    yield install
    sys.modules.pop("loud_prms", None)


def test_a_family_joins_the_options_without_being_imported(installed) -> None:
    installed("loud = loud_prms:Loud", "broken = broken_prms:Loud")

    assert {"loud", "broken"} <= set(options()["prm"]) & set(options()["family"])
    assert compose("search", ["prm=sandbox", "data=sandbox"]).prm.family
    assert "loud_prms" not in sys.modules


def test_a_prm_of_the_family_is_made_as_any_other(installed) -> None:
    installed("loud = loud_prms:Loud")

    config = compose("search", ["prm=loud", "prm.model=my-prm", "prm.family.shift=1"])
    prm = build_part(config, "prm")

    assert isinstance(prm, Prm)
    (solution,) = renderer_of(prm.family, None)("a", ["ab", "c"])  # pyright: ignore
    assert solution.token_ids == (97, 98, 99, 100)


def test_its_settings_are_checked(installed) -> None:
    installed("loud = loud_prms:Loud")

    with pytest.raises(HydraException, match="shift"):
        compose("search", ["prm=loud", "prm.family.shift=much"])


def test_a_prm_of_the_family_can_be_trained(installed) -> None:
    installed("loud = loud_prms:Loud")

    config = compose("train-prm", ["family=loud", "family.shift=2"])
    assert (config.family._target_, config.family.shift) == ("loud_prms.Loud", 2)


def test_a_generative_family_makes_a_generative_prm(installed) -> None:
    installed("talkative = loud_prms:Talkative")

    config = compose("search", ["prm=talkative", "prm.model=m", "prm.num_samples=3"])
    assert isinstance(build_part(config, "prm"), GenerativePrm)
    with pytest.raises(ConfigurationError, match="none can be learned"):
        compose("train-prm", ["family=talkative"])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("odd = broken_prms:Loud", "odd: loud-prms cannot load broken_prms:Loud: ModuleNotFound"),
        ("odd = loud_prms:Quiet", "odd: loud-prms cannot load loud_prms:Quiet: AttributeError"),
        ("odd = loud_prms:number", "odd: loud_prms:number of loud-prms is no class"),
        ("sandbox = loud_prms:Loud", "prm=sandbox comes with prm-search"),
    ],
)
def test_what_cannot_be_used_is_refused_when_it_is_chosen(installed, entry, message) -> None:
    installed(entry)

    compose("search", ["prm=rprm_7b"])
    with pytest.raises(ConfigurationError, match=message):
        compose("search", [f"prm={entry.partition(' ')[0]}"])


def test_two_packages_cannot_bring_the_same_name(installed) -> None:
    installed("loud = loud_prms:Loud")
    installed("loud = loud_prms:Loud", package="louder-prms")

    with pytest.raises(ConfigurationError, match="loud-prms and louder-prms each bring"):
        compose("search", ["prm=loud"])
