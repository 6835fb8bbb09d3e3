"""The sample library: presets first, and every row of a sharded artifact on exactly one page."""

from __future__ import annotations

import pytest

from latent_core.errors import InputError
from latent_core.store import ArtifactStore, DamagedError
from latent_core.ui.samples import PAGE_ROWS, PRESET_SOURCE, SampleLibrary

TABLE = "samples.parquet"


def test_sources_of_an_empty_store_are_the_presets(tmp_path):
    library = SampleLibrary(ArtifactStore(tmp_path / "none"), TABLE)
    assert library.sources() == [PRESET_SOURCE]
    page = library.page(PRESET_SOURCE, 1)
    assert page.total == len(page.samples) == 3 and all(sample.reasoning for sample in page.samples)


def test_sources_name_merged_artifacts_before_their_shards(collected):
    store, ref = collected
    sources = SampleLibrary(store, TABLE).sources()
    assert sources[:2] == [PRESET_SOURCE, f"collect/{ref.fingerprint[:16]}"]
    assert [source.partition("/")[0] for source in sources[2:]] == ["collect_shard"] * 3


def test_pages_of_a_sharded_artifact_hold_every_row_once_and_in_order(collected):
    store, ref = collected
    library = SampleLibrary(store, TABLE)
    pages = [library.page(str(ref), number) for number in (1, 2, 3)]
    assert [len(page.samples) for page in pages] == [PAGE_ROWS, PAGE_ROWS, 19 - 2 * PAGE_ROWS]
    assert [(page.number, page.pages, page.total) for page in pages] == [(number, 3, 19) for number in (1, 2, 3)]
    questions = [sample.question for page in pages for sample in page.samples]
    assert questions == [f"What is {index} + 1?" for index in range(19)]
    assert pages[0].samples[1].title == "q0 · sample 1 · correct · 7 tokens"


def test_page_beyond_the_ends_is_the_nearest(collected):
    store, ref = collected
    library = SampleLibrary(store, TABLE)
    assert library.page(str(ref), 0) == library.page(str(ref), 1)
    assert library.page(str(ref), 99) == library.page(str(ref), 3)


def test_page_of_an_unknown_or_damaged_artifact_is_one_clear_error(collected):
    store, ref = collected
    library = SampleLibrary(store, TABLE)
    with pytest.raises(InputError, match="no artifact matches"):
        library.page("collect/ffff", 1)
    store.local_path(f"collect_shard/{'1' * 64}/manifest.json").unlink()
    with pytest.raises(DamagedError, match="missing or was replaced"):
        library.page(str(ref), 1)
