"""The report of a study: sections of text, tables and plots, for the terminal and as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.markup import escape
from rich.table import Table

from prm_search.reporting.evaluation_plot import Chart


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A part of a report."""

    title: str
    text: tuple[str, ...] = ()
    """Paragraphs, before the table."""
    columns: tuple[str, ...] = ()
    """Of the table. The first one names the row."""
    rows: tuple[tuple[str, ...], ...] = ()
    """[num_rows, num_columns]"""
    is_prose: bool = False
    """Whether the cells of the table are sentences."""
    note: str = ""
    """Under the table."""
    charts: tuple[Chart, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyReport:
    """Everything that came of a study."""

    title: str
    lead: str
    """What it is and how large, in a sentence or two."""
    sections: tuple[Section, ...]
    values: Mapping[str, object]
    """The same as plain values for JSON."""


def table_of(section: Section) -> Table:
    """The table of a section, for a terminal."""
    table = Table(
        title=escape(section.title),
        caption=escape(section.note),
        header_style="bold",
        caption_justify="left",
        show_lines=section.is_prose,
    )
    for place, name in enumerate(section.columns):
        is_number = place > 0 and not section.is_prose
        table.add_column(escape(name), justify="right" if is_number else "left")
    for row in section.rows:
        table.add_row(*map(escape, row))
    return table


def render(report: StudyReport) -> str:
    """The report as an HTML page that needs nothing else."""
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader("prm_search.studies"), PackageLoader("prm_search.reporting")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    assert environment.loader is not None
    style = environment.loader.get_source(environment, "report.css")[0]
    return environment.get_template("study.html.j2").render(report=report, style=Markup(style))
