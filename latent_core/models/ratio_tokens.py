"""The tokens that tell a model its ratio, one a ratio: which there are is written beside the tokenizer.

Whatever renders a prompt for the model finds them there, and so cannot ask for a ratio in another form than the one
that the model was trained in. Training, merging an adapter and building a dual model take the file along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from latent_core.config.ratio_form import AUTO, AskedRatio, RatioForm
from latent_core.dual.storage import read_json, write_json
from latent_core.errors import InputError

FILE_NAME = "ratio_tokens.json"
VERSION = 1


def token_text(ratio: AskedRatio) -> str:
    """The token of a ratio, in percent: <|ratio_50|>, <|ratio_12.5|>; of auto <|ratio_auto|>."""
    return "<|ratio_auto|>" if ratio == AUTO else f"<|ratio_{100 * float(ratio):g}|>"


@dataclass(frozen=True)
class RatioTokens:
    """A model's ratio tokens. `ratios` and `ids` go together, the highest ratio first; `auto_id` is None where the
    model does not name its ratio. Raises InputError where they contradict each other."""

    form: RatioForm
    ratios: tuple[float, ...]
    ids: tuple[int, ...]
    auto_id: int | None = None

    def __post_init__(self) -> None:
        if self.form is RatioForm.SUFFIX or len(self.ratios) != len(self.ids) or not self.ratios:
            raise InputError(f"ratio tokens: form {self.form} with {len(self.ratios)} ratios and {len(self.ids)} ids")
        if len(set(self.all_ids)) != len(self.all_ids) or (self.auto_id is not None) != self.echoes:
            raise InputError("ratio tokens: every ratio has an id of its own, and auto has one where the model echoes")

    @property
    def echoes(self) -> bool:
        """Whether the model writes the token of its ratio first."""
        return self.form is RatioForm.ECHO

    @property
    def all_ids(self) -> tuple[int, ...]:
        """Ids of all tokens, that of auto last."""
        return self.ids if self.auto_id is None else (*self.ids, self.auto_id)

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts of all tokens, in the order of `all_ids`."""
        found = tuple(token_text(ratio) for ratio in self.ratios)
        return found if self.auto_id is None else (*found, token_text(AUTO))

    @cached_property
    def ratio_of(self) -> Mapping[int, float]:
        """The ratio that an id tells; auto tells none."""
        return dict(zip(self.ids, self.ratios, strict=True))

    def text_of(self, ratio: AskedRatio) -> str:
        """The token that asks for a ratio. Raises InputError for one without a token, and for auto without echo."""
        if ratio == AUTO:
            if self.auto_id is None:
                raise InputError("ratio: auto needs a model that names its ratio (ratio_form: echo); give a number")
            return token_text(AUTO)
        known = next((own for own in self.ratios if f"{own:g}" == f"{ratio:g}"), None)
        if known is None:
            raise InputError(f"ratio: {ratio:g} has no token in this model; it has {listed(self.ratios)}")
        return token_text(known)

    def save(self, directory: Path) -> None:
        """Write `ratio_tokens.json`."""
        tokens = [{"ratio": ratio, "id": token} for ratio, token in zip(self.ratios, self.ids, strict=True)]
        stored = {"version": VERSION, "form": self.form.value, "tokens": tokens, "auto_id": self.auto_id}
        write_json(directory / FILE_NAME, stored)

    @classmethod
    def find(cls, directory: Path) -> RatioTokens | None:
        """The tokens of the model in `directory`; None where it is told ratios by the suffix. Raises InputError for a
        file that cannot be read."""
        path = directory / FILE_NAME
        return cls.from_json(read_json(path), str(path)) if path.is_file() else None

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], where: str) -> RatioTokens:
        """The tokens of a file's object; `where` names it in errors. Raises InputError on anything else."""
        if stored.get("version") != VERSION:
            raise InputError(f"{where}: has version {stored.get('version')!r}, not {VERSION}; build the tokens again")
        try:
            return cls(
                RatioForm(stored["form"]),
                tuple(float(token["ratio"]) for token in stored["tokens"]),
                tuple(int(token["id"]) for token in stored["tokens"]),
                None if stored["auto_id"] is None else int(stored["auto_id"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where} is damaged ({error}); restore it, or build the tokens again") from error

    def check(self, tokenizer: Any, where: str) -> None:
        """Raise InputError unless the tokenizer has every token under its id."""
        found = tokenizer.convert_tokens_to_ids(list(self.texts))
        if tuple(found) != self.all_ids:
            raise InputError(f"{where}: its tokens have the ids {found} in the tokenizer; restore both files")


def wanted_ratios(ratios: Iterable[float]) -> tuple[float, ...]:
    """The ratios that get a token: those given and 1.0, descending."""
    return tuple(sorted({1.0, *ratios}, reverse=True))


def listed(ratios: Sequence[float]) -> str:
    """Ratios as messages have them."""
    return ", ".join(f"{ratio:g}" for ratio in ratios)
