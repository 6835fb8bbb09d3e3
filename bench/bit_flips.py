"""One bit of a finished store is flipped at a time, and everything that shows results is asked to show them.

    python -m bench.bit_flips --flips 2000 --seed 1

A tiny run of the main job is made, and beside it a nightly comparison, a run's journal and a model's card. Then, for
each flip, all that reads results outside stages reads again: plan and table of `latent run`, the report's page and
figures, `latent compare`, the verdict and the yardstick of `reevaluate`, a card, and of `latent demo-ui` the samples
and the models. Each must say what it said before, or refuse with the file's name, or count the damaged result as
missing, so that the run computes it again; some of those repairs are made for real. All else is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import logging
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.here import run_here
from bench.record import add_json_option, save
from flows.cli.comparison import show as show_comparison
from flows.launch.plan import plan
from flows.launch.registry import find_flow
from flows.parts.publish import show_card
from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.evaluation.condition import Condition, Kind
from latent_core.identity import fingerprint
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, DamagedError, begin
from latent_core.ui.catalog import stored_offers
from latent_core.ui.samples import PRESET_SOURCE, SampleLibrary
from tasks.compare import (
    COMPARISON_MARKDOWN,
    CompareEvaluations,
    CompareEvaluationsInputs,
    compare_evaluations,
    fallen,
)
from tasks.run.hits import Hits
from tasks.stage import StageCall, Workplace
from tasks.tables import SAMPLES
from tasks.tracking.journal import Journal, last_accepted
from tasks.workers.compute import perform

RECIPE: dict[str, Any] = {
    "benchmark": {"difficulties": [1]},
    "collect": {"questions": 12, "shard_questions": 6, "sampling": {"samples": 2, "max_new_tokens": 256}},
    "compress": {"ratios": [0.5], "scoring": {"spans": True}},
    "prepare": {"ratios": [1.0, 0.5]},
    "train": {"steps": 2, "batch_size": 4, "micro_batch_size": 4, "eval_every": 2, "max_length": 512},
    "evaluate": {"questions": 10, "ratios": [1.0, 0.5], "baselines": ["truncate"], "sampling": {"max_new_tokens": 64}},
}
MODELS = ("train", "build_dual")
SAME, REFUSED, AGAIN, WRONG = "not read", "refused", "computed again", "wrong"
REPAIRS = 8  # made for real


class Missing(Exception):
    """A result counts as missing, so that the run would compute it again before it shows anything."""


@dataclass
class Scene:
    """A finished store, all that shows it by name, and the run that computes what is missing."""

    store: ArtifactStore
    readers: dict[str, Callable[[], str]]
    mend: Callable[[], list[StageCall]]

    def shown(self) -> dict[str, str]:
        """What each reader shows, or how it says that it cannot."""
        found = {}
        for name, reader in self.readers.items():
            try:
                found[name] = reader()
            except Missing:
                found[name] = AGAIN
            except DamagedError:
                found[name] = REFUSED
            except Exception as error:
                found[name] = f"traceback, {type(error).__name__}: {error}"
        return found


@dataclass
class Tally:
    """What became of the flips in one kind of file."""

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    mendable: list[tuple[Path, int]] = field(default_factory=list)


def small_scene(folder: Path) -> Scene:
    """A tiny run of the main job with all that may lie beside it."""
    name, entry = "tokenskip-math", find_flow("tokenskip-math")
    places = {
        "store": str(folder / "store"),
        "runtime": {"work_dir": str(folder / "work"), "threads_per_worker": 1},
        "tracking": {"enabled": False},
    }
    config = TokenSkipConfig.model_validate(RECIPE | places)
    report, _ = run_here(name, entry, config)
    return scene_of(entry, config, report, lambda: run_here(name, entry, config)[1])


def scene_of(entry: Any, config: Any, report: Artifact, mend: Callable[[], list[StageCall]]) -> Scene:
    """What shows a flow's finished report, with a comparison, a journal and a card that are added to its store."""
    store = report.store
    evaluations = list(store.list("evaluate"))
    before, after = evaluations[0], evaluations[-1]
    condition = Condition("model", Kind.RATIO, 1.0)
    inputs = CompareEvaluationsInputs({condition: before}, {condition: after})
    compared = compare_evaluations.call(CompareEvaluations(), inputs)
    computed_here(compared, store)
    journal = Journal("run", "reevaluate", "", {}, 0.0, 1.0, "FINISHED", {"latent.report": report.ref.fingerprint})
    journal.write(store)
    card = _written_card(store)

    def table() -> str:
        run, result = plan(entry, config)
        if not all(line.hit for line in run.lines):
            raise Missing
        found = store.require(result)
        entry.conclude(config, run, found)
        return _printed(lambda: entry.show(found))

    def mend_all() -> list[StageCall]:
        """The flow, and the comparison, which in a store of users is another flow's."""
        return [*mend(), *([compared] if computed_here(compared, store) else [])]

    def verdict() -> str:
        artifact = Hits(store).find(compared)
        if artifact is None:
            raise Missing
        return "\n".join([*fallen(artifact), artifact.read_bytes(COMPARISON_MARKDOWN).decode()])

    def page() -> str:
        found = store.require(report.ref)
        read = (found.read_bytes(item.path) for item in found.manifest.content.files)
        return "\n".join(content.decode(errors="backslashreplace") for content in read)  # one is a PDF

    def yardstick() -> str:
        return str(last_accepted(store, "reevaluate", {}))

    readers = {
        "table": table,
        "page": page,
        "compare": lambda: _printed(lambda: show_comparison(before.key, after.key, store, False)),
        "verdict": verdict,
        "yardstick": yardstick,
        "card": lambda: _printed(lambda: show_card(store.require(card.ref))),
        "samples": lambda: _samples(store),
        "models": lambda: _models(store),
    }
    return Scene(store, readers, mend_all)


