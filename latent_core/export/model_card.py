"""The README.md of an exported model, as the Hugging Face Hub has them: metadata, results, usage, provenance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from latent_core.evaluation.statistics import Estimate
from latent_core.export.usage import Usage

UNKNOWN_LICENCE = "it is not known here, see the base model's page"
_TAGS = ("latent-reasoning", "chain-of-thought-compression")
_CLASSIFIER = (
    "It gives every token the logits of dropping and keeping it. With transformers it loads as "
    "`AutoModelForTokenClassification`; with the package `latent-reasoning` it compresses texts at any ratio:\n\n"
    "```bash\nlatent compress FILE --model DIR --ratio 0.5\n```"
)


@dataclass(frozen=True)
class Base:
    """The model that training began with. `hub` is its id on the Hub, `licence` an identifier of the Hub's."""

    name: str
    fingerprint: str
    hub: str | None = None
    revision: str | None = None
    licence: str | None = None
    note: str = ""
    """What is known of whether `name` is still that model."""


@dataclass(frozen=True)
class Result:
    """One evaluation. Lengths are means a question; `asked` says how it was sampled, `artifact` is its address."""

    condition: str
    benchmark: str
    questions: int
    accuracy: Estimate
    reasoning_tokens: float
    tokens: float
    asked: str
    artifact: str


@dataclass(frozen=True)
class Origin:
    """An artifact or an outside input behind the model: its stage, or None for an input, which has a name instead."""

    stage: str | None
    fingerprint: str
    name: str = ""
    version: int | None = None
    made: str = ""
    commit: str = ""


