"""Which compressor a parameter names: a token classifier, or a baseline that it must beat."""

from __future__ import annotations

from latent_core.compress.baselines import BaselineCompressor, RandomCompressor, TruncateCompressor
from latent_core.compress.causal import check_causal
from latent_core.compress.compressor import PAPER_SCORING, MultiRatioCompressor, ScoringOptions
from latent_core.compress.cts import CtsCompressor
from latent_core.compress.encoder import check_token_classifier
from latent_core.compress.groups import GroupScore
from latent_core.compress.surprisal_baseline import LmSurprisalCompressor
from latent_core.errors import InputError
from latent_core.identity import fingerprint
from latent_core.models.chat import chat_model_fingerprint, open_chat_model
from latent_core.models.source import open_model

DEFAULT_SEED = 42
_FIELD = "compress.model"  # the parameter that mistakes are told of
_CAUSAL = ("lm_surprisal", "cts")  # followed by a causal language model
_BASELINES = ("random", "truncate", *_CAUSAL)
_GROUP_SCORES = {
    "random": GroupScore.FIRST,
    "lm_surprisal": GroupScore.MEAN_ODDS,
    "cts": GroupScore.MEAN_LOG_ODDS,
}
_BASELINE_VERSION = 2  # raised when they cut some text otherwise; 2: words of scripts without spaces


def open_compressor(
    spec: str, options: ScoringOptions = PAPER_SCORING, field: str = _FIELD
) -> MultiRatioCompressor | BaselineCompressor:
    """The compressor that `spec` names.

    `random` or `random:SEED`, `truncate`, `lm_surprisal:MODEL` or `cts:MODEL` (any causal language model), else a token
    classifier: packaged, a directory or a hub id. Raises InputError, naming the parameter (`field`), for a malformed or
    missing one or another kind of model, and for force options on a baseline, which has none.
    """
    kind, argument = _parts(spec, field)
    check_compressor(spec, field)
    if kind is None:
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
    if kind == "cts":
        return CtsCompressor(open_chat_model(argument, field=field).directory)
    return LmSurprisalCompressor(open_model(argument, field).directory)


def check_scores_texts(spec: str, field: str) -> None:
    """Raise InputError, naming the parameter, for a compressor that a text alone is not enough for."""
    if _parts(spec, field)[0] == "cts":
        raise InputError(
            f"{field}: cts scores a text by its question and answer, which are not given here; use it in a run, or "
            "choose another"
        )


def group_score(spec: str, field: str = _FIELD) -> GroupScore:
    """How the groups of what `spec` scores are scored: by one draw where scores are random, else by the mean of what
    keep-probabilities stand for."""
    kind, _ = _parts(spec, field)
    return GroupScore.MEAN if kind is None else _GROUP_SCORES.get(kind, GroupScore.MEAN)


def check_compressor(spec: str, field: str = _FIELD) -> None:
    """Raise InputError, naming the parameter, for a model of another kind than is needed. Nothing is loaded."""
    kind, argument = _parts(spec, field)
    if kind is None:
        check_token_classifier(open_model(spec, field).directory, field)
    if kind in _CAUSAL:
        check_causal(open_model(argument, field).directory, field)


def compressor_fingerprint(spec: str) -> str:
    """64 hex digits that stand for what `open_compressor(spec)` computes: a model's content, a baseline's settings."""
    kind, argument = _parts(spec, _FIELD)
    if kind is None:
        return open_model(spec, _FIELD).fingerprint
    parents, settings = {}, {}
    if kind == "lm_surprisal":
        parents = {"model": open_model(argument, _FIELD).fingerprint}
    if kind == "cts":
        parents = {"model": chat_model_fingerprint(argument, field=_FIELD)}
    if kind == "random":
        settings = {"seed": _seed(argument, _FIELD)}
    return fingerprint(f"compressor_{kind}", _BASELINE_VERSION, settings, parents)


def _parts(spec: str, field: str) -> tuple[str | None, str]:
    """(baseline's name or None, what follows its colon); raises InputError where that is missing or too much."""
    kind, _, argument = spec.partition(":")
    if kind not in _BASELINES:
        return None, ""
    if kind in _CAUSAL and not argument:
        raise InputError(f"{field}: {kind} needs a causal language model; write {kind}:latent-mini")
    if kind == "truncate" and argument:
        raise InputError(f"{field}: truncate takes no argument, got {argument!r}")
    return kind, argument


def _seed(argument: str, field: str) -> int:
    if argument and not argument.isdecimal():
        raise InputError(f"{field}: the seed of random must be a whole number, got {argument!r}; as in random:7")
    return int(argument or DEFAULT_SEED)
