"""One encoder pass for all ratios against the llmlingua loop, one call per text and ratio; CPU time, one thread.

    python -m bench.compression [--texts FILE.jsonl --field answer] [--shape minilm] [--json out.json]

Both sides compress the same texts at the same ratios with the same weights, alternating; every run takes the next slice
of the texts. The times are CPU time of this process, so a shared machine disturbs them little. Both count a word's
tokens by a stand-in for cl100k, which would have to be downloaded; the real one is slower, and llmlingua calls it more.
The gain has two sources: llmlingua pads every window to 512 positions, and it runs the encoder once a ratio. Texts that
fill their windows gain nothing from the first: see `--join`. Their gain is the number of ratios times the share of the
loop's positions that is padding, and no more, because the forward passes of both sides run near the machine's peak.

Strings are compared three ways: llmlingua's, ours in batches, ours with `exact` (untimed, after the runs). Where only
the batched ones differ, the cause is float noise: see `bench.float_noise`.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from bench.encoders import SHAPES, Shape, save_encoder
from bench.float_noise import float_noise
from bench.record import add_json_option, measured
from bench.texts import chains_of_thought
from latent_core.compress import MultiRatioCompressor

FOUR = (0.7, 0.5, 0.3, 0.1)
EIGHT = (0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
TARGETS = {4: 12.0, 8: 20.0}
# (texts a run, runs): what ends in minutes on one core. The large encoder needs seconds a call.
EFFORT = {"minilm": (40, 5), "minilm-xlmr": (40, 5), "bert-base": (8, 5), "xlmr-large": (1, 5)}
_PEAK_SIZE = 1_024
_TOKENIZER_TEXTS = 1_000


class Times(NamedTuple):
    """CPU seconds of one run over the same texts; the loop at four ratios is part of the loop at eight."""

    loop_4: float
    loop_8: float
    ours_4: float
    ours_8: float


class Encoder(NamedTuple):
    """What the forward passes of one side cost: CPU seconds, floating-point operations, positions."""

    seconds: float
    flops: float
    positions: int


class EncoderClock:
    """Times a model's forward passes and counts their work."""

    def __init__(self, model: Any, shape: Shape) -> None:
        self._shape = shape
        self._started = self._seconds = self._flops = 0.0
        self._positions = 0
        model.register_forward_pre_hook(self._start, with_kwargs=True)
        model.register_forward_hook(self._stop)

    def read(self) -> Encoder:
        return Encoder(self._seconds, self._flops, self._positions)

    def _start(self, _: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        rows, width = (kwargs["input_ids"] if "input_ids" in kwargs else args[0]).shape
        self._flops += self._shape.flops(rows, width)
        self._positions += rows * width
        self._started = time.process_time()

    def _stop(self, *_: object) -> None:
        self._seconds += time.process_time() - self._started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--texts",
        type=Path,
        help=f"JSON-lines file of at least {_TOKENIZER_TEXTS:,} rows, of which the encoders' tokenizers are made; "
        "default: the packaged word problems",
    )
    parser.add_argument("--field", default="answer", help="its field that holds the chain of thought")
    parser.add_argument("--join", type=int, default=1, help="chains of thought that make one text")
    parser.add_argument("--shape", action="append", choices=sorted(SHAPES), help="may be repeated; default: all")
    parser.add_argument("--texts-per-run", type=int, help="default: by shape")
    parser.add_argument("--runs", type=int, help="default: by shape")
    add_json_option(parser)
    options = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    corpus = chains_of_thought(options.texts, options.field, _TOKENIZER_TEXTS)
    peak = matmul_peak()
    results = []
    for name in options.shape or SHAPES:
        per_run, runs = EFFORT[name]
        per_run, runs = options.texts_per_run or per_run, options.runs or runs
        texts = chains_of_thought(options.texts, options.field, per_run * runs, options.join)
        with tempfile.TemporaryDirectory() as scratch:
            folder = save_encoder(SHAPES[name], corpus, Path(scratch))
            results.append(
                measure(SHAPES[name], folder, texts, runs) | {"matmul_gflops": round(peak, 1), "measured": measured()}
            )
        show(results[-1])
        if options.json is not None:
            options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def matmul_peak() -> float:
    """GFLOP/s of a square float32 product on one thread, the best of eight."""
    import torch

    left, right = torch.rand(2, _PEAK_SIZE, _PEAK_SIZE)
    seconds = []
    for _ in range(8):
        started = time.process_time()
        torch.mm(left, right)
        seconds.append(time.process_time() - started)
    return 2 * _PEAK_SIZE**3 / min(seconds) / 1e9


