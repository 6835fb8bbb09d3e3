"""What the pipeline itself costs per row, with an engine that costs nothing; and how that grows with the rows.

    OMP_NUM_THREADS=1 python -m bench.overhead [--rows 1000 10000 100000] [--profile collect]

Collect, score_words (words scored at random: no encoder), compress, prepare are the stages as a run calls them, shard
by shard in one process, on the packaged word problems and the packaged model's tokenizer. The engine's answers are the
problems' own solutions, one in ten with a wrong result; the time it takes to make them up is subtracted. Every size
runs in a process of its own. A row of collect is a completion, of score_words a correct one, of compress a
completion at one ratio (there are two), of prepare a training example (three a correct completion). Printed for each
stage: rows, microseconds a row, of these the tokenizer's (encoding and decoding: what remains is the pipeline's), what
the plain library would take to encode and decode the same texts, rows a CPU second with and without the tokenizer, and
the peak of resident memory.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.memory import PeakMemory
from bench.record import add_json_option, save
from latent_core import prompts
from latent_core.benchmarks.registry import open_split
from latent_core.compress.choice import compressor_fingerprint
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.compress import CompressConfig, ScoreWordsConfig
from latent_core.config.prepare import PrepareConfig, RatioPolicy
from latent_core.config.prompting import Prompting
from latent_core.config.sampling import SamplingConfig
from latent_core.generate.engine import Finished, Generation, Request
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model
from latent_core.store import Artifact, ArtifactStore
from tasks import writing
from tasks.collect import CollectInputs, CollectShard, collect_shard
from tasks.compress import CompressInputs, ScoreWordsInputs, compress, score_words
from tasks.inputs import CompressorInput, ModelInput, ProblemsInput
from tasks.merge import MERGED, Merge, MergeInputs
from tasks.prepare import PrepareInputs, prepare
from tasks.stage import StageCall, Workplace
from tasks.workers.compute import perform

SAMPLES, SHARD_QUESTIONS = 8, 250  # the flow's defaults
TARGET = 20_000  # rows a second and core
REPEATED_CALLS = 1000  # of the tokenizer, to know what one costs
BENCHMARK = BenchmarkConfig()
RATIOS = (0.7, 0.5)


class Oracle:
    """An engine that knows the solutions; it answers the training problems in their order, `samples` times each."""

    def __init__(self, model: ReadableModel) -> None:
        self._model = model
        self._source = open_split(BENCHMARK, "train")
        self._next = 0
        self.cpu_seconds = 0.0
        self.answering = False

    def generate(
        self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None = None
    ) -> list[Generation]:
        started, self.answering = time.process_time(), True
        first, self._next = self._next, self._next + len(requests) // sampling.samples
        answers = []
        for problem in self._source.problems(first, self._next):
            right, wrong = (
                Generation(tuple(self._model.encode(text)), "stop")
                for text in (
                    prompts.render_target(problem.rationale or "", gold, self._model.family)
                    for gold in (problem.gold, f"{problem.gold}1")
                )
            )
            answers += [wrong if (len(answers) + index) % 10 == 9 else right for index in range(sampling.samples)]
        self.cpu_seconds += time.process_time() - started
        self.answering = False
        return answers

    def close(self) -> None:
        """Nothing is held."""


class TokenizerTime:
    """CPU seconds that a stage's calls of the tokenizer take, and what the plain library would take for its texts.

    Calls are counted, the first of them repeated and timed: a clock read around every call would cost more than it. The
    oracle's own calls are left out. Plain is `encode_batch_fast` and `decode_batch` of the same texts, each in full.
    """

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle

    def __enter__(self) -> TokenizerTime:
        self._originals = {name: getattr(ReadableModel, name) for name in ("encode_packed", "count", "decode")}
        self._calls = dict.fromkeys(self._originals, 0)
        self._first: dict[str, list[tuple[Any, ...]]] = {name: [] for name in self._originals}
        for name in self._originals:
            setattr(ReadableModel, name, self._noted(name))
        return self

    def __exit__(self, *_: object) -> None:
        for name, function in self._originals.items():
            setattr(ReadableModel, name, function)

    def cpu_seconds(self) -> float:
        return sum(
            self._scaled(name, lambda calls, name=name: [self._originals[name](*call) for call in calls])  # type: ignore[misc]
            for name in self._originals
        )

    def plain_cpu_seconds(self) -> float:
        encode: Callable[[Any], Any] = lambda calls: [  # noqa: E731
            encoding.ids
            for encoding in calls[0][0].tokenizer.backend_tokenizer.encode_batch_fast(
                [text for _, text in calls], add_special_tokens=False
            )
        ]
        decode: Callable[[Any], Any] = lambda calls: calls[0][0].tokenizer.backend_tokenizer.decode_batch(  # noqa: E731
            [list(ids) for _, ids in calls], skip_special_tokens=False
        )
        return self._scaled("encode_packed", encode) + self._scaled("count", encode) + self._scaled("decode", decode)

    def _scaled(self, name: str, run: Callable[[list[tuple[Any, ...]]], Any]) -> float:
        """CPU seconds of `run` over the first calls, times what they are of all."""
        first = self._first[name]
        if not first:
            return 0.0
        started = time.process_time()
        run(first)
        return (time.process_time() - started) * self._calls[name] / len(first)

    def _noted(self, name: str) -> Callable[..., Any]:
        function, first = self._originals[name], self._first[name]

        def noted(*arguments: Any) -> Any:
            if not self._oracle.answering:
                self._calls[name] += 1
                if len(first) < REPEATED_CALLS:
                    first.append(arguments)
            return function(*arguments)

        return noted


class Pipeline:
    """The stages over one store, timed; `profiled` names the one that is run under the profiler."""

    def __init__(self, root: Path, profiled: str | None) -> None:
        self._work = Workplace(ArtifactStore(root / "store"), root / "scratch", lambda done, total, tokens: None)
        self._profiled = profiled
        self._profile = cProfile.Profile()
        self._model = ModelInput.find("latent-mini")
        self.oracle = Oracle(ReadableModel.load(open_model("latent-mini").directory))
        self.stages: dict[str, dict[str, Any]] = {}

    def run(self, rows: int) -> None:
        writing.warm_engine = lambda *_: self.oracle  # type: ignore[assignment]
        questions = -(-rows // SAMPLES)
        sampling = SamplingConfig(temperature=0.7, samples=SAMPLES)
        inputs = CollectInputs(self._model, ProblemsInput.find(BENCHMARK, "train"))
        starts = range(0, questions, SHARD_QUESTIONS)
        blocks = [
            CollectShard(
                sampling=sampling, start=start, stop=min(start + SHARD_QUESTIONS, questions), prompting=Prompting.RATIO
            )
            for start in starts
        ]
        shards = self._timed("collect", [collect_shard.call(block, inputs) for block in blocks])
        compressor = CompressorInput("random", compressor_fingerprint("random"))
        scoring = ScoreWordsConfig(spans=True)
        scores = self._timed(
            "score_words", [score_words.call(scoring, ScoreWordsInputs(s.ref, compressor)) for s in shards]
        )
        settings = CompressConfig(model="random", scoring=scoring, ratios=RATIOS)
        small = self._timed("compress", [compress.call(settings, CompressInputs(s.ref, self._model)) for s in scores])
        samples, compressed = self._merged("collect", shards), self._merged("compress", small)
        config = PrepareConfig(ratios=(1.0, *RATIOS), policy=RatioPolicy.ALL_RATIOS)
        prepared = PrepareInputs(self._model, samples.ref, compressed.ref)
        self._timed("prepare", [prepare.call(config, prepared)])

    def _merged(self, name: str, shards: list[Artifact]) -> Artifact:
        inputs = MergeInputs(tuple(shard.ref for shard in shards))
        return perform(MERGED[name].call(Merge(shards=len(shards)), inputs), self._work)

    def _timed(self, name: str, calls: list[StageCall]) -> list[Artifact]:
        perform_all: Callable[[], list[Artifact]] = lambda: [perform(call, self._work) for call in calls]  # noqa: E731
        spent = self.oracle.cpu_seconds
        with PeakMemory() as memory, TokenizerTime(self.oracle) as tokenizer:
            started = time.process_time()
            artifacts = self._profile.runcall(perform_all) if name == self._profiled else perform_all()
            cpu = time.process_time() - started - (self.oracle.cpu_seconds - spent)
        rows, of_tokenizer = sum(artifact.rows for artifact in artifacts), tokenizer.cpu_seconds()
        plain = tokenizer.plain_cpu_seconds()
        self.stages[name] = {
            "rows": rows,
            "shards": len(calls),
            "cpu_seconds": round(cpu, 2),
            "microseconds_per_row": round(cpu / rows * 1e6, 1),
            "tokenizer_microseconds_per_row": round(of_tokenizer / rows * 1e6, 1),
            "plain_tokenizer_microseconds_per_row": round(plain / rows * 1e6, 1),
            "rows_per_cpu_second": round(rows / cpu),
            "rows_per_cpu_second_without_tokenizer": round(rows / (cpu - of_tokenizer)),
            "peak_mib": round(memory.peak / 2**20),
            "beyond_start_mib": round(memory.beyond_start / 2**20),
        }
        if name == self._profiled:
            pstats.Stats(self._profile).sort_stats("tottime").print_stats(30)
        return artifacts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="samples to collect")
    parser.add_argument("--profile", help="a stage to profile, on the first size, in this process")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    add_json_option(parser)
    options = parser.parse_args()
    if options.one or options.profile:
        with tempfile.TemporaryDirectory() as scratch:
            pipeline = Pipeline(Path(scratch), options.profile)
            pipeline.run(SAMPLES * SHARD_QUESTIONS if options.profile else 8)  # imports and caches are no row's cost
            pipeline = Pipeline(Path(scratch) / "timed", options.profile)
            pipeline.run(options.rows[0])
        print(json.dumps(pipeline.stages))
        return
    results: dict[int, Any] = {}
    print(f"target: {TARGET:,} rows a second and core")
    print(
        f"{'stage':14}{'rows':>11}{'us/row':>9}{'tokenizer':>11}{'plain':>9}{'rows/s':>9}{'without':>9}{'peak MiB':>10}"
    )
    for rows in options.rows:
        command = [sys.executable, "-m", "bench.overhead", "--one", "--rows", str(rows)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        results[rows] = stages = json.loads(done.stdout.splitlines()[-1])
        for name, row in stages.items():
            print(
                f"{name:14}{row['rows']:>11,}{row['microseconds_per_row']:>9}"
                f"{row['tokenizer_microseconds_per_row']:>11}{row['plain_tokenizer_microseconds_per_row']:>9}"
                f"{row['rows_per_cpu_second']:>9,}"
                f"{row['rows_per_cpu_second_without_tokenizer']:>9,}{row['peak_mib']:>10,}",
                flush=True,
            )
        save(options.json, results)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
