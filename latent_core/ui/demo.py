"""What the page can do: text and settings in, HTML out. The tabs call these functions and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from latent_core.compress.selection import SelectionOptions
from latent_core.config.compress import RatioOf
from latent_core.ui import markup
from latent_core.ui.browser import SampleBrowser
from latent_core.ui.catalog import ModelCatalog
from latent_core.ui.compression import CompressionCache
from latent_core.ui.explanations import explain
from latent_core.ui.playground import play
from latent_core.ui.playground_markup import players_side_by_side
from latent_core.ui.samples import SampleLibrary

COLUMN_RATIOS = (0.9, 0.7, 0.5, 0.3)


@dataclass(frozen=True)
class Demo:
    """What the page stands on; `target` names the model whose tokens are counted."""

    cache: CompressionCache
    target: str
    library: SampleLibrary
    catalog: ModelCatalog
    browser: SampleBrowser

    def compress(self, text: str, ratio: float, ratio_of: str, keeps: Sequence[str]) -> tuple[str, str, str]:
        """Counts and diff, heat map, and the compressed text, as HTML."""
        view = self.cache.view(text, ratio, _options(ratio_of, keeps))
        return (
            markup.counts(view, self.target) + markup.diff(view),
            markup.heat_map(view.alignment),
            markup.compressed(view),
        )

    def compare(self, text: str, ratio: float, ratio_of: str, keeps: Sequence[str]) -> str:
        """The slider's ratio among the fixed ones, the largest first, and how often the encoder has read a text."""
        ratios = sorted({ratio, *COLUMN_RATIOS}, reverse=True)
        views = self.cache.views(text, tuple(ratios), _options(ratio_of, keeps))
        passes = f"Encoder passes since the page's server started: {self.cache.passes}. The slider adds none."
        return markup.side_by_side(views, self.target, ratio) + markup.note(passes)

    def explain(self, text: str, ratio: float) -> str:
        """Why the achieved rate differs from the request, in the text's own numbers."""
        return explain(self.cache, text, ratio, self.target)

    def play(self, question: str, ratio: float, tokens: float, standard: str, dual: str) -> Iterator[str]:
        """Both models' progress after every token, as HTML."""
        players = [self.catalog.player(name) for name in (standard, dual)]
        for states in play(question, ratio, int(tokens), players):
            yield players_side_by_side(states)


def _options(ratio_of: str, keeps: Sequence[str]) -> SelectionOptions:
    return SelectionOptions(
        ratio_of=RatioOf(ratio_of),
        keep_numbers="keep_numbers" in keeps,
        keep_operators="keep_operators" in keeps,
        keep_latex_commands="keep_latex_commands" in keeps,
    )
