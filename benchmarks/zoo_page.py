"""The page of the zoo: a table of what went how far, and how many did."""

from collections import Counter
from collections.abc import Mapping, Sequence

from benchmarks.zoo_names import WITH_ATTENTION

COLUMNS = {
    "name": "",
    "prune": "prune",
    "px": "prune",
    "params_m": "prune",
    "macs_m": "prune",
    "macs_left": "prune",
    "whole": "prune",
    "peer": "peer",
    "peer_macs_left": "peer",
    "int8": "int8",
    "qat": "int8",
    "differs": "int8",
    "int8_macs": "int8",
    "times": "times",
    "faster": "times",
    "static": "times",
    "static_faster": "times",
    "cpu": "times",
}
"""Of the table, and the part that fills each. That of a part's own name says `yes`, or why not."""

NOT_RUN = "not run yet"
NOT_RECORDED = "a processor that was not recorded"
_HEAD = (
    "`backbone`",
    "px",
    "params, M",
    "MACs, M",
    "MACs left, %",
    "reloads",
    "torch-pruning, MACs left, %",
    "2 QAT steps",
    "int8 file, logits differ, %",
    "MACs in int8, %",
    "times float",
    "`quantize_static`, times float",
    "why not",
)

_INTRODUCTION = """\
# The zoo

<!-- written by `python -m benchmarks.zoo`, from benchmarks/zoo.tsv -->

How far networks go that nothing here was written for: every classifier of torchvision, and one of
each of timm's families, with random weights (noise too where a network begins with zeros, as in a
head or a layer scale, which would hide what stands before them) and images of noise. Each row is
what `python -m slimline doctor` finds, in a process of its own, and begins with the name as
`backbone` in `params.yaml` takes it.

- **MACs left**: after pruning by magnitude, which was asked for 68.5 %, and meets it to 2 %. In
  brackets how many layers stayed whole, since what reads them cannot be followed.
- **reloads**: rebuilt from `model.json` and tensors, the narrower network answers the same, bit for
  bit.
- **torch-pruning**: what 1.6.1 leaves of the same network, asked for the same; it goes no further.
- **int8 file**: it agrees with fake-quant as the pipeline demands; the largest difference of a
  logit, of their spread.
- **times float**: one image on one thread, as the median of ratios within turns; not there where
  these differed too much, since the machine did other things as well. Of which processor, is told
  at the end.

`python -m benchmarks.zoo run --names NAME --again` makes a row anew.
"""


def render(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the page, Markdown, from the rows of the table."""
    groups = {
        "torchvision's convolutional classifiers": [r for r in rows if _is_convolutional(r)],
        "torchvision's classifiers with attention": [
            r for r in rows if _library(r) == "torchvision" and not _is_convolutional(r)
        ],
        "timm, one of a family": [r for r in rows if _library(r) == "timm"],
    }
    parts = [_INTRODUCTION, _summary(groups)]
    for title, members in groups.items():
        lines = [f"| {' | '.join(_HEAD)} |", f"|---|{'---:|' * (len(_HEAD) - 2)}---|"]
        lines += [f"| {' | '.join(_cells(row))} |" for row in members]
        parts.append(f"## {title}\n\n" + "\n".join(lines) + "\n")
    parts.append(_processors(rows))
    return "\n".join(parts)


def _library(row: Mapping[str, str]) -> str:
    return row["name"].partition(":")[0]


def _is_convolutional(row: Mapping[str, str]) -> bool:
    library, _, name = row["name"].partition(":")
    return library == "torchvision" and not name.startswith(WITH_ATTENTION)


def _summary(groups: Mapping[str, Sequence[Mapping[str, str]]]) -> str:
    """Return how many of those that were looked at go how far."""
    head = (
        "| of | networks | pruned and reloaded | torch-pruning | int8 file | not looked at there |"
    )
    lines = [head, "|---|---:|---:|---:|---:|---:|"]
    for title, rows in groups.items():
        pruned, peer, int8 = (
            f"{sum(row[part] == 'yes' for row in rows)} of {sum(bool(row[part]) for row in rows)}"
            for part in ("prune", "peer", "int8")
        )
        waiting = sum(not row["int8"] for row in rows)
        lines.append(f"| {title} | {len(rows)} | {pruned} | {peer} | {int8} | {waiting} |")
    return "\n".join(lines) + "\n"


def _processors(rows: Sequence[Mapping[str, str]]) -> str:
    """Return how many times are of which processor, which ratios depend on."""
    found = Counter(row["cpu"] or NOT_RECORDED for row in rows if row["faster"])
    lines = ["| times of | networks |", "|---|---:|"]
    lines += [f"| {name} | {count} |" for name, count in found.most_common()]
    return "## Processors\n\n" + "\n".join(lines) + "\n"


def _cells(row: Mapping[str, str]) -> list[str]:
    whole = f" ({row['whole']} whole)" if row["whole"] not in {"", "0"} else ""
    reasons = [
        f"{'int8: ' if part == 'int8' and row['prune'] == 'yes' else ''}{row[part]}"
        for part in ("prune", "int8")
        if row[part] not in {"", "yes"}
    ]
    is_same = len(reasons) == 2 and reasons[0] == reasons[1]
    return [
        f"`{row['name']}`",
        row["px"],
        row["params_m"],
        row["macs_m"],
        _cell(row, "prune", row["macs_left"] and f"{float(row['macs_left']):.1f}{whole}"),
        _cell(row, "prune", "yes" if row["prune"] == "yes" else ""),
        _cell(row, "peer", row["peer_macs_left"] or ("fails" if row["peer"] else "")),
        _cell(row, "int8", row["qat"]),
        _cell(row, "int8", row["differs"]),
        _cell(row, "int8", row["int8_macs"]),
        _cell(row, "times", row["faster"]),
        _cell(row, "times", row["static_faster"] or ("fails" if row["static"] else "")),
        "; ".join(reasons[:1] if is_same else reasons).replace("|", "\\|"),
    ]


def _cell(row: Mapping[str, str], part: str, value: str) -> str:
    """Return a value; that there is none, or that nobody looked."""
    return value or ("-" if row[part] else NOT_RUN)
