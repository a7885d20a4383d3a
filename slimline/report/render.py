"""The Jinja2 environment, and one function per template: typed data in, text out, no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from slimline.report import comment_formatting, drawings, report_formatting
from slimline.report import number_formatting as fmt

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
    return _report("report.html.jinja2", report, drawings=drawings.draw(report))


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


def search(**content: object) -> str:
    """Return `metrics/search.html`, of the fields of `slimline.search.page.Page`."""
    return _render("search.html.jinja2", **content)


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
        fmt.points,
        fmt.percent,
        fmt.times,
        fmt.less,
        fmt.milliseconds,
        fmt.kib,
        fmt.count,
        fmt.millions,
        fmt.plain,
        fmt.spread,
        fmt.cell,
        fmt.prose,
        fmt.gate_value,
        fmt.gate_limit,
        report_formatting.burden_sentence,
        report_formatting.variant_cells,
        report_formatting.device_cells,
        report_formatting.runtime_cells,
        report_formatting.level_cells,
        report_formatting.step_cells,
        report_formatting.round_cells,
        report_formatting.layer_cells,
        report_formatting.int8_layer_cells,
        report_formatting.int8_layers_sentence,
        report_formatting.recall_cells,
        report_formatting.recall_sentence,
        report_formatting.mean_recall_sentence,
        report_formatting.mistake_sentence,
        report_formatting.certainty,
        report_formatting.card_rows,
        report_formatting.calibration,
        report_formatting.gain_sentence,
        report_formatting.run_sentence,
        report_formatting.top1_value,
        report_formatting.quoted,
        report_formatting.picture,
        comment_formatting.verdict,
        comment_formatting.verdict_mark,
        comment_formatting.product_sentence,
        comment_formatting.product_rows,
        comment_formatting.unchanged_figures,
        comment_formatting.variant_row,
        comment_formatting.class_row,
        comment_formatting.step_row,
        comment_formatting.setting,
    ):
        environment.filters[function.__name__] = function
    return environment
