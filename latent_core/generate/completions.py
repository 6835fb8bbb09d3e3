"""Questions in, graded completions out: what collection and evaluation have in common."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from latent_core import prompts
from latent_core.benchmarks.problem import Problem
from latent_core.config.prompting import Prompting, TextFormat
from latent_core.config.ratio_form import AskedRatio
from latent_core.config.sampling import SamplingConfig
from latent_core.exemplars import Exemplar
from latent_core.generate.engine import Engine, Generation, Request, item_seed
from latent_core.models.header import apart
from latent_core.models.readable import ReadableModel
from latent_core.scoring import grade
from latent_core.scoring.statement import before_answer
from latent_core.think_marks import THINK_CLOSE, THINK_OPEN

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[int, int], None]  # (completions done, tokens generated so far)
_XML_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
# Completions handed to the engine at once. Each call ends in a batch that empties; bounded for memory (300 MB of ids at
# 4,000 tokens each) and because rows are written between calls. Conditions in joined passes have as many each.
COMPLETIONS_PER_CALL = 2048
LOGPROBS = "token_logprobs"
ECHOED = "echoed_ratio"


class _Parts(NamedTuple):
    completion: str
    reasoning: str
    reasoning_tokens: int


def sample_schema(*, logprobs: bool = False, echoed: bool = False) -> pa.Schema:
    """Columns of a graded completion; `output_token_ids` are as sampled, `verdict` is the grader's outcome.

    With `logprobs` also `token_logprobs`, one for each of the output's tokens (see `Generation`); with `echoed`, for a
    model that names its ratio first, also `echoed_ratio`, null where it named none.
    """
    import pyarrow as pa

    schema = pa.schema(
        [
            ("question_id", pa.string()),
            ("sample_index", pa.int32()),
            ("question", pa.string()),
            ("gold", pa.string()),
            ("level", pa.string()),
            ("prompt_token_ids", pa.list_(pa.int32())),
            ("output_token_ids", pa.list_(pa.int32())),
            ("finish_reason", pa.string()),
            ("completion", pa.string()),
            ("reasoning", pa.string()),
            ("answer", pa.string()),
            ("verdict", pa.string()),
            ("tokens", pa.int32()),
            ("reasoning_tokens", pa.int32()),
            ("latent_tokens", pa.int32()),
        ]
    )
    if echoed:
        schema = schema.append(pa.field(ECHOED, pa.float64()))
    return schema.append(pa.field(LOGPROBS, pa.list_(pa.float32()))) if logprobs else schema


def graded_completions(
    problems: Sequence[Problem],
    model: ReadableModel,
    engine: Engine,
    sampling: SamplingConfig,
    *,
    benchmark: str,
    ratio: AskedRatio = 1.0,
    prompting: Prompting = Prompting.RATIO,
    text_format: TextFormat = TextFormat.BOXED,
    exemplars: Callable[[Problem], Sequence[Exemplar]] = lambda problem: (),
    tail: Callable[[Problem], str] = lambda problem: "",
    progress: Progress | None = None,
) -> Iterator[dict[str, Any]]:
    """One row (see `sample_schema`) per question and sample, in order; `progress` gets (completions, tokens) so far.

    Ids and log-probabilities are arrays: lists take three times the memory, and the cycle collector's time.

    `exemplars` gives the worked examples to show before a question. `tail` gives the end of a question in which control
    tokens are what they spell; elsewhere a question gives none.
    """
    render = partial(
        prompts.render_prompt,
        tokenizer=model.tokenizer,
        family=model.family,
        ratio=ratio,
        prompting=prompting,
        text_format=text_format,
    )
    done, tokens = 0, 0
    if progress:
        progress(done, tokens)  # rates count from here, not from the first completion
    questions = max(1, COMPLETIONS_PER_CALL // sampling.samples)
    for start in range(0, len(problems), questions):
        block = problems[start : start + questions]
        items = [(problem, index) for problem in block for index in range(sampling.samples)]
        encoded = [
            _encoded(model, partial(render, exemplars=exemplars(problem)), problem.question, tail(problem))
            for problem in block
        ]
        requests = [
            Request(prompt, item_seed(sampling.seed, problem.question_id, index))
            for problem, ids in zip(block, encoded, strict=True)
            for prompt in [tuple(ids)]
            for index in range(sampling.samples)
        ]

        def count(ended: Mapping[int, Generation]) -> None:
            nonlocal done, tokens
            done += len(ended)
            tokens += sum(len(generation.token_ids) for generation in ended.values())
            if progress:
                progress(done, tokens)

        generations = engine.generate(requests, sampling, count)
        for place, ((problem, index), generation) in enumerate(zip(items, generations, strict=True)):
            prompt = encoded[place // sampling.samples]
            yield _graded(problem, index, prompt, generation, model, benchmark, text_format)


def _encoded(model: ReadableModel, render: Callable[[str], str], question: str, tail: str) -> array[int]:
    return model.encode_around(lambda outside: render(outside + tail), question.removesuffix(tail))


def truncated_row(row: Mapping[str, Any], tokens: int, model: ReadableModel, *, benchmark: str) -> dict[str, Any]:
    """A graded completion as it had been with at most `tokens` new tokens; `token_logprobs` stay with the whole one."""
    if row["tokens"] <= tokens:
        return {name: value for name, value in row.items() if name != LOGPROBS}
    generation = Generation(tuple(row["output_token_ids"][:tokens]), "length")
    return regraded_row(row, generation, model, benchmark=benchmark)


def regraded_row(
    row: Mapping[str, Any], generation: Generation, model: ReadableModel, *, benchmark: str
) -> dict[str, Any]:
    """A graded completion's question and prompt with another output, graded."""
    problem = Problem(row["question_id"], row["question"], row["gold"], level=row["level"])
    return _graded(problem, row["sample_index"], row["prompt_token_ids"], generation, model, benchmark)


