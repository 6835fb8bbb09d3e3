"""What `latent compress` shows: each ratio with the dropped words struck through, and the counts."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from difflib import SequenceMatcher
from pathlib import Path

from latent_core.compress import CompressedText, MultiRatioCompressor
from latent_core.compress.compressor import ScoringOptions
from latent_core.errors import InputError
from latent_core.models.source import open_model


def show(file: Path | None, text: str | None, ratios: Sequence[float], model: str, as_json: bool) -> None:
    """Print the compressions of a file's or an option's text; raises InputError unless exactly one is given."""
    if (file is None) == (text is None):
        raise InputError("FILE or --text: give exactly one of them")
    if file is not None and not file.is_file():
        raise InputError(f"FILE: {file} does not exist")
    source = text if text is not None else Path(str(file)).read_text(encoding="utf-8")
    compressor = MultiRatioCompressor(open_model(model).directory, ScoringOptions(spans=True))
    compressed = compressor.compress([source], ratios)[0]
    if as_json:
        json.dump([asdict(item) for item in compressed.values()], sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
        return
    from rich.console import Console

    console = Console()
    for item in compressed.values():
        before, after = item.encoder_tokens_before, item.encoder_tokens_after
        achieved = after / before if before else 1.0
        console.rule(f"ratio {item.ratio:g}: {after} of {before} encoder tokens, {achieved:.2f} achieved", align="left")
        console.print(_marked(source, item))


def _marked(source: str, compressed: CompressedText) -> object:
    """The source with what the compression dropped struck through."""
    from rich.text import Text

    words, kept = source.split(), compressed.text.split()
    marked = Text()
    for tag, start, stop, *_ in SequenceMatcher(None, words, kept, autojunk=False).get_opcodes():
        style = "" if tag == "equal" else "red strike"
        if start < stop:
            marked.append(" ".join(words[start:stop]), style=style)
            marked.append(" ")
    return marked
