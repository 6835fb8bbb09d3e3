"""Progress of one run: counts its stages, and tells the terminal and Prefect's pages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from latent_core.errors import LatentError
from latent_core.store import Artifact
from tasks.progress.count import RunCount
from tasks.progress.left import Costs
from tasks.progress.prefect import Board, StageProgress
from tasks.progress.results import headline, result_line, stage_line
from tasks.progress.terminal import Display, current_display
from tasks.stage import StageCall
from tasks.workers.pool import Progress

logger = logging.getLogger("latent")


class RunProgress:
    """Is told of every call and of what workers say; shows it on `display` and, by stage and over all, in `stages`."""

    def __init__(self, count: RunCount, stages: StageProgress, display: Display) -> None:
        self.count = count
        self._stages = stages
        self._display = display

    def expect(self, call: StageCall) -> None:
        """One more call belongs to the run."""
        self.count.expect(call)
        self._stages.expect(call)

    def start(self, costs: Callable[[list[str]], Costs]) -> None:
        """Calls are about to be computed. `costs` reads earlier results of the stages named, meanwhile."""
        self.count.start()
        self._display.follow(self.count)
        self._stages.show_run(self._said)
        threading.Thread(target=self._learn, args=(costs,), name="estimates", daemon=True).start()

    def _learn(self, costs: Callable[[list[str]], Costs]) -> None:
        try:
            self.count.learn(costs(self.count.open_stages()))
        except (LatentError, OSError) as error:  # the work goes on without an estimate
            logger.warning("the time left is not estimated: earlier results cannot be read: %s", error)

    def __call__(self, progress: Progress) -> None:
        """A worker says how far it is."""
        self.count.word(progress)
        self._display(progress)
        self._stages(progress)
        self._stages.show_run(self._said)

    def finish(self, call: StageCall, artifact: Artifact, cached: bool) -> None:
        """A call's artifact is in the store."""
        record = artifact.manifest.record
        taken = None if cached else (float(record["started"]), float(record["seconds"]))
        stage = self.count.end(call, artifact.rows, taken)
        if taken is not None:
            if stage.calls == 1 or headline(artifact.manifest.content.metrics):
                self._display.result(call.ref.fingerprint, result_line(call.title, artifact, taken[1]))
            else:
                whole = stage_line(call.stage.name, stage) if not stage.open else ""
                self._display.result(call.ref.fingerprint, whole)
        self._stages.finish(call)
        if taken is not None:
            self._stages.show_run(self._said)

    def end(self) -> None:
        """The run is over: say what it did."""
        summary = self.count.summary()
        for line in summary.splitlines():
            logger.info("%s", line)
        self._stages.show_run(lambda: (self.count.percent(), summary.replace("\n", "; ")), last=True)

    def _said(self) -> tuple[float, str]:
        return self.count.percent(), self.count.line()


def open_progress(workers: int, board: Board | None) -> RunProgress:
    """Progress of a run on so many workers, on the display of this process and on `board`."""
    return RunProgress(RunCount(workers), StageProgress(board), current_display())
