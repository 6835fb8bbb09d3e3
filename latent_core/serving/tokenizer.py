"""A dual model's tokenizer as a server needs it: latent ids read as what they mirror, prompts open their reasoning.

A wrapper, because a dual model's own tokenizer knows visible ids only and would write latents as nothing. It is no
subclass on purpose: vLLM then detokenises through these methods instead of inside the tokenizer's compiled part.
Encoding is the wrapped tokenizer's, so that no text can spell a latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latent_core.dual.vocabulary import DualVocabulary
from latent_core.models.chat_template import Clock
from latent_core.models.family import ChatFamily, chat_family, open_family
from latent_core.serving.templates import generation_template


class DualTokenizer:
    """Everything of `inner` but the way back from ids to text, the number of ids, and the generation prompt.

    Where the chat template does not open the think mark itself, the generation prompt ends in it, as in
    `prompts.render_prompt`: a dual model is always started inside its reasoning, unless it names its ratio first.
    """

    def __init__(self, inner: Any, vocabulary: DualVocabulary, family: ChatFamily | None = None) -> None:
        self._inner = inner
        self.dual_vocabulary = vocabulary
        self._family = chat_family(inner, is_dual=True) if family is None else family
        self.opens_think_itself = self._family.opens_think
        self.names_ratio_first = self._family.echoes
        start, end = inner.convert_ids_to_tokens(list(vocabulary.think_ids))
        self.think_start, self.think_end = str(start), str(end)
        self.chat_template = generation_template(inner.chat_template, self._family)

    @classmethod
    def from_pretrained(cls, path_or_repo_id: str | Path, *args: Any, **kwargs: Any) -> DualTokenizer:
        """What vLLM calls; a dual model is a local directory. Raises `InputError` when it is none."""
        directory = Path(path_or_repo_id)
        inner, family = open_family(directory)
        return cls(inner, DualVocabulary.load(directory), family)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_inner":  # copying looks for these before the fields are there
            raise AttributeError(name)
        return getattr(self._inner, name)

    @property
    def visible(self) -> Any:
        """The wrapped tokenizer, which knows visible ids only."""
        return self._inner

    def __len__(self) -> int:
        return self.dual_vocabulary.size

    def __hash__(self) -> int:
        return id(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._inner(*args, **kwargs)

    @property
    def max_token_id(self) -> int:
        return self.dual_vocabulary.size - 1

    @property
    def max_chars_per_token(self) -> int:
        return max(len(token) for token in self._inner.get_vocab())

    def get_chat_template(self, chat_template: str | None = None, tools: Any = None) -> str:
        if chat_template is None:
            return str(self.chat_template)
        return str(self._inner.get_chat_template(chat_template, tools=tools))

    def apply_chat_template(self, conversation: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("chat_template") is None:
            kwargs["chat_template"] = self.chat_template
        # What training was rendered with: the pinned day, and the template's switches.
        pinned = Clock(self._family.date).names() | dict(self._family.options)
        return self._inner.apply_chat_template(conversation, *args, **pinned | kwargs)

    def decode(self, ids: Sequence[int] | int, skip_special_tokens: bool = False, **kwargs: Any) -> str:
        """Readable text; latents through their sources, think marks always written out."""
        several = [ids] if isinstance(ids, int) else list(ids)
        return self.dual_vocabulary.decode(several, self._inner, skip_special_tokens=skip_special_tokens)

    def convert_ids_to_tokens(self, ids: Sequence[int] | int, skip_special_tokens: bool = False) -> Any:
        """The vocabulary's strings; latents as their sources' strings, custom latents as their text."""
        if isinstance(ids, int):
            return self._token(ids)
        skipped = set(self._inner.all_special_ids) - set(self.dual_vocabulary.think_ids) if skip_special_tokens else ()
        return [self._token(token) for token in ids if token not in skipped]

    def _token(self, token: int) -> str:
        vocabulary = self.dual_vocabulary
        source = token
        if token >= vocabulary.visible_size:
            source = vocabulary.source_ids[token - vocabulary.visible_size]
            if source < 0:
                return vocabulary.decode([token], self._inner)
        return str(self._inner.convert_ids_to_tokens(source) or "")
