"""What `latent compress` shows: each ratio with what was dropped marked, and the counts."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from difflib import SequenceMatcher
from pathlib import Path

from latent_core.compress import CompressedText, ScoringOptions, open_compressor
from latent_core.compress.spans import UNIT
from latent_core.errors import InputError

_PIECE = re.compile(rf"{UNIT}|\s+")


def show(file: Path | None, text: str | None, ratios: Sequence[float], model: str, as_json: bool) -> None:
    """Print the compressions of a file's or an option's text; raises InputError unless exactly one is given.

    A terminal shows dropped words in red and struck through; anything else gets the marks [-dropped-], so that a pipe
    or a log loses nothing.
    """
    source = _source(file, text)
    compressed = open_compressor(model, ScoringOptions(spans=True)).compress([source], ratios)[0]
    if as_json:
        rows = [asdict(item) | {"achieved": _achieved(item)} for item in compressed.values()]
        json.dump(rows, sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for item in compressed.values():
        counts = f"{item.encoder_tokens_after} of {item.encoder_tokens_before} encoder tokens"
        header = f"ratio {item.ratio:g}: {counts}, {_achieved(item):.2f} achieved"
        if not console.is_terminal:
            sys.stdout.write(f"{header}\n{''.join(_plain(piece, kept) for piece, kept in runs(source, item.text))}\n")
            continue
        console.rule(header, align="left")
        marked = Text()
        for piece, kept in runs(source, item.text):
            marked.append(piece, style="" if kept else "red strike")
        console.print(marked)


def runs(source: str, compressed: str) -> Iterator[tuple[str, bool]]:
    """Cut `source` into runs that the compression kept (True) or dropped; joined, they are `source` again.

    Whitespace belongs to the run that it precedes; a run that was dropped is compared unit by unit, not word by word.
    """
    pieces = [match.span() for match in _PIECE.finditer(source)]
    units = [(start, end) for start, end in pieces if not source[start].isspace()]
    kept_units = [match.group().strip() for match in _PIECE.finditer(compressed) if not match.group().isspace()]
    # LaTeX's control space is a unit that ends with a space, which a compression may have lost.
    matcher = SequenceMatcher(None, [source[start:end].strip() for start, end in units], kept_units, autojunk=False)
    begin = 0
    for tag, start, stop, *_ in matcher.get_opcodes():
        if start == stop:
            continue
        end = units[stop - 1][1]
        yield source[begin:end], tag == "equal"
        begin = end
    if begin < len(source):
        yield source[begin:], True


def _source(file: Path | None, text: str | None) -> str:
    if (file is None) == (text is None):
        raise InputError("FILE or --text: give exactly one of them")
    if file is None:
        return str(text)
    if not file.is_file():
        raise InputError(f"FILE: {file} does not exist")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"FILE: {file} is not UTF-8 text ({error.reason}); convert it first") from error


def _achieved(item: CompressedText) -> float:
    return item.encoder_tokens_after / item.encoder_tokens_before if item.encoder_tokens_before else 1.0


def _plain(piece: str, kept: bool) -> str:
    if kept:
        return piece
    words = piece.lstrip()
    return f"{piece[: len(piece) - len(words)]}[-{words}-]"
