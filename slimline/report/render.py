"""The Jinja2 environment, and one function per template: typed data in, text out, no file."""

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from slimline.report import filters
from slimline.report.content import Report


def markdown(report: Report) -> str:
    """Return `metrics/report.md`: what a pull request shows."""
    return _render("report.md.jinja2", report)


def html(report: Report) -> str:
    """Return `metrics/report.html`: one file that opens offline."""
    return _render("report.html.jinja2", report)


def model_card(report: Report) -> str:
    """Return `metrics/model_card.md`: what goes along with the product."""
    return _render("model_card.md.jinja2", report)


def _render(template: str, report: Report) -> str:
    return _environment().get_template(template).render(report=report)


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
        filters.cell,
        filters.gate_value,
        filters.gate_limit,
    ):
        environment.filters[function.__name__] = function
    return environment
