"""The Jinja2 environment, and one function per template: typed data in, text out, no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from slimline.report import change_filters, filters, plots, report_filters

if TYPE_CHECKING:
    from slimline.report.comparison import Comparison
    from slimline.report.content import Report

_MOST_CLASSES = {"report.md.jinja2": 50, "report.html.jinja2": 300}
"""Rows of the table of classes: a pull request has little room, the page must stay light."""

COMMENT_LIMIT = 60_000
"""Characters of a pull request's comment; GitHub refuses more than 65,536."""

_ROWS = (200, 50, 10, 0)
"""Rows of a table that may be long, from generous to none: the first that fits is taken."""


def markdown(report: Report) -> str:
    """Return `metrics/report.md`: what a pull request shows."""
    return _report("report.md.jinja2", report)


def html(report: Report) -> str:
    """Return `metrics/report.html`: one file that opens offline."""
    return _report("report.html.jinja2", report, drawings=plots.draw(report))


def model_card(report: Report) -> str:
    """Return `metrics/model_card.md`: what goes along with the product."""
    return _render("model_card.md.jinja2", report=report)


def diff(change: Comparison) -> str:
    """Return the comment of a pull request, with as many rows as its limit has room for."""
    for rows in _ROWS:
        text = _render("diff.md.jinja2", change=change, rows=rows)
        if len(text) < COMMENT_LIMIT:
            return text
    raise AssertionError("a comment without any row is short")


def _report(template: str, report: Report, **content: object) -> str:
    classes, most = report.classes, _MOST_CLASSES[template]
    num_more = max(0, len(classes) - most)
    return _render(template, report=report, classes=classes[:most], num_more=num_more, **content)


def _render(template: str, **content: object) -> str:
    return _environment().get_template(template).render(**content)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("slimline.report"),
        autoescape=select_autoescape(enabled_extensions=["html.jinja2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for function in (
        filters.points,
        filters.percent,
        filters.times,
        filters.milliseconds,
        filters.kib,
        filters.count,
        filters.millions,
        filters.plain,
        filters.spread,
        filters.cell,
        filters.gate_value,
        filters.gate_limit,
        report_filters.variant_cells,
        report_filters.level_cells,
        report_filters.step_cells,
        report_filters.round_cells,
        report_filters.layer_cells,
        report_filters.int8_layer_cells,
        report_filters.int8_layers_sentence,
        report_filters.recall_cells,
        report_filters.recall_sentence,
        report_filters.mistake_sentence,
        report_filters.certainty,
        report_filters.card_rows,
        report_filters.calibration,
        report_filters.gain_sentence,
        report_filters.run_sentence,
        report_filters.top1_value,
        report_filters.quoted,
        report_filters.picture,
        change_filters.verdict,
        change_filters.verdict_mark,
        change_filters.product_sentence,
        change_filters.product_rows,
        change_filters.unchanged_figures,
        change_filters.variant_row,
        change_filters.class_row,
        change_filters.step_row,
        change_filters.setting,
    ):
        environment.filters[function.__name__] = function
    return environment
