"""Questions answered by searching: `search[query]` shows passages, `answer[text]` ends the episode.

The actions are those of ReAct (Yao et al. 2023, arXiv 2210.03629), the reward is the exact match of Search-R1 (Jin et
al. 2025, arXiv 2503.09516), after the normalisation of SQuAD (Rajpurkar et al. 2016, arXiv 1606.05250). Passages are
ranked by BM25 (bm25s, Lù 2024, arXiv 2407.03618).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from latent_core.errors import InputError
from latent_core.identity import hash_file
from latent_core.rl.environments.jsonl import read_rows, text_of
from latent_core.rl.environments.protocol import EnvironmentSpec, Info
from latent_core.rl.environments.search_qa_sample import Passage, Question, World, sample_world
from latent_core.rl.environments.turn_count import TurnCount

TURNS = 6
SHOWN = 3  # passages a search
LONGEST_QUERY = 500  # characters
LONGEST_PASSAGE = 1000  # characters that are shown
INSTRUCTION = (
    f"Answer the question with the help of a search engine. Write search[QUERY] to see up to {SHOWN} passages, and "
    f"answer[TEXT] to answer in as few words as possible, which ends the game. You have {TURNS} actions in all."
)
_ACTION = re.compile(r"\s*(search|answer)\s*\[(.*)\]\s*", re.DOTALL | re.IGNORECASE)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WORD = re.compile(r"\w+")


class Index:
    """BM25 over passages, with their titles; equal ranks keep the order of the passages."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        import bm25s

        self._passages = passages
        self._bm25 = bm25s.BM25()
        self._bm25.index([_words(f"{passage.title} {passage.text}") for passage in passages], show_progress=False)

    def search(self, query: str) -> list[int]:
        """The places of the best passages, best first; none that shares no word with the query."""
        words = [word for word in dict.fromkeys(_words(query)) if word in self._bm25.vocab_dict]
        if not words:
            return []
        scores = self._bm25.get_scores(words)
        ranked = sorted(range(len(self._passages)), key=lambda place: (-scores[place], place))
        return [place for place in ranked[:SHOWN] if scores[place] > 0]


class SearchEnvironment:
    """The questions of a world by seed, in its order and again from the first."""

    def __init__(self, world: World, index: Index) -> None:
        self._world, self._index = world, index
        self._turns = TurnCount(TURNS)
        self._question: Question | None = None
        self._seen: set[int] = set()

    def reset(self, seed: int) -> tuple[str, Info]:
        self._turns.begin(seed)
        self._seen = set()
        self._question = self._world.questions[seed % len(self._world.questions)]
        return f"Question: {self._question.text}", {"state": ()}

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        self._turns.take()
        assert self._question is not None
        understood = _ACTION.fullmatch(action)
        kind, text = (understood[1].lower(), understood[2].strip()) if understood else ("", "")
        if kind == "answer":
            self._turns.finish(terminated=True)
            matched = exact_match(text, self._question.answers)
            said = "This is the right answer." if matched else "This is not the right answer."
            score = f1(text, self._question.answers)
            info = {"valid": True, "success": matched, "f1": score, "state": self._state()}
            return said, float(matched), True, False, info
        truncated = self._turns.finish(terminated=False)
        if kind == "search" and text and len(text) <= LONGEST_QUERY:
            observation, valid = self._passages(text), True
        else:
            observation, valid = f"Write search[QUERY] or answer[TEXT], of up to {LONGEST_QUERY} characters.", False
        left = TURNS - self._turns.used
        info = {"valid": valid, "state": self._state()}
        if truncated:
            return f"{observation}\nThere are no actions left.", 0.0, False, True, {**info, "success": False, "f1": 0.0}
        return f"{observation}\nActions left: {left}.", 0.0, False, False, info

    def _passages(self, query: str) -> str:
        found = self._index.search(query)
        self._seen.update(found)
        shown = (self._world.passages[place] for place in found)
        lines = [f"[{rank}] {item.title}: {item.text[:LONGEST_PASSAGE]}" for rank, item in enumerate(shown, 1)]
        return "\n".join(lines) or "No passage was found."

    def _state(self) -> tuple[int, ...]:
        return tuple(sorted(self._seen))


def normalised(text: str) -> str:
    """Small letters, no punctuation, no articles, single spaces; as SQuAD's evaluation script does."""
    kept = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    return " ".join(_ARTICLES.sub(" ", kept).split())


def exact_match(text: str, answers: Sequence[str]) -> bool:
    """Whether the text is one of the answers, both normalised."""
    return normalised(text) in {normalised(answer) for answer in answers}


def f1(text: str, answers: Sequence[str]) -> float:
    """The largest harmonic mean of precision and recall of words, 0 to 1, over the answers, both normalised."""
    return max(_f1(normalised(text).split(), normalised(answer).split()) for answer in answers)


def _f1(words: list[str], gold: list[str]) -> float:
    if not words or not gold:
        return float(words == gold)
    shared = (Counter(words) & Counter(gold)).total()
    return 2 * shared / (len(words) + len(gold))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def read_world(argument: str) -> World:
    """Passages and questions of a JSONL file, in any order.

    A passage is an object with `text` and, optionally, `title`; a question one with `question` and `answer`, a text or
    a list of texts of which any is right. Raises InputError for another row, and for a file without either kind.
    """
    passages, questions = [], []
    for place, row in read_rows("search_qa", argument):
        if "question" in row:
            found = row.get("answer")
            answers: list[Any] = found if isinstance(found, list) else [found]
            if not answers or not all(isinstance(answer, str) and normalised(answer) for answer in answers):
                raise InputError(f"environment: {place} has no answer; give a text or a list of texts in 'answer'")
            questions.append(Question(text_of(place, row, "question"), tuple(map(str, answers))))
        elif "text" in row:
            title = row.get("title", "")
            if not isinstance(title, str):
                raise InputError(f"environment: {place}: title is {title!r}; give a text, or leave it out")
            passages.append(Passage(title, text_of(place, row, "text")))
        else:
            raise InputError(f"environment: {place} has neither 'text' nor 'question'; give one of them")
    for kind, rows, field in (("passages", passages, "text"), ("questions", questions, "question")):
        if not rows:
            raise InputError(f"environment: search_qa:{argument} holds no {kind}; give rows with the field {field!r}")
    return World(tuple(passages), tuple(questions))


def search_qa(argument: str) -> EnvironmentSpec:
    """The environment `search_qa:FILE`; see `read_world`. Raises InputError for a file that cannot be read."""
    world = read_world(argument)
    index = cache(lambda: Index(world.passages))
    return _spec(f"search_qa:{argument}", world, index, hash_file(Path(argument)))


def _spec(name: str, world: World, index: Any, content: str) -> EnvironmentSpec:
    return EnvironmentSpec(
        name=name,
        version=1,
        instruction=INSTRUCTION,
        max_turns=TURNS,
        open=lambda: SearchEnvironment(world, index()),
        lowest=0.0,
        optimum=lambda seed: 1.0,
        content=content,
    )


SEARCH_QA = _spec("search_qa", sample_world(), cache(lambda: Index(sample_world().passages)), "")
