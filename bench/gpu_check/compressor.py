"""The packaged compressor on the device: strings against a CPU's in float32, and texts a second."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench.gpu_check.findings import Findings
from bench.gpu_check.place import Place, timed

RATIOS = (0.9, 0.7, 0.5, 0.3)
LEAST_EQUAL = 0.995  # of strings in float32; float noise decides between words that are equally likely


def check(place: Place, findings: Findings) -> None:
    """float32, which is what users get everywhere, and bfloat16."""
    from bench.texts import chains_of_thought
    from latent_core.compress.compressor import MultiRatioCompressor
    from latent_core.models.source import open_model

    texts = chains_of_thought(None, "", place.sized(300, 12), join=2)
    directory = open_model("latent-compressor").directory
    on_cpu = MultiRatioCompressor(directory, device="cpu")
    with timed(place) as clock:
        expected = strings(on_cpu, texts)
    findings.note("on the CPU, float32", f"{len(texts) / clock.seconds:,.0f} texts/s", texts=len(texts))
    compressor: Any = MultiRatioCompressor(directory)
    for dtype in ("float32", "bfloat16"):
        if dtype == "bfloat16":
            compressor._encoder.model.bfloat16()
        strings(compressor, texts[:8])  # kernels are loaded
        with timed(place) as clock:
            found = strings(compressor, texts)
        equal = sum(one == other for one, other in zip(found, expected, strict=True)) / len(found)
        words = kept_alike(found, expected)
        findings.expect(
            equal >= (LEAST_EQUAL if dtype == "float32" else 0), f"on the {place.device}, {dtype}",
            f"{equal:.2%} of {len(found):,} strings as the CPU's, {words:.2%} of words; "
            f"{len(texts) / clock.seconds:,.0f} texts/s",
            equal_strings=equal, equal_words=words, strings=len(found), texts_a_second=len(texts) / clock.seconds,
        )  # fmt: skip


def strings(compressor: Any, texts: list[str]) -> list[str]:
    """Every text at every ratio."""
    return [found[ratio].text for found in compressor.compress(texts, RATIOS) for ratio in RATIOS]


def kept_alike(found: list[str], expected: list[str]) -> float:
    """Share of the expected words that were kept too, whatever their order."""
    pairs = [(Counter(one.split()), Counter(other.split())) for one, other in zip(found, expected, strict=True)]
    return sum((one & other).total() for one, other in pairs) / max(sum(other.total() for _, other in pairs), 1)