def _graded(
    problem: Problem,
    index: int,
    prompt: Sequence[int],
    generation: Generation,
    model: ReadableModel,
    benchmark: str,
    text_format: TextFormat = TextFormat.BOXED,
) -> dict[str, Any]:
    named, said = model.family.without_echo(generation.token_ids)
    parts = _split(said, model, text_format)
    readable = _readable(parts.completion, text_format)
    verdict = grade(readable, problem.gold, benchmark=benchmark, finish_reason=generation.finish_reason)
    row = {
        "question_id": problem.question_id,
        "sample_index": index,
        "question": problem.question,
        "gold": problem.gold,
        "level": problem.level,
        "prompt_token_ids": prompt,
        "output_token_ids": array("i", generation.token_ids),
        "finish_reason": generation.finish_reason,
        "completion": parts.completion,
        "reasoning": parts.reasoning,
        "answer": verdict.answer,
        "verdict": verdict.outcome.value,
        "tokens": len(generation.token_ids),
        "reasoning_tokens": parts.reasoning_tokens,
        "latent_tokens": model.latent_count(generation.token_ids),
    }
    more = {ECHOED: named} if model.family.echoes else {}
    return row | more | ({} if generation.logprobs is None else {LOGPROBS: array("f", generation.logprobs)})


def _readable(completion: str, text_format: TextFormat) -> str:
    """A completion whose last <answer>...</answer> is written as the box that the grader looks for."""
    answers = list(_XML_ANSWER.finditer(completion)) if text_format is TextFormat.XML else []
    if not answers:
        return completion
    found = answers[-1]
    return completion[: found.start()] + prompts.render_answer(found[1].strip()) + completion[found.end() :]


def _split(ids: Sequence[int], model: ReadableModel, text_format: TextFormat) -> _Parts:
    """Where the reasoning ends. A thinking model was started inside it, so `<think>` is put back for the grader.

    `ids` have neither the ratio that an echoing model names nor the think mark that it opens: neither is reasoning.
    """
    body = ids[:-1] if ids and ids[-1] in model.family.stop_ids else ids
    if not model.family.thinks or text_format is TextFormat.RAW_TEXT:
        completion = model.decode(body)
        if text_format is not TextFormat.RAW_TEXT:
            thought, words = apart(completion, model.family.header, model.family.reasoning_frame)
            if thought is not None:
                closing = "" if words is None else f"{THINK_CLOSE}{words}"
                return _Parts(f"{THINK_OPEN}{thought}{closing}", thought.strip(), model.count(thought.strip()))
            completion = words or ""
        reasoning = before_answer(_readable(completion, text_format))
        return _Parts(completion, reasoning, model.count(reasoning))
    end = model.family.think_end_id
    try:
        position = body.index(end)
    except ValueError:
        position = len(body)
    reasoning = model.decode(body[:position])
    closing = "" if position == len(body) else THINK_CLOSE + model.decode(body[position + 1 :])
    return _Parts(f"{THINK_OPEN}{reasoning}{closing}", reasoning.strip(), position)