def computed_here(call: StageCall, store: ArtifactStore) -> bool:
    """Compute a call that the store has no sound result of; returns whether that was so."""
    hits = Hits(store)
    if hits.find(call) is not None:
        return False
    hits.clear(call)
    with tempfile.TemporaryDirectory() as scratch:
        perform(call, Workplace(store, Path(scratch), lambda *_: None))
    return True


def campaign(scene: Scene, flips: int, seed: int) -> dict[str, Tally]:
    """Flip a bit, read all, put it back; what became of it by kind of file."""
    chance = random.Random(seed)
    files = _files(scene.store)
    before = scene.shown()
    for name, shown in before.items():
        assert shown not in (AGAIN, REFUSED) and not shown.startswith("traceback"), f"not whole before: {name}, {shown}"
    tallies: dict[str, Tally] = defaultdict(Tally)
    for _ in range(flips):
        kind = chance.choice(sorted(files))
        path = chance.choice(files[kind])
        bit = chance.randrange(8 * path.stat().st_size)
        flip(path, bit)
        try:
            after = scene.shown()
        finally:
            flip(path, bit)
        outcome = judged(before, after)
        tallies[kind].outcomes[outcome] += 1
        if outcome == AGAIN:
            tallies[kind].mendable.append((path, bit))
        if outcome == WRONG:
            differing = "; ".join(f"{name}: {after[name][:200]}" for name in after if after[name] != before[name])
            tallies[kind].wrong.append(f"{path}, bit {bit}: {differing}")
    assert scene.shown() == before, "not whole afterwards"
    return dict(tallies)


def judged(before: dict[str, str], after: dict[str, str]) -> str:
    """Wrong where any reader shows something else without saying why."""
    changed = {after[name] for name in after if after[name] != before[name]}
    if not changed:
        return SAME
    if not changed <= {AGAIN, REFUSED}:
        return WRONG
    return AGAIN if AGAIN in changed else REFUSED


def repair(scene: Scene, path: Path, bit: int) -> bool:
    """Flip for good, run again, and say whether all is whole and the table what it was."""
    before = _without_paths(scene.readers["table"]())
    flip(path, bit)
    computed = scene.mend()
    is_whole = all(scene.store.verify(ref).ok for ref in scene.store.list())
    return bool(computed) and is_whole and _without_paths(scene.readers["table"]()) == before


