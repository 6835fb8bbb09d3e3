"""What an environment says as token ids, so that contexts are only ever appended to.

What was sampled is never written out and tokenised again, and nothing that was said before changes: templates that cut
the reasoning out of earlier turns, or join turns in their own way, see a dummy dialogue, of which the end is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from latent_core import prompts
from latent_core.config.ratio_form import AskedRatio
from latent_core.errors import InputError
from latent_core.models.readable import ReadableModel

_SAID = "\ufdd0said\ufdd0"  # the model's words in the dummy dialogue


class Dialogue:
    """One model's side of talking with environments; it keeps nothing of a particular conversation."""

    def __init__(self, model: ReadableModel, instruction: str, ratio: AskedRatio = 1.0) -> None:
        """`instruction` stands before the first observation, and `ratio` after it as in every other prompt."""
        self._model = model
        self._family = model.family
        self._instruction = instruction
        self._ratio = ratio

    def opening(self, observation: str) -> tuple[int, ...]:
        """The first context: system turn, instruction, observation, generation prompt and an open think mark."""

        def render(said: str) -> str:
            # A prompt has both with a line break between them, so any line break may part them for it.
            instruction, _, rest = said.partition("\n")
            return prompts.render_prompt(
                rest, self._model.tokenizer, self._family, ratio=self._ratio, instruction=instruction
            )

        # A server wrote both, so both may spell control tokens.
        return tuple(self._model.encode_around(render, f"{self._instruction}\n{observation}"))

    def reply(self, ids: Sequence[int], observation: str, *, was_cut: bool) -> tuple[int, ...]:
        """What follows the model's words, with which `ids` end, up to where it speaks again.

        Words that were cut are closed first: by the closing think mark where they were still reasoning, and by the end
        of turn. Raises InputError for a model that names its ratio first, which knows one turn only.
        """
        if self._family.echoes:
            raise InputError("model: it names its ratio first, and so plays environments of one turn only")
        closing: list[int] = []
        if was_cut:
            if self._is_thinking(ids):
                closing.append(int(self._family.think_end_id or 0))
            closing.append(self._family.end_of_turn_id)
        return (*closing, *self._model.encode_around(self._next_turn, observation))

    def _is_thinking(self, ids: Sequence[int]) -> bool:
        if not self._family.thinks:
            return False
        marks = (self._family.think_start_id, self._family.think_end_id)
        return next((token for token in reversed(ids) if token in marks), None) == self._family.think_start_id

    def _next_turn(self, observation: str) -> str:
        """What the template writes between the token that ends the model's turn and its next words."""
        turns = [
            {"role": "user", "content": self._instruction.replace(_SAID, "")},
            {"role": "assistant", "content": _SAID},
            {"role": "user", "content": observation},
        ]
        text = self._family.render(turns, self._model.tokenizer, add_generation_prompt=True)
        _, _, tail = text.partition(_SAID)
        end, found, rest = tail.partition(self._family.end_of_turn)
        if not found or end.strip():
            raise InputError(
                f"model: its chat template writes {tail!r} after an earlier turn, which does not begin with "
                f"{self._family.end_of_turn}; replace the template"
            )
        return rest if not self._family.thinks or self._family.opens_think else f"{rest}{self._family.think_start}\n"
