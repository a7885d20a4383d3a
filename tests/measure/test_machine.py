import os
from pathlib import Path

import pytest

from slimline import processor
from slimline.measure import machine


def stat(path: Path, busy: float, idle: float) -> None:
    """Write seconds of all CPUs since the start, half of what is busy as `nice`, some stolen."""
    ticks = os.sysconf("SC_CLK_TCK")
    parts = [0.25 * busy, 0.5 * busy, 0, idle, 0, 0, 0, 0.25 * busy, 7.0, 7.0]
    numbers = " ".join(str(round(each * ticks)) for each in parts)
    path.write_text(f"cpu  {numbers}\ncpu0 {numbers}\n")


def test_what_others_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_STAT", tmp_path / "stat")
    stat(tmp_path / "stat", busy=4_000, idle=10_000)
    watch = machine.watch()
    stat(tmp_path / "stat", busy=34_000, idle=80_000)
    # Of 100,000 seconds 30,000 were busy; this process has had a few of them.
    assert watch.load().others == pytest.approx(30, abs=0.1)


def test_our_own_work_is_not_that_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_STAT", tmp_path / "stat")
    times = iter([(1.0, 1.0, 2.0, 0.0, 0.0), (21.0, 5.0, 8.0, 6.0, 0.0)])
    monkeypatch.setattr(os, "times", lambda: next(times))
    stat(tmp_path / "stat", busy=100, idle=100)
    watch = machine.watch()
    stat(tmp_path / "stat", busy=148, idle=152)
    assert watch.load().others == pytest.approx(12)  # 48 seconds, 36 of them ours, of 100


def test_a_system_that_does_not_tell_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_STAT", tmp_path / "nothing")
    load = machine.watch().load()
    assert load.others is None
    assert load.before >= 0
    assert load.after >= 0


def test_a_table_of_another_cpu_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    machine.say_if_other(processor.cpu().model, "data/times.json", "python -m x")
    assert capsys.readouterr().out == ""
    machine.say_if_other("Old CPU", "data/times.json", "python -m x")
    told = capsys.readouterr().out
    assert told.startswith("data/times.json was measured on Old CPU, this is ")
    assert told.endswith("; `python -m x` measures here\n")


_ARM = """\
processor\t: 0
Features\t: fp asimd asimddp i8mm
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: {part}
CPU revision\t: 1
"""


def test_cores_of_arm_without_a_name_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    found = []
    for part in ("0xd40", "0xd4f", "0xd40"):
        (tmp_path / "cpuinfo").write_text(_ARM.format(part=part))
        found.append(processor.cpu())
    assert found[0] == found[2] != found[1]
    assert found[0].model.endswith("0x41 0x1 0xd40")
    assert found[0].flags == ["asimddp", "i8mm"]
