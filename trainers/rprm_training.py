"""The stages of an R-PRM's training in which the model learns: SFT and DPO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from accelerate.utils import release_memory
from transformers import AutoTokenizer
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from prm_search.bootstrapping.bootstrap_totals import BootstrapTotals
from prm_search.bootstrapping.finished import read_analyses, read_totals
from prm_search.bootstrapping.rows import (
    AnalysisRow,
    PairRow,
    analysis_rows,
    balanced,
    pair_rows,
    require_both_classes,
    split_by_problem,
    write_rows,
)
from prm_search.bootstrapping.settings import Stage
from prm_search.errors import ConfigurationError, EngineError
from prm_search.model_folder import check_folder
from prm_search.progress import ProgressDisplay
from prm_search.run_session import INTERRUPTED, OK
from prm_search.seeds import derive_seed
from trainers.prm_checkpoint import write_model
from trainers.process_state import process_state
from trainers.rprm_card import LearnedRows, rprm_card
from trainers.rprm_config import MAY_DIFFER, stage_config
from trainers.rprm_finetuning import Finished, Outcome, Tuning
from trainers.rprm_job import TrainRPrm
from trainers.rprm_rows import Encoder
from trainers.rprm_scores import VerdictScore, score_verdicts
from trainers.rprm_settings import Finetuning
from trainers.run_folder import open_run


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    """What a stage learns from, and what it is measured on."""

    train: list[AnalysisRow] | list[PairRow]
    validation: list[AnalysisRow] | list[PairRow]
    totals: BootstrapTotals


def train(
    job: TrainRPrm,
    stage: Stage,
    *,
    config: Mapping[str, object],
    command: str,
    display: ProgressDisplay,
) -> int:
    """Train the model of a stage, or go on with it; nothing is done if it is there.

    Returns:
        0 if it came to its end, 130 if it was interrupted.

    Raises:
        PrmSearchError: if it cannot be done.
    """
    state = process_state()
    directory, model_dir = job.directory(stage), job.model_dir(stage)
    own_config = stage_config(config, stage, job)
    if state.is_main_process:
        open_run(directory, own_config, seed=job.seed, command=command, may_differ=MAY_DIFFER)
    if model_dir.is_dir():
        display.say(f"{stage}: the model is there: {model_dir}")
        return OK
    settings: Finetuning = job.sft if stage is Stage.sft else job.dpo
    start = job.model if stage is Stage.sft else str(job.model_dir(Stage.sft))
    rows = _analyses(job) if stage is Stage.sft else _pairs(job)
    if state.is_main_process:
        write_rows(directory / "train.jsonl", rows.train)
        write_rows(directory / "validation.jsonl", rows.validation)
    encoder = Encoder(
        tokenizer=_tokenizer(start),
        system_prompt=job.system_prompt,
        max_tokens=settings.max_tokens,
    )
    encode = encoder.analyses if stage is Stage.sft else encoder.pairs
    tuning = Tuning(
        stage=stage,
        model=start,
        tokenizer=encoder.tokenizer,
        settings=settings,
        train=encode(rows.train),  # type: ignore[arg-type]
        validation=encode(rows.validation),  # type: ignore[arg-type]
        directory=directory,
        seed=job.seed,
    )
    num_left_out = tuning.train.num_left_out + tuning.validation.num_left_out
    display.say(
        f"{stage}: {len(rows.train):,} rows to learn from, {len(rows.validation):,} for "
        f"validation, {num_left_out:,} left out as too long"
    )

    def finish(finished: Finished, outcome: Outcome) -> None:
        verdicts = _verdicts(job, finished, encoder, settings) if finished.is_whole else None
        learned = LearnedRows(
            train=rows.train,
            validation=rows.validation,
            num_left_out=num_left_out,
            totals=rows.totals,
            teacher=_writer(job, stage, config),
        )
        write_model(
            model_dir,
            finished.model,
            finished.weights,
            encoder.tokenizer,
            dtype=getattr(torch, job.weights_dtype),
            card=rprm_card(job, stage, learned, outcome, verdicts),
        )
        display.say(f"{stage}: {_describe(outcome, verdicts)}. Model: {model_dir}")

    is_done = tuning.run(say=display.say, finish=finish)
    release_memory()  # for the engine that comes next
    if not is_done:
        display.say(f"Stopped; what is done is kept. To go on:\n  {command}")
    return OK if is_done else INTERRUPTED


def _analyses(job: TrainRPrm) -> _Rows:
    directory = job.directory(Stage.analyses)
    totals = read_totals(directory)
    rows = list(analysis_rows(read_analyses(directory), job.analysis.family))
    train, validation = split_by_problem(rows, job.bootstrap.validation_share, job.seed)
    require_both_classes(train, "analysis", totals)
    return _Rows(
        train=balanced(train, job.seed), validation=balanced(validation, job.seed), totals=totals
    )


def _pairs(job: TrainRPrm) -> _Rows:
    directory = job.directory(Stage.pairs)
    totals = read_totals(directory)
    rows = list(pair_rows(read_analyses(directory), job.analysis.family, job.preferences))
    train, validation = split_by_problem(rows, job.bootstrap.validation_share, job.seed)
    if job.preferences.is_balanced or not train:
        require_both_classes(train, "pair of analyses", totals)
    if job.preferences.is_balanced:
        train, validation = balanced(train, job.seed), balanced(validation, job.seed)
    return _Rows(train=train, validation=validation, totals=totals)


def _verdicts(
    job: TrainRPrm, finished: Finished, encoder: Encoder, settings: Finetuning
) -> VerdictScore | None:
    """On the steps whose analyses SFT was measured on, whatever the stage."""
    rows = _analyses(job).validation
    rows.sort(key=lambda row: derive_seed(job.seed, row.problem, row.step))
    chosen = [row for row in rows if isinstance(row, AnalysisRow)][: settings.num_checked]
    if not chosen:
        return None
    return score_verdicts(
        finished.model,
        chosen,
        encoder=encoder,
        family=job.analysis.family,
        rows_per_forward=settings.rows_per_forward,
    )


def _tokenizer(model: str) -> PreTrainedTokenizerBase:
    try:
        check_folder(model)
        return AutoTokenizer.from_pretrained(model)
    except EngineError as error:
        raise ConfigurationError(f"model: {error}") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"model: cannot load the tokenizer of {model!r}: {error}"
        ) from error


def _writer(job: TrainRPrm, stage: Stage, config: Mapping[str, object]) -> str:
    """The model that wrote what is learned."""
    if stage is Stage.dpo:
        return "the model of stage sft"
    teacher = config.get("teacher")
    name = teacher.get("model") if isinstance(teacher, Mapping) else None
    return "a stronger model" if name is None else f"`{name}`"


def _describe(outcome: Outcome, verdicts: VerdictScore | None) -> str:
    parts = [f"{outcome.num_steps} updates"]
    if outcome.loss is not None:
        parts.append(f"loss {outcome.loss:.4f}")
    if "loss" in outcome.validation:
        parts.append(f"validation loss {outcome.validation['loss']:.4f}")
    if verdicts is not None and verdicts.num_right and verdicts.num_wrong:
        parts.append(
            f"true verdicts on {verdicts.num_hits_right / verdicts.num_right:.1%} of right and "
            f"{verdicts.num_hits_wrong / verdicts.num_wrong:.1%} of wrong steps"
        )
    return ", ".join(parts)