@dataclass(frozen=True)
class ModelCard:
    """All that the card says.

    `usage` is None for a token classifier of words, which compresses and is asked nothing. `adapter_of` is what code
    calls the model that an adapter is loaded on, and a sentence about how to get it.
    """

    title: str
    summary: str
    usage: Usage | None
    is_adapter: bool
    base: Base | None = None
    adapter_of: tuple[str, str] = ("", "")
    results: Sequence[Result] = ()
    origins: Sequence[Origin] = ()
    datasets: Sequence[str] = ()
    """Ids of the Hub's data sets that training problems came from."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    made_with: str = ""
    licence: str | None = None

    def text(self) -> str:
        """The whole file."""
        sections = [self._head(), self._results(), self._use(), self._dual(), self._made(), self._licence()]
        return f"---\n{self._metadata()}\n---\n\n" + "\n\n".join(section for section in sections if section) + "\n"

    def _metadata(self) -> str:
        from huggingface_hub import EvalResult, ModelCardData

        tags = [*_TAGS, *(["dual-vocabulary"] if self.usage is not None and self.usage.is_dual else [])]
        results = [
            EvalResult(
                task_type="text-generation",
                dataset_type=result.benchmark,
                dataset_name=result.benchmark,
                dataset_split="test",
                metric_type="accuracy",
                metric_name=f"accuracy, {result.condition} ({result.asked})",
                metric_value=round(result.accuracy.value, 4),
            )
            for result in self.results
        ]
        base = self.base
        data = ModelCardData(
            base_model=base.hub if base else None,
            license=self.licence,
            library_name="peft" if self.is_adapter else "transformers",
            pipeline_tag="token-classification" if self.usage is None else "text-generation",
            tags=tags,
            datasets=list(self.datasets) or None,
            model_name=self.title if results else None,
            eval_results=results or None,
        )
        return data.to_yaml().strip()

    def _head(self) -> str:
        return f"# {self.title}\n\n{self.summary}"

    def _results(self) -> str:
        if self.usage is None:
            return ""
        if not self.results:
            return "## Results\n\nThe store that this model was exported from holds no evaluation of it."
        lines = ["## Results", "", "| asked | benchmark | questions | accuracy (95 %) | reasoning tokens | tokens |"]
        lines.append("|---|---|---:|---:|---:|---:|")
        for result in self.results:
            value, low, high = (f"{100 * number:.1f}" for number in result.accuracy)
            lines.append(
                f"| {result.condition}, {result.asked} | {result.benchmark} | {result.questions:,} "
                f"| {value} % ({low} to {high}) | {result.reasoning_tokens:.1f} | {result.tokens:.1f} |"
            )
        lines += [
            "",
            "Tokens are means a question. Intervals are over questions, for this very model: Wilson's, or a bootstrap "
            "where a question has several samples. Another training run may differ by more.",
        ]
        return "\n".join(lines)

    def _use(self) -> str:
        usage = self.usage
        if usage is None:
            return f"## Use\n\n{_CLASSIFIER}"
        ratio = " The ratio is the share of its reasoning that the model shall write." if usage.ratios else ""
        is_as_evaluated = self.results and all(result.asked.startswith("greedy") for result in self.results)
        greedy = "greedy, as it was evaluated" if is_as_evaluated else "greedy"
        called, where = self.adapter_of
        needs = f"{where}\n\n" if self.is_adapter else ""
        what = "transformers and PEFT" if self.is_adapter else "transformers"
        lines = [
            "## Use",
            f"With {what}, nothing else; {greedy}.{ratio}",
            f"{needs}```python\n{usage.with_transformers(called if self.is_adapter else None)}```",
        ]
        if not self.is_adapter:
            lines += ["With vLLM's offline engine:", f"```python\n{usage.with_vllm()}```", *_server(usage)]
        return "\n\n".join(lines)

    def _dual(self) -> str:
        vocabulary = None if self.usage is None else self.usage.readable.vocabulary
        if self.usage is None or vocabulary is None:
            return ""
        layout = (
            f"The model has {vocabulary.visible_size:,} visible ids and {vocabulary.latent_size:,} latent ones, which "
            "have rows of their own in the embedding. A latent id stands for a visible one. `dual_vocab.json` says for "
            "which (`source_runs`: pairs of a first visible id and a count, in the order of the latent ids); "
            "`config.json` holds the same under `dual_vocab`. Latent ids have no text in the tokenizer, and an id that "
            "is not translated decodes to nothing."
        )
        rule = (
            "Between the think marks the model may write latent ids and the closing mark, after it visible ids only. "
            "**Without this rule it is another model**: the code above applies it with what transformers and vLLM "
            "bring along."
        )
        served = (
            "With the package `latent-reasoning` and vLLM installed, `latent serve DIR` starts an OpenAI-compatible "
            "server that applies it to every request, and shows the reasoning in words."
        )
        content = f"The content of the user's turn is then\n\n```text\n{self.usage.content()}\n```"
        return "\n\n".join(["## The dual vocabulary", layout, rule, served, content])

    def _made(self) -> str:
        if not self.origins and not self.settings:
            return ""
        lines = ["## How it was made", ""]
        if self.base is not None:
            note = f" ({self.base.note})" if self.base.note else ""
            lines += [f"From {self.base.name}, content `{self.base.fingerprint}`{note}.", ""]
        if self.settings:
            told = "\n".join(f"{name}: {json.dumps(value)}" for name, value in sorted(self.settings.items()))
            lines += ["Training:", "", f"```yaml\n{told}\n```", ""]
        lines += origin_table(self.origins)
        return "\n".join([*lines, self.made_with]).rstrip()

    def _licence(self) -> str:
        licence = f"`{self.licence}`" if self.licence else UNKNOWN_LICENCE
        if self.base is None:
            return f"## Licence\n\n{licence}" if self.licence else ""
        return f"## Licence\n\nThe licence of its base, {self.base.name}, holds: {licence}."


def origin_table(origins: Sequence[Origin]) -> list[str]:
    """A table of what something was made from, as lines of Markdown; empty without any."""
    if not origins:
        return []
    lines = ["What it was made from. A fingerprint stands for parameters, code version and inputs:", ""]
    lines += ["| stage or input | version | fingerprint | made | commit |", "|---|---:|---|---|---|"]
    return [*lines, *map(_row, origins), ""]


def _server(usage: Usage) -> Iterator[str]:
    """How a server is asked, in paragraphs; that of a dual model stands beside its constraint."""
    if usage.is_dual:
        return
    yield (
        "A server (`vllm serve DIR`) has a chat endpoint. The content of the user's turn is then"
        f"\n\n```text\n{usage.content()}\n```"
    )
    if usage.opens_think:
        yield (
            "The chat endpoint writes the prompt without the open think mark that the model was trained with. Send "
            "what `prompt` returns to the completions endpoint instead, with `add_special_tokens: false`."
        )


def _row(origin: Origin) -> str:
    what = origin.stage or f"input: {origin.name}"
    version = "" if origin.version is None else origin.version
    return f"| {what} | {version} | `{origin.fingerprint}` | {origin.made} | {origin.commit} |"
