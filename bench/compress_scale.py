"""The `compress` stage's arithmetic over many chains of thought: rows per second, and memory beyond the start.

    python -m bench.compress_scale [--rows 100000] [--ratios 0.8 0.6 0.4 0.2] [--texts FILE.jsonl --field answer]

Some hundred texts are scored once and repeated under other ids until there are enough rows: selection, counting in the
target model's tokens, the table's writing and the running statistics are those of the stage.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.memory import PeakMemory
from bench.record import add_json_option, save
from bench.texts import chains_of_thought
from latent_core.compress import MultiRatioCompressor, ScoringOptions
from latent_core.compress.corpus import RatioDrift, compressed_rows, compressed_schema, score_schema, scored_samples
from latent_core.compress.selection import PAPER_SELECTION
from latent_core.identity import fingerprint
from latent_core.models.family import load_tokenizer
from latent_core.models.source import open_model
from latent_core.models.tokens import encode
from latent_core.store import ArtifactRef, ArtifactStore, begin

LIMIT_BYTES = 1.5 * 2**30
_SCORED_TEXTS = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="chains of thought")
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.8, 0.6, 0.4, 0.2])
    parser.add_argument("--texts", type=Path, help="JSON-lines file; default: the packaged word problems")
    parser.add_argument("--field", default="answer", help="its field that holds the chain of thought")
    parser.add_argument("--spans", action="store_true", help="score spans of the source text")
    add_json_option(parser)
    options = parser.parse_args()

    texts = chains_of_thought(options.texts, options.field, _SCORED_TEXTS)
    compressor = MultiRatioCompressor(
        open_model("latent-compressor").directory, ScoringOptions(spans=options.spans), device="cpu"
    )
    scored = [item.to_row() for item in compressor.score_words(texts)]
    tokenizer = load_tokenizer(open_model("latent-mini").directory)
    with tempfile.TemporaryDirectory() as scratch:
        result = measure(scored, tokenizer, options.rows, options.ratios, ArtifactStore(scratch))
    result |= {"spans": options.spans}
    print(json.dumps(result, indent=1))
    save(options.json, result)


def measure(
    scored: list[dict[str, Any]], tokenizer: Any, rows: int, ratios: list[float], store: ArtifactStore
) -> dict[str, Any]:
    """Write the scores, then time the stage's loop over them; returns plain values."""
    with begin(store, ArtifactRef("bench_scores", fingerprint("bench_scores", 1, {}, {}))) as out:
        with out.table("scores.parquet", score_schema()) as table:
            for row in _repeated(scored, rows):
                table.add(row)
        scores = out.commit(config={}, parents={}, accounting={"kept": rows})
    drift = RatioDrift()

    def count(text: str) -> int:
        return len(encode(text, tokenizer))

    with (
        PeakMemory() as memory,
        begin(store, ArtifactRef("bench_compressed", fingerprint("bench_compressed", 1, {}, {}))) as out,
    ):
        wall, cpu = time.monotonic(), time.process_time()
        with out.table("compressed.parquet", compressed_schema()) as table:
            for row in compressed_rows(
                scored_samples(scores.batches("scores.parquet")), ratios, PAPER_SELECTION, count
            ):
                table.add(row)
                drift.add(row)
        drift.rows()
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    return {
        "texts": rows,
        "ratios": ratios,
        "rows": table.rows,
        "cpu_seconds": round(cpu, 1),
        "wall_seconds": round(wall, 1),
        "rows_per_cpu_second": round(table.rows / cpu),
        "microseconds_per_row": round(cpu / table.rows * 1e6, 1),
        "memory_beyond_start_mib": round(memory.beyond_start / 2**20),
        "memory_limit_mib": round(LIMIT_BYTES / 2**20),
        "within_limit": memory.beyond_start < LIMIT_BYTES,
    }


def _repeated(scored: list[dict[str, Any]], rows: int) -> Iterator[dict[str, Any]]:
    for index in range(rows):
        yield {"question_id": f"q{index}", "sample_index": 0, "gold": "42"} | scored[index % len(scored)]


if __name__ == "__main__":
    main()
