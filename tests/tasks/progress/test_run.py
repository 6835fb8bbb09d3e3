"""What a run shows of its progress: results as lines that stay, the run over the bars, one entry in Prefect."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from latent_core.store import Artifact, ArtifactStore, begin
from tasks.progress import terminal
from tasks.progress.count import RunCount
from tasks.progress.prefect import INTERVAL, StageProgress
from tasks.progress.run import RunProgress
from tasks.progress.terminal import ProgressBars, ProgressLog, shown_by
from tasks.stage import StageCall
from tasks.workers.pool import Progress
from tests.support.toy_stages import Numbers, SumInputs, ToyInputs, add_up, count_up
from tests.tasks.progress.test_prefect import Clock, FakeBoard


@dataclass
class Lines:
    """A display that keeps what it is told of results."""

    lines: list[str] = field(default_factory=list)

    def follow(self, count: RunCount) -> None: ...

    def __call__(self, progress: Progress) -> None: ...

    def result(self, fingerprint: str, line: str) -> None:
        self.lines.append(line)


class Site:
    """A store, the calls of a run of two `numbers` and one `sum`, and the run's progress."""

    def __init__(self, folder: Path, display: Any) -> None:
        self.store = ArtifactStore(folder)
        self.board, self.clock = FakeBoard(), Clock()
        self.progress = RunProgress(RunCount(1, self.clock), StageProgress(self.board, self.clock), display)
        numbers = [count_up.call(Numbers(count=count, log=""), ToyInputs(), f"{count}/2") for count in (1, 2)]
        summed = add_up.call(Numbers(count=0, log=""), SumInputs(tuple(call.ref for call in numbers)), "of both")
        self.calls = [*numbers, summed]
        for call in self.calls:
            self.progress.expect(call)

    def artifact(self, call: StageCall, rows: int, **metrics: Any) -> Artifact:
        with begin(self.store, call.ref) as out:
            return out.commit(rows=rows, metrics=metrics, record={"seconds": 4.0})

    def finish(self, call: StageCall, rows: int = 5, cached: bool = False, **metrics: Any) -> None:
        self.progress.finish(call, self.artifact(call, rows, **metrics), cached)


def test_result_with_a_number_has_a_line_of_its_own_and_shards_share_one(tmp_path: Path) -> None:
    display = Lines()
    site = Site(tmp_path, display)
    first, second, summed = site.calls
    site.finish(first, rows=1000)
    site.finish(second, rows=500)
    site.finish(summed, 300, accuracy={"value": 0.7867, "low": 0.7, "high": 0.8})
    assert display.lines == [
        "",
        "numbers: 2 of 2, 1,500 rows, 4 s",
        "sum of both: 300 rows, accuracy 78.7 %, 4 s",
    ]


def test_cached_result_is_counted_and_not_told(tmp_path: Path) -> None:
    display = Lines()
    site = Site(tmp_path, display)
    site.finish(site.calls[0], cached=True)
    assert display.lines == [] and site.progress.count.line() == "1 of 3 stages"


def test_prefect_has_one_entry_of_the_run_that_ends_with_its_summary(tmp_path: Path) -> None:
    site = Site(tmp_path, Lines())
    site.progress.start(lambda stages: lambda stage, rows: None)
    for call in site.calls:
        site.finish(call)
        site.clock.now += INTERVAL
    site.progress.end()
    shown = [(percent, words) for entry, percent, words in site.board.shown if entry == "progress"]
    assert [percent for percent, _ in shown] == [0.0, 66.7, 100.0, 100.0]
    assert shown[-1][1].startswith("3 stages in 30 s: 3 computed, 0 cached; time by stage: ")


def test_earlier_results_that_cannot_be_read_cost_the_estimate_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(tmp_path, Lines())

    def unreadable(stages: list[str]) -> Any:
        raise PermissionError("no")

    site.progress._learn(unreadable)
    assert "the time left is not estimated" in caplog.text
    assert site.progress.count.line() == "0 of 3 stages"


def test_log_has_results_and_the_run_every_ten_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(terminal.time, "monotonic", clock)
    site = Site(tmp_path, ProgressLog())
    with caplog.at_level(logging.INFO, logger="latent"):
        terminal_display = site.progress._display
        terminal_display.follow(site.progress.count)
        site.finish(site.calls[0])
        clock.now += 11
        site.finish(site.calls[1])
        site.finish(site.calls[2])
    assert caplog.messages == [
        "0 of 3 stages",
        "numbers: 2 of 2, 10 rows, 4 s",
        "2 of 3 stages",
        "sum of both: 5 rows, 4 s",
    ]


def _screen() -> tuple[io.StringIO, Console]:
    screen = io.StringIO()
    return screen, Console(file=screen, force_terminal=True, width=100, legacy_windows=False)


def test_log_lines_are_printed_above_the_bars_and_elsewhere_again_after_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen, console = _screen()
    terminal_stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal_stream)
    handler = logging.StreamHandler(terminal_stream)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    with ProgressBars(console):
        logging.getLogger("latent").warning("above")
    logging.getLogger("latent").warning("after")
    assert "above" in screen.getvalue() and terminal_stream.getvalue() == "after\n"


def test_bars_stand_under_the_run_and_results_stay_above(tmp_path: Path) -> None:
    screen, console = _screen()
    with ProgressBars(console) as bars, shown_by(bars):
        site = Site(tmp_path, bars)
        first, _, summed = site.calls
        bars.follow(site.progress.count)
        site.progress(Progress(first.title, first.ref.fingerprint, 3, 10, 0))
        bars._bars.refresh()
        under_way = screen.getvalue()
        site.finish(summed, 300, accuracy={"value": 0.5, "low": 0.4, "high": 0.6})
        site.finish(first)
        site.progress(Progress(first.title, first.ref.fingerprint, 10, 10, 0))  # its last words come late
        assert bars._bars.tasks == []
    assert "0 of 3 stages" in under_way and "numbers 1/2" in under_way and "3/10" in under_way
    assert "sum of both: 300 rows, accuracy 50.0 %, 4 s" in screen.getvalue()


def test_headline_is_the_number_that_a_stage_is_run_for(tmp_path: Path) -> None:
    from tasks.progress.results import headline

    assert headline({"best_eval_loss": 0.17611}) == "loss 0.176"
    assert headline({"accuracy": {"value": 1}}) == "accuracy 100.0 %"
    played = {"return": {"value": -0.0824}, "success": {"value": 0}, "format_rate": 0.07625}
    assert headline(played) == "return -0.08, 8 % in the right format"
    assert headline({"rows": 3}) == ""