def measure(shape: Shape, folder: Path, texts: Sequence[str], runs: int) -> dict[str, Any]:
    """Alternate the two sides over `runs` equal slices of `texts`; returns plain values."""
    loop, ours = llmlingua(folder), MultiRatioCompressor(folder, word_length=stand_in_length)
    loop_clock, our_clock = EncoderClock(loop.model, shape), EncoderClock(ours._encoder.model, shape)
    time_loop(loop, texts[:1])
    ours.compress(texts[:1], EIGHT)
    loop_before, ours_before = loop_clock.read(), our_clock.read()
    size = len(texts) // runs
    times, reference, batched = [], list[str](), list[str]()
    for run in range(runs):
        part = texts[run * size : (run + 1) * size]
        if run % 2:
            fast, (slow, strings) = time_ours(ours, part), time_loop(loop, part)
        else:
            (slow, strings), fast = time_loop(loop, part), time_ours(ours, part)
        times.append(Times(*slow, *fast.seconds))
        reference += strings
        batched += fast.strings
    loop_cost, our_cost = since(loop_clock.read(), loop_before), since(our_clock.read(), ours_before)
    all_ours = sum(item.ours_4 + item.ours_8 for item in times)
    all_loop = sum(item.loop_8 for item in times)
    exact = copy.copy(ours)  # shares the encoder's weights
    exact.options = replace(ours.options, exact=True)
    texts = texts[: size * runs]
    exactly = [by_ratio[ratio].text for by_ratio in exact.compress(texts, EIGHT) for ratio in EIGHT]
    return {
        "shape": shape._asdict() | {"family": shape.family.value},
        "texts": size * runs,
        "runs": runs,
        "strings": len(reference),
        "unequal_batched": differing(batched, reference),
        "unequal_exact": differing(exactly, reference),
        "float_noise": float_noise(ours.score_words(texts), exact.score_words(texts))._asdict(),
        "ratio_at_4": [round(item.loop_4 / item.ours_4, 2) for item in times],
        "ratio_at_8": [round(item.loop_8 / item.ours_8, 2) for item in times],
        "seconds": {name: round(sum(getattr(item, name) for item in times), 2) for name in Times._fields},
        "encoder_share": {"loop": loop_cost.seconds / all_loop, "ours": our_cost.seconds / all_ours},
        "encoder_gflops": {
            side: cost.flops / cost.seconds / 1e9 for side, cost in (("loop", loop_cost), ("ours", our_cost))
        },
        "positions_per_text": {
            "loop, a ratio": loop_cost.positions / (size * runs * len(EIGHT)),
            "ours, all ratios": our_cost.positions / (size * runs * 2),
        },
    }


def differing(left: Sequence[str], right: Sequence[str]) -> int:
    return sum(ours != theirs for ours, theirs in zip(left, right, strict=True))


def since(after: Encoder, before: Encoder) -> Encoder:
    return Encoder(after.seconds - before.seconds, after.flops - before.flops, after.positions - before.positions)


def stand_in_length(word: str) -> int:
    """Stands for cl100k's count of a word."""
    return 1 + len(word) // 4


def llmlingua(folder: Path) -> Any:
    """The reference with its encoder of `folder`, its token counter replaced by the stand-in."""
    from llmlingua import prompt_compressor

    counter = SimpleNamespace(encode=lambda text: [0] * stand_in_length(text))
    prompt_compressor.tiktoken = SimpleNamespace(encoding_for_model=lambda _: counter)
    return prompt_compressor.PromptCompressor(str(folder), device_map="cpu", use_llmlingua2=True)


def time_loop(loop: Any, texts: Sequence[str]) -> tuple[tuple[float, float], list[str]]:
    """CPU seconds at four and at eight ratios, and the strings at eight."""
    seconds = dict.fromkeys(EIGHT, 0.0)
    strings = []
    for text in texts:
        for ratio in EIGHT:
            started = time.process_time()
            strings.append(loop.compress_prompt(text, rate=ratio)["compressed_prompt"])
            seconds[ratio] += time.process_time() - started
    return (sum(seconds[ratio] for ratio in FOUR), sum(seconds.values())), strings


class OurRun(NamedTuple):
    """CPU seconds at four and at eight ratios, each with an encoder pass of its own, and the strings at eight."""

    seconds: tuple[float, float]
    strings: list[str]


def time_ours(compressor: MultiRatioCompressor, texts: Sequence[str]) -> OurRun:
    started = time.process_time()
    compressor.compress(texts, FOUR)
    middle = time.process_time()
    results = compressor.compress(texts, EIGHT)
    ended = time.process_time()
    return OurRun((middle - started, ended - middle), [by_ratio[ratio].text for by_ratio in results for ratio in EIGHT])


def show(result: dict[str, Any]) -> None:
    """Print one shape's table."""
    from rich.console import Console
    from rich.table import Table

    shape = result["shape"]
    title = f"{shape['name']} ({shape['layers']} x {shape['hidden']}, {shape['family']}): {result['texts']} texts"
    table = Table(title=f"{title}, {result['runs']} alternating runs")
    for column in ("ratios", "llmlingua loop, s", "one pass, s", "loop / one pass, median", "min to max", "target"):
        table.add_column(column, justify="right")
    for count in (4, 8):
        values, seconds = result[f"ratio_at_{count}"], result["seconds"]
        median = statistics.median(values)
        verdict = "met" if median >= TARGETS[count] else "missed"
        table.add_row(
            str(count),
            f"{seconds[f'loop_{count}']:.1f}",
            f"{seconds[f'ours_{count}']:.1f}",
            f"{median:.1f}",
            f"{min(values):.1f} to {max(values):.1f}",
            f"{TARGETS[count]:g} {verdict}",
        )
    console = Console(width=110)
    console.print(table)
    share, speed, positions = result["encoder_share"], result["encoder_gflops"], result["positions_per_text"]
    noise = result["float_noise"]
    console.print(
        f"encoder's share of the time: loop {share['loop']:.1%}, one pass {share['ours']:.1%}; "
        f"forward GFLOP/s: loop {speed['loop']:.1f}, one pass {speed['ours']:.1f}, "
        f"matmul peak {result['matmul_gflops']:.1f}; "
        f"positions per text: loop {positions['loop, a ratio']:.0f} a ratio, "
        f"one pass {positions['ours, all ratios']:.0f} in all, so the loop reads "
        f"{4 * positions['loop, a ratio'] / positions['ours, all ratios']:.1f} times as many at 4 ratios\n"
        f"strings that differ from llmlingua's, of {result['strings']}: batched {result['unequal_batched']}, exact "
        f"{result['unequal_exact']}; a word's probability: float noise between batched and exact at most "
        f"{noise['largest']:.1e}, median gap to the next word's {noise['median_gap']:.1e}, "
        f"spread {noise['spread']:.1e}\n"
    )


if __name__ == "__main__":
    main()
