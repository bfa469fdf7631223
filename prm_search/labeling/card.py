"""The card of a data set of step labels: what it holds, how it was made, what that cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import yaml

from prm_search.job import MAY_DIFFER
from prm_search.labeling.dataset_counts import DatasetCounts
from prm_search.labeling.decontamination import Decontamination
from prm_search.statistics import wilson

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
_LARGEST = "1M<n<10M"
_ERRORS_SHOWN = 20
_COLUMNS = """\
Each row is a solution. `prompt`, `completions` and `labels` are those of TRL's stepwise
supervision. A step after the first error has no label; such steps are in `unlabeled_steps`, never
in `completions`, so nothing has to be masked.

| column | what it holds |
|---|---|
| `prompt` | the problem |
| `completions` | the labeled steps, without separators |
| `labels` | for each of them, whether it is right; only the last can be wrong |
| `soft_labels` | the value in [0, 1] behind each label |
| `label_sources` | who gave each label |
| `num_rollouts` | on how many rollouts each label rests |
| `first_error` | 0-based index of the first wrong step; null if none is |
| `unlabeled_steps` | the steps after the first error |
| `answer`, `is_answer_correct` | the reference answer; whether the solution ends in it |
| `id`, `problem_id`, `generator`, `task` | where the row is from |
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """What the card says about the run, apart from its records."""

    config: Mapping[str, object]
    seed: int | None
    config_hash: str | None
    versions: Mapping[str, Sequence[str]]
    """Of each package all versions that worked on the run."""
    num_bad_rows: int
    """Rows of the problem data that could not be used."""


def card(
    counts: DatasetCounts,
    facts: RunFacts,
    *,
    decontamination: Decontamination,
    num_texts: int,
) -> str:
    """The text of the card, in Markdown with the YAML header of the Hugging Face Hub.

    Args:
        counts: over all records.
        facts: about the run.
        decontamination: which problems were left out.
        num_texts: of evaluation problems that the problems were compared with.
    """
    parts = [
        _header(counts),
        "# Step labels\n\nSolutions whose steps are labeled, for training a process reward model. "
        "Written by prm-search.",
        _COLUMNS,
        "## Counts\n\n" + _sizes(counts, facts),
        "## Set aside\n\n" + _set_aside(counts),
        "## Balance\n\n" + _balance(counts),
        "## Agreement of judge and rollouts\n\n" + _agreement(counts),
        "## Cost\n\n" + _cost(counts, facts.config),
        "## Decontamination\n\n" + _decontamination(counts, decontamination, num_texts),
        "## How it was made\n\n" + _origin(facts),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _header(counts: DatasetCounts) -> str:
    size = next((name for limit, name in _SIZES if counts.num_rows < limit), _LARGEST)
    values = {
        "pretty_name": "Step labels",
        "tags": ["process-reward-model", "stepwise-supervision", "prm-search"],
        "task_categories": ["token-classification"],
        "size_categories": [size],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "train.parquet"}],
            }
        ],
    }
    return f"---\n{yaml.safe_dump(values, sort_keys=False)}---"


def _sizes(counts: DatasetCounts, facts: RunFacts) -> str:
    return _table(
        ("", "number"),
        [
            ("problems", counts.num_problems),
            ("… that failed", sum(counts.failed_problems.values())),
            ("… with at least one row", counts.num_labeled_problems),
            ("rows of the problem data that could not be used", facts.num_bad_rows),
            ("responses sampled", counts.num_samples),
            ("… that are distinct and not empty", counts.num_distinct),
            ("**rows**", counts.num_rows),
            ("retention (rows / distinct)", _percent(counts.num_rows, counts.num_distinct)),
        ],
    )


def _set_aside(counts: DatasetCounts) -> str:
    reasons = [(f"`{reason}`", number) for reason, number in _sorted(counts.set_aside)]
    failures = [(f"problem failed: `{kind}`", n) for kind, n in _sorted(counts.failed_problems)]
    text = _table(("reason", "number"), reasons + failures) if reasons + failures else "Nothing."
    if counts.num_critiques:
        text += (
            f"\n\nCritiques that could not be read: {counts.num_unreadable_critiques:,} of "
            f"{counts.num_critiques:,}. They are no votes."
        )
    return text


def _balance(counts: DatasetCounts) -> str:
    num_labels = counts.num_right_steps + counts.num_wrong_steps
    num_right = counts.first_errors[None]
    lines = [
        f"Of {num_labels:,} labeled steps {counts.num_right_steps:,} "
        f"({_percent(counts.num_right_steps, num_labels)}) are right. "
        f"{counts.num_unlabeled_steps:,} further steps stand after a first error. "
        f"Of {counts.num_rows:,} rows {num_right:,} ({_percent(num_right, counts.num_rows)}) have "
        "no wrong step.",
    ]
    if counts.soft_labels.keys() - {0.0, 1.0}:
        total = sum(value * number for value, number in sorted(counts.soft_labels.items()))
        mean = total / sum(counts.soft_labels.values())
        lines.append(f"The labels are soft; their mean value is {mean:.3f}.")
    names = {True: "right", False: "wrong", None: "unknown"}
    answers = [
        (names[answer], counts.answers[answer, True], counts.answers[answer, False])
        for answer in (True, False, None)
    ]
    lines.append(_table(("final answer", "no wrong step", "a wrong step"), answers))
    errors = {index: number for index, number in counts.first_errors.items() if index is not None}
    if errors:
        lines.append(_table(("first error (0-based step)", "rows"), _histogram(errors)))
    return "\n\n".join(lines)


