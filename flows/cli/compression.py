"""What `latent compress` shows: each ratio with what was dropped marked, and the counts."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from latent_core.compress import (
    CompressedText,
    ScoringOptions,
    SelectionOptions,
    align,
    check_scores_texts,
    compressed_text,
    in_units,
    kept_words,
    open_compressor,
)
from latent_core.compress.choice import group_score
from latent_core.compress.selection import check_ratio
from latent_core.config.compress import Unit
from latent_core.errors import InputError
from latent_core.files import require_file

STANDARD_INPUT = Path("-")


def show(
    file: Path | None, text: str | None, ratios: Sequence[float], model: str, as_json: bool, unit: Unit = Unit.WORD
) -> None:
    """Print the compressions of a file's or an option's text; the file - is standard input.

    Raises InputError unless exactly one is given, for a text that is empty or no UTF-8, and for a
    compressor that a text alone is not enough for.

    A terminal shows dropped words in red and struck through; anything else gets the marks [-dropped-], so that a pipe
    or a log loses nothing.
    """
    source = _source(file, text)
    for ratio in ratios:
        check_ratio(ratio)
    check_scores_texts(model, "--model")
    options = SelectionOptions(unit=unit, group_score=group_score(model, "--model"))
    words = open_compressor(model, ScoringOptions(spans=True), "--model").score_words([source])[0]
    scored = in_units(words, options)
    kept = {ratio: kept_words(scored, ratio, options) for ratio in ratios}
    compressed = {ratio: compressed_text(scored, ratio, masks) for ratio, masks in kept.items()}
    if as_json:
        rows = [asdict(item) | {"achieved": _achieved(item)} for item in compressed.values()]
        json.dump(rows, sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for ratio, item in compressed.items():
        runs = align(scored, kept[ratio]).runs()
        counts = f"{item.encoder_tokens_after} of {item.encoder_tokens_before} encoder tokens"
        header = f"ratio {item.ratio:g}: {counts}, {_achieved(item):.2f} achieved"
        if not console.is_terminal:
            sys.stdout.write(f"{header}\n{''.join(_plain(piece, stays) for piece, stays in runs)}\n")
            continue
        console.rule(header, align="left")
        marked = Text()
        for piece, stays in runs:
            marked.append(piece, style="" if stays else "red strike")
        console.print(marked)


def _source(file: Path | None, text: str | None) -> str:
    if (file is None) == (text is None):
        raise InputError("FILE or --text: give exactly one of them")
    if file is None:
        name, content = "--text:", str(text).encode(errors="surrogateescape")  # the command line's own bytes
    elif file == STANDARD_INPUT:
        name, content = "FILE: standard input", sys.stdin.buffer.read()
    else:
        require_file("FILE", file)
        name, content = f"FILE: {file}", file.read_bytes()
    try:
        source = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text ({error.reason}); convert it first") from error
    if not source.strip():
        raise InputError(f"{name} holds no text to compress")
    return source


def _achieved(item: CompressedText) -> float:
    return item.encoder_tokens_after / item.encoder_tokens_before if item.encoder_tokens_before else 1.0


def _plain(piece: str, kept: bool) -> str:
    if kept:
        return piece
    words = piece.lstrip()
    return f"{piece[: len(piece) - len(words)]}[-{words}-]"
