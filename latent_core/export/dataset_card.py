"""The README.md of exported tables, whose metadata tell `datasets.load_dataset` which file is which split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from latent_core.export.model_card import Origin, origin_table

if TYPE_CHECKING:
    import pyarrow as pa

_SPLITS = ("train", "validation", "test")
_MEANINGS = {
    "question_id": "names the question; splits never part a question's rows",
    "sample_index": "which of the question's samples it is",
    "gold": "the right answer",
    "level": "how hard the question is, as its benchmark says",
    "prompt_token_ids": "the prompt as the model read it",
    "output_token_ids": "what the model wrote, as it was sampled",
    "finish_reason": "stop, or length where it was cut",
    "completion": "what the model wrote, as text",
    "reasoning": "the part before the answer",
    "answer": "the answer that was found in the completion",
    "verdict": "correct, wrong, unparsed (no answer found) or truncated (cut before its end)",
    "tokens": "tokens that the model wrote",
    "reasoning_tokens": "those of its reasoning",
    "latent_tokens": "those that are latent ids",
    "ratio": "the ratio that the prompt asks for",
    "achieved_ratio": "length of the text against the whole reasoning, in the model's tokens",
    "prompt": "what the model reads",
    "target": "what it shall write",
    "input_ids": "prompt and target as token ids",
    "labels": "the same, -100 where nothing is learned",
}


@dataclass(frozen=True)
class TableFile:
    """An exported table: its name, its file below the folder, its columns and rows."""

    name: str
    path: str
    schema: pa.Schema
    rows: int
    not_finite: int = 0
    """Numbers that became null, since JSON has neither NaN nor infinity."""


@dataclass(frozen=True)
class DatasetCard:
    """All that the card says; `accounting` has the rows kept and, by reason, those left out."""

    title: str
    summary: str
    tables: Sequence[TableFile]
    accounting: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    origins: Sequence[Origin] = ()
    licence: str | None = None

    def text(self) -> str:
        """The whole file."""
        sections = [f"# {self.title}\n\n{self.summary}", self._load(), self._columns(), self._made()]
        return f"---\n{self._metadata()}\n---\n\n" + "\n\n".join(sections) + "\n"

    def configs(self) -> list[dict[str, Any]]:
        """Tables with the name of a split are splits of one data set; any other is a data set of its own."""
        splits = [table for table in self.tables if table.name in _SPLITS]
        groups = {"default": splits} if splits else {}
        others = [table for table in self.tables if table.name not in _SPLITS]
        groups |= {table.name if len(self.tables) > 1 else "default": [table] for table in others}
        return [
            {
                "config_name": name,
                "data_files": [
                    {"split": table.name if table.name in _SPLITS else "train", "path": table.path} for table in group
                ],
            }
            for name, group in groups.items()
        ]

    def _metadata(self) -> str:
        from huggingface_hub import DatasetCardData

        data = DatasetCardData(
            license=self.licence,
            task_categories=["text-generation"],
            pretty_name=self.title,
            configs=self.configs(),
            tags=["latent-reasoning", "chain-of-thought"],
        )
        return str(data.to_yaml()).strip()

    def _load(self) -> str:
        lines = ["from datasets import load_dataset", ""]
        for config in self.configs():
            name = "" if config["config_name"] == "default" else f", {config['config_name']!r}"
            lines += [f'load_dataset("."{name}, split={one["split"]!r})' for one in config["data_files"]]
        rows = "\n".join(f"| `{table.path}` | {table.rows:,} |" for table in self.tables)
        code = "\n".join(lines)
        lost = sum(table.not_finite for table in self.tables)
        told = f"{lost:,} numbers are not finite, and null here.\n\n" if lost else ""
        return f"| file | rows |\n|---|---:|\n{rows}\n\n{told}```python\n{code}\n```"

    def _columns(self) -> str:
        lines = ["## Columns", "", "| column | type | meaning |", "|---|---|---|"]
        seen = set()
        for table in self.tables:
            for column in table.schema:
                if column.name not in seen:
                    seen.add(column.name)
                    kind = str(column.type).replace("element: ", "").replace("item: ", "")
                    lines.append(f"| `{column.name}` | {kind} | {_MEANINGS.get(column.name, '')} |")
        return "\n".join(lines)

    def _made(self) -> str:
        lines = ["## How it was made", ""]
        if self.accounting:
            told = ", ".join(f"{reason} {count:,}" for reason, count in sorted(self.accounting.items()))
            lines += [f"Rows by what became of them: {told}.", ""]
        if self.settings:
            told = "\n".join(f"{name}: {json.dumps(value)}" for name, value in sorted(self.settings.items()))
            lines += [f"```yaml\n{told}\n```", ""]
        return "\n".join([*lines, *origin_table(self.origins)])