def _histogram(errors: Mapping[int, int]) -> list[tuple[object, object]]:
    shown: list[tuple[object, object]] = [
        (index, errors.get(index, 0)) for index in range(min(max(errors) + 1, _ERRORS_SHOWN))
    ]
    rest = sum(number for index, number in errors.items() if index >= _ERRORS_SHOWN)
    return [*shown, (f"{_ERRORS_SHOWN} or later", rest)] if rest else shown


def _agreement(counts: DatasetCounts) -> str:
    total = sum(counts.agreement.values())
    if not total:
        return "There is no response on which both spoke."
    rows: list[tuple[object, ...]] = []
    for name, found in (("an error", (True,)), ("no error", (False,)), ("either", (True, False))):
        agree = sum(counts.agreement[error, True] for error in found)
        number = agree + sum(counts.agreement[error, False] for error in found)
        if number:
            share = wilson(agree, number)
            interval = f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"
            rows.append((name, number, agree, interval))
    return "They agree if both name the same first error, or none. Intervals are of 95 %.\n\n" + (
        _table(("the judge finds", "responses", "agree", "share"), rows)
    )


def _cost(counts: DatasetCounts, config: Mapping[str, object]) -> str:
    parts = [
        _table(
            ("role", "calls", "prompt tokens", "of them cached", "generated tokens"),
            [
                (role, *(usage[name] for name in _USAGE))
                for role, usage in sorted(counts.usage.items())
            ],
        ),
        "The policy wrote the responses, the completer the rollouts.",
    ]
    if counts.outcomes:
        parts.append(
            "Rollouts by how they ended: "
            + ", ".join(f"`{name}` {number:,}" for name, number in _sorted(counts.outcomes))
            + "."
        )
    num_rollouts = _setting(config.get("label"), "num_rollouts")
    if num_rollouts is not None and counts.num_rollouts:
        parts.append(_plain_recipe(counts, num_rollouts))
    return "\n\n".join(parts)


_USAGE = ("num_calls", "prompt_tokens", "cached_tokens", "generated_tokens")


def _plain_recipe(counts: DatasetCounts, num_rollouts: int) -> str:
    plain = num_rollouts * counts.num_prefixes
    mean = counts.mean_rollout_tokens or 0.0
    tokens = counts.usage["completer"]["generated_tokens"]
    table = _table(
        ("", "here", "plain recipe", "ratio"),
        [
            ("rollouts", counts.num_rollouts, plain, f"{plain / counts.num_rollouts:.2f}"),
            (
                "tokens generated by rollouts",
                tokens,
                f"about {round(plain * mean):,}",
                f"{plain * mean / tokens:.2f}" if tokens else "–",
            ),
        ],
    )
    return (
        f"{table}\n\nThe plain recipe draws {num_rollouts} rollouts from each of the "
        f"{counts.num_prefixes:,} prefixes of all responses that can be labeled; a whole response "
        "needs none, its answer says whether its last step is right. The tokens are an estimate: "
        f"its rollouts times the mean length of those drawn here ({mean:.1f} tokens). Rollouts "
        "that start later are shorter, so it is exact only if those drawn here start as late."
    )


def _decontamination(
    counts: DatasetCounts, decontamination: Decontamination, num_texts: int
) -> str:
    if not decontamination.files:
        return "The problems were not compared with any evaluation set."
    files = "\n".join(f"- `{name}`" for name in decontamination.files)
    return (
        f"{counts.num_removed_problems:,} of {counts.num_problems:,} problems were removed "
        f"because they are among {num_texts:,} evaluation problems: the same text but for "
        f"case and white space, or at least {decontamination.min_share:.0%} of the shorter one's "
        f"runs of {decontamination.num_words} words. `removed.jsonl` names each of them, and what "
        f"it was found to be like. Compared with:\n\n{files}"
    )


def _origin(facts: RunFacts) -> str:
    config = _without(facts.config, MAY_DIFFER)
    versions = [(name, ", ".join(found)) for name, found in facts.versions.items()]
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    return "\n\n".join(
        [
            f"Seed {facts.seed}. Every random choice derives from it.",
            _table(("package", "version"), versions) if versions else "Versions are not known.",
            f"Configuration, without what no label depends on:\n\n```yaml\n{text}```",
        ]
    )


def _without(config: Mapping[str, object], names: Sequence[str]) -> dict[str, object]:
    """A configuration without the settings of these dotted names."""
    kept: dict[str, object] = {}
    for key, value in config.items():
        if key in names:
            continue
        inner = [name.removeprefix(f"{key}.") for name in names if name.startswith(f"{key}.")]
        is_group = inner and isinstance(value, Mapping)
        kept[key] = _without(cast("Mapping[str, object]", value), inner) if is_group else value
    return kept


def _setting(config: object, name: str) -> int | None:
    """The first whole number of that name in a configuration, however deep."""
    if not isinstance(config, dict):
        return None
    values = cast("dict[str, object]", config)
    found = values.get(name)
    if isinstance(found, int):
        return found
    inner = (_setting(value, name) for value in values.values())
    return next((number for number in inner if number is not None), None)


def _sorted(counter: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [list(head), rule, *lines])
