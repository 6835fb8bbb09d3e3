"""Which compressor a parameter names: a token classifier, or a baseline that it must beat."""

from __future__ import annotations

from latent_core.compress.baselines import BaselineCompressor, RandomCompressor, TruncateCompressor
from latent_core.compress.compressor import PAPER_SCORING, MultiRatioCompressor, ScoringOptions
from latent_core.compress.encoder import check_token_classifier
from latent_core.compress.groups import GroupScore
from latent_core.compress.surprisal_baseline import LmSurprisalCompressor
from latent_core.errors import InputError
from latent_core.identity import fingerprint
from latent_core.models.source import open_model

DEFAULT_SEED = 42
_FIELD = "compress.model"  # the parameter that mistakes are told of
_BASELINES = ("random", "truncate", "lm_surprisal")
_BASELINE_VERSION = 2  # raised when they cut some text otherwise; 2: words of scripts without spaces


def open_compressor(
    spec: str, options: ScoringOptions = PAPER_SCORING, field: str = _FIELD
) -> MultiRatioCompressor | BaselineCompressor:
    """The compressor that `spec` names.

    `random` or `random:SEED`, `truncate`, `lm_surprisal:MODEL` (any causal language model), else a token classifier:
    packaged, a directory or a hub id. Raises InputError, naming the parameter (`field`), for a malformed or missing one
    or another kind of model, and for force options on a baseline, which has none.
    """
    kind, argument = _parts(spec, field)
    if kind is None:
        check_compressor(spec, field)
        return MultiRatioCompressor(open_model(spec, field).directory, options)
    if options.force_tokens or options.force_reserve_digit:
        raise InputError(
            f"compress.scoring: force_tokens and force_reserve_digit need a token classifier, not {spec!r}; use the "
            "keep_* options"
        )
    if kind == "random":
        return RandomCompressor(_seed(argument, field))
    if kind == "truncate":
        return TruncateCompressor()
    return LmSurprisalCompressor(open_model(argument, field).directory)


def group_score(spec: str) -> GroupScore:
    """How the groups of what `spec` scores are scored: by one draw where scores are random, else by their mean."""
    return GroupScore.FIRST if _parts(spec, _FIELD)[0] == "random" else GroupScore.MEAN


def check_compressor(spec: str, field: str = _FIELD) -> None:
    """Raise InputError, naming the parameter, for a model that is no token classifier. Nothing is loaded."""
    if _parts(spec, field)[0] is None:
        check_token_classifier(open_model(spec, field).directory, field)


def compressor_fingerprint(spec: str) -> str:
    """64 hex digits that stand for what `open_compressor(spec)` computes: a model's content, a baseline's settings."""
    kind, argument = _parts(spec, _FIELD)
    if kind is None:
        return open_model(spec, _FIELD).fingerprint
    parents, settings = {}, {}
    if kind == "lm_surprisal":
        parents = {"model": open_model(argument, _FIELD).fingerprint}
    if kind == "random":
        settings = {"seed": _seed(argument, _FIELD)}
    return fingerprint(f"compressor_{kind}", _BASELINE_VERSION, settings, parents)


def _parts(spec: str, field: str) -> tuple[str | None, str]:
    """(baseline's name or None, what follows its colon); raises InputError where that is missing or too much."""
    kind, _, argument = spec.partition(":")
    if kind not in _BASELINES:
        return None, ""
    if kind == "lm_surprisal" and not argument:
        raise InputError(f"{field}: lm_surprisal needs a causal language model; write lm_surprisal:latent-mini")
    if kind == "truncate" and argument:
        raise InputError(f"{field}: truncate takes no argument, got {argument!r}")
    return kind, argument


def _seed(argument: str, field: str) -> int:
    if argument and not argument.isdecimal():
        raise InputError(f"{field}: the seed of random must be a whole number, got {argument!r}; as in random:7")
    return int(argument or DEFAULT_SEED)
