"""Parameters of compression: scoring words once, then dropping them at every ratio."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, WIRING, StageConfig
from latent_core.config.ratios import Ratios, distinct

# How spans are cut; raised when `latent_core.compress.spans` cuts some text otherwise. 2: grapheme clusters stay whole,
# and scripts without spaces are cut into words. Encoder words, which are llmlingua's, have no part in it.
_SPAN_RULE = 2
# How groups are formed and scored; raised when `latent_core.compress.groups` does so otherwise for some text.
# 2: means of the scores themselves, for compressors whose keep-probabilities squash them.
_GROUP_RULE = 1
_GROUP_RULES = {"lm_surprisal": 2, "cts": 2}


class ScoreWordsConfig(StageConfig):
    """The encoder's only pass over the correct chains of thought; ratios play no part in it."""

    max_cot_tokens: Annotated[int, IDENTITY, Field(ge=1)] = 2000
    """Longest chain of thought, in the target model's tokens, that is used at any ratio."""
    force_tokens: Annotated[tuple[str, ...], IDENTITY] = ()
    """Tokens that are always kept (TokenSkip's Llama-3 recipe: "Step", ":")."""
    force_reserve_digit: Annotated[bool, IDENTITY] = False
    """LLMLingua's own option; it keeps digits as tokens, yet may still split 99.3. `spans` keeps numbers whole."""
    spans: Annotated[bool, IDENTITY] = False
    """Score spans of the source text instead of the encoder's words: case, newlines, decimals, LaTeX stay intact."""

    @property
    def forces(self) -> str | None:
        """The first option that is on of those that force words; None where neither is."""
        if self.force_tokens:
            return "force_tokens"
        return "force_reserve_digit" if self.force_reserve_digit else None

    def identity(self) -> dict[str, Any]:
        """With spans, the rule that they are cut by is part of it."""
        return super().identity() | ({"span_rule": _SPAN_RULE} if self.spans else {})


class RatioOf(StrEnum):
    """What a ratio is a share of."""

    ENCODER_WORDS = "encoder_words"  # the paper's: a percentile over encoder words, per chunk; the result drifts
    TARGET_TOKENS = "target_tokens"  # solved per text for the tokens of the model that will read it


class Unit(StrEnum):
    """What is kept or dropped as a whole."""

    WORD = "word"  # each of the scorer's words for itself
    SPAN = "span"  # a number, an equation, a LaTeX command with its arguments, or a word


class CompressConfig(StageConfig):
    """LLMLingua-2 compression: arithmetic over word scores, one row per chain of thought and ratio."""

    model: Annotated[str, WIRING] = "latent-compressor"
    """Token classifier: latent-compressor, a directory, or a hub id such as
    microsoft/llmlingua-2-xlm-roberta-large-meetingbank. Or a baseline: random (random:SEED), truncate,
    lm_surprisal:MODEL, which drops what a causal language model expected, or cts:MODEL, which keeps what such a model
    expects more when it knows the answer."""
    scoring: Annotated[ScoreWordsConfig, WIRING] = ScoreWordsConfig()
    """The encoder's pass; it enters the identity through the scored words."""
    ratios: Annotated[Ratios, IDENTITY] = (0.7, 0.5, 0.3, 0.1)
    ratio_of: Annotated[RatioOf, IDENTITY] = RatioOf.ENCODER_WORDS
    """What a ratio is a share of: the encoder's words (paper), or the target model's tokens, solved per text."""
    unit: Annotated[Unit, IDENTITY, OMITTED_AT_DEFAULT] = Unit.WORD
    """What is kept or dropped as a whole: words, or spans (with scoring.spans), which never leave half an equation."""
    drop_consecutive: Annotated[bool, IDENTITY] = False
    """Keep only the first of consecutive force tokens."""
    keep_numbers: Annotated[bool, IDENTITY] = False
    """With spans: never drop a number."""
    keep_operators: Annotated[bool, IDENTITY] = False
    """With spans: never drop an operator or relation sign."""
    keep_latex_commands: Annotated[bool, IDENTITY] = False
    """With spans: keep LaTeX commands whole."""
    keep_value: Annotated[bool, IDENTITY] = False
    """With spans: keep the last occurrence of the answer's value."""

    @field_validator("ratios")
    @classmethod
    def _no_duplicates(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        return distinct("compress.ratios", ratios)

    @model_validator(mode="after")
    def _keeping_needs_spans(self) -> CompressConfig:
        keeps = ("keep_numbers", "keep_operators", "keep_latex_commands", "keep_value")
        wanted = [name for name in keeps if getattr(self, name)]
        if wanted and not self.scoring.spans:
            raise ValueError(f"compress.{wanted[0]}: works on spans of the source text; set compress.scoring.spans")
        if self.unit is Unit.SPAN and not self.scoring.spans:
            raise ValueError("compress.unit: span works on spans of the source text; set compress.scoring.spans")
        if self.unit is Unit.SPAN and self.drop_consecutive:
            raise ValueError("compress.drop_consecutive: works on words; leave it out, or set compress.unit to word")
        if self.unit is Unit.SPAN and self.scoring.forces:
            raise ValueError(
                f"compress.scoring.{self.scoring.forces}: forces words one by one, which compress.unit: span never "
                "keeps so; use the keep_* options, or set compress.unit to word"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """With spans for units, the rule that groups are formed and scored by is part of it."""
        rule = _GROUP_RULES.get(self.model.partition(":")[0], _GROUP_RULE)
        return super().identity() | ({"group_rule": rule} if self.unit is Unit.SPAN else {})