def flip(path: Path, bit: int) -> None:
    """Change one bit in place, as a disk does it; a second time puts it back."""
    with path.open("r+b") as handle:
        handle.seek(bit // 8)
        byte = handle.read(1)[0] ^ (1 << bit % 8)
        handle.seek(bit // 8)
        handle.write(bytes([byte]))


def _files(store: ArtifactStore) -> dict[str, list[Path]]:
    """The files of a store by kind: stage and name, without what changes from artifact to artifact."""
    found: dict[str, list[Path]] = defaultdict(list)
    owned = {f"{ref.key}/{store.manifest(ref).record['attempt']}" for ref in store.list()}
    for path in sorted(Path(store.root).rglob("*")):
        parts = path.relative_to(store.root).parts
        is_left = len(parts) > 3 and "/".join(parts[:3]) not in owned  # of an artifact that was computed again
        if path.is_file() and path.stat().st_size and not is_left:
            kind = parts[0] if parts[-1] != "manifest.json" else "manifest"
            found[kind if kind == "manifest" else f"{parts[0]} {path.suffix or path.name}"].append(path)
    return dict(found)


def _printed(action: Callable[[], object]) -> str:
    with redirect_stdout(io.StringIO()) as printed:
        action()
    return printed.getvalue()


def _samples(store: ArtifactStore) -> str:
    library = SampleLibrary(store, SAMPLES.file)
    lines = []
    for source in library.sources():
        if source != PRESET_SOURCE:
            pages = [library.page(source, 1)]
            pages += [library.page(source, number) for number in range(2, pages[0].pages + 1)]
            lines += [str(page) for page in pages]
    return "\n".join(lines)


def _models(store: ArtifactStore) -> str:
    """Names and weights of the models on offer."""
    offers = stored_offers(store, MODELS)
    if len(offers) != sum(ref.stage in MODELS for ref in store.list()):
        raise DamagedError("a model is left out, and the log says why")
    lines = []
    for offer in offers:
        weights = sorted(path for path in offer.locate().iterdir())
        lines += [offer.name, *(hashlib.sha256(path.read_bytes()).hexdigest() for path in weights)]
    return "\n".join(lines)


def _written_card(store: ArtifactStore) -> Artifact:
    with begin(store, ArtifactRef("mini_card", fingerprint("mini_card", 1, {"card": "tiny"}, {}))) as out:
        with out.directory("model") as directory:
            (directory / "README.md").write_text("# A model\n\n| steps | accuracy |\n|---|---|\n| 1 | 98.0% |\n")
            (directory / "config.json").write_text("{}")
        return out.commit()


def _without_paths(table: str) -> str:
    return "\n".join(line for line in table.splitlines() if "attempt-" not in line)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repairs", type=int, default=REPAIRS, help="how many flips are mended for real afterwards")
    parser.add_argument("--folder", type=Path, help="where the tiny run is made, or lies already")
    add_json_option(parser)
    options = parser.parse_args()
    logging.getLogger("latent").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch:
        scene = small_scene(options.folder or Path(scratch))
        started = time.monotonic()
        tallies = campaign(scene, options.flips, options.seed)
        seconds = time.monotonic() - started
        columns = (SAME, REFUSED, AGAIN, WRONG)
        print(f"| file | flips | {' | '.join(columns)} |\n|---|---:|{'---:|' * len(columns)}")
        total: Counter[str] = Counter()
        for kind, tally in sorted(tallies.items()):
            total += tally.outcomes
            numbers = " | ".join(str(tally.outcomes[name]) for name in columns)
            print(f"| {kind} | {tally.outcomes.total()} | {numbers} |")
        print(f"| all | {total.total()} | {' | '.join(str(total[name]) for name in columns)} |")
        print(f"\n{seconds / options.flips:.2f} s a flip")
        for line in (line for tally in tallies.values() for line in tally.wrong):
            print(f"WRONG {line}")
        mendable = [flipped for tally in tallies.values() for flipped in tally.mendable]
        chosen = random.Random(options.seed).sample(mendable, len(mendable))
        mended: list[bool] = []
        for path, bit in chosen:
            there = {file for some in _files(scene.store).values() for file in some}
            if len(mended) < options.repairs and path in there:
                mended.append(repair(scene, path, bit))
        outcomes = {kind: {name: tally.outcomes[name] for name in columns} for kind, tally in tallies.items()}
        repairs = {"made": len(mended), "whole": sum(mended)}
        save(options.json, {"flips": total.total(), "outcomes": outcomes, "repairs": repairs})
        print(f"{sum(mended)} of {len(mended)} repairs made for real gave the same table, and a whole store")
    return int(total[WRONG] > 0 or not all(mended))


if __name__ == "__main__":
    sys.exit(main())
