from typing import Any

import toy
from records_of_trials import WRITTEN, record, search

from slimline import variants
from slimline.search import page
from slimline.search.records import Record
from slimline.search.trial import Bench

THRESHOLDS = (0.2, 0.35, 0.45, 0.6, 0.8)


def bench(**changes: Any) -> Bench:
    declared = variants.read(toy.ROOT / variants.PATH)
    return Bench(search(**changes), WRITTEN, "0" * 8, "1" * 40, declared, lambda _: [])


def records() -> list[Record]:
    made = [
        record({"prune.threshold": each, "prune.recover.epochs": 1.0}, number)
        for number, each in enumerate(THRESHOLDS)
    ]
    failed = record({"prune.threshold": 0.9}, 5, state="failed", reason="<diverged>", figures={})
    return [*made, failed]


def test_ready_choices_answer_common_questions() -> None:
    made = page.content(bench(), records(), {})
    trials = {each.name: each.cells[0] for each in made.choices}
    names = [each.trial for each in records()]
    assert trials["smallest within 0.25 points"] == names[2]
    assert trials["smallest within 1 points"] == names[3]
    assert trials["smallest within 2 points"] == names[4]
    assert trials["most accurate up to 250 KiB"] == names[2]
    assert trials["fewest MACs up to 250 KiB within 0.5 points"] == names[2]
    assert "It is not confirmed with other seeds yet" in made.lead


def test_the_page_has_all_trials_and_no_markup_of_theirs() -> None:
    html = page.render_page(page.content(bench(), records(), {"prune.threshold": 0.9}))
    for each in records():
        assert each.trial in html
    assert "failed: &lt;diverged&gt;" in html
    assert "<diverged>" not in html
    assert html.count("<svg") == 3
    assert "http" not in html.replace("http://www.w3.org", "")
    assert html == page.render_page(page.content(bench(), records(), {"prune.threshold": 0.9}))


def test_a_study_without_a_product_says_why() -> None:
    made = page.content(bench(), records()[-1:], {})
    assert made.lead.startswith("no trial has a product (1 failed)")
    assert page.render_page(made).count("<svg") == 0


def test_a_confirmed_trial_leads_the_page() -> None:
    found = records()
    runs = [
        record(found[2].settings, seed=seed, figures=found[2].figures | {"size_kib": 230.0})
        for seed in (2, 3, 4)
    ]
    made = page.content(bench(), [*found, *runs], {})
    assert f"The best is {found[2].trial}: over 3 other seeds 230 KiB" in made.lead
    (confirmation,) = made.confirmations
    assert confirmation.is_kept
    assert [each.name for each in made.trials if each.is_best] == [found[2].trial]


def test_what_reuse_saved_is_counted_by_stages_that_ran_here() -> None:
    stages = {"prune": 100.0, "int8_export": 20.0}
    first = record({"prune.threshold": 0.2}, seconds=stages, total_seconds=3600)
    second = record(
        {"prune.threshold": 0.3},
        seconds={"int8_export": 20.0},
        reused=["prune", "baseline_train"],
        total_seconds=3500,
    )
    assert page.effort([first, second]) == (
        "2 runs took 1.97 h; without what they reused of each other they would have taken 2.00 h, "
        "not counting baseline_train, never run here."
    )


def test_a_table_calls_the_goal_by_its_name() -> None:
    found = records()
    runs = [record(found[2].settings, seed=seed, figures=found[2].figures) for seed in (2, 3, 4)]
    for goal, name in (("size_kib", "file, mean"), ("macs_m", "MACs, mean")):
        html = page.render_page(page.content(bench(minimise=goal), [*found, *runs], {}))
        assert f"<th>{name}</th>" in html


def test_long_keys_are_broken_where_their_margin_ends() -> None:
    keys = {"prune.recover.learning_rate": 0.6, "prune.recover.distill.last": 0.4}
    (drawing,) = page.content(bench(), records()[-1:], keys).drawings
    for line in ("prune.recover.", "learning_rate", "distill.last"):
        assert f">{line}<" in drawing.svg
