"""The demo page in a real browser, as a reader uses it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.browser

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ATTACK = (
    '<img src=x onerror="window.hit=1"> <script>window.hit=2</script> <svg onload=window.hit=3> '
    "' onmouseover='window.hit=4 ${window.hit=5} {{window.hit}} <b>bold?</b> and 4 and 4"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium")
    if executable is None:
        pytest.fail("chromium is not on PATH; install it (apt-get install chromium) to run the tests marked browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, demo_address) -> Iterator[object]:
    """The page, opened; fails when it logs an error, throws, or asks anyone but its own server for anything."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(120_000)
    page = context.new_page()
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.goto(demo_address)
    page.wait_for_selector("#sample-diff del")
    yield page
    context.close()
    elsewhere = {urlsplit(url).netloc for url in asked if url.startswith("http")} - {urlsplit(demo_address).netloc}
    assert asked and not elsewhere
    assert not complaints


def _open(page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def _wait_for_text(page, selector: str, text: str) -> None:
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.textContent.includes(text)", arg=[selector, text]
    )


def _slide(page, tab: str, ratio: float) -> None:
    """Move a tab's slider with the keyboard, step by step, as a reader would."""
    slider = page.locator(f"#{tab}-ratio input[type=range]")
    slider.focus()
    steps = round((ratio - float(slider.input_value())) / 0.01)
    for _ in range(abs(steps)):
        slider.press("ArrowRight" if steps > 0 else "ArrowLeft")


def test_slider_moved_changes_what_is_struck_through_and_the_counts(page):
    _open(page, "Ratios side by side")
    before = page.locator("#compare-columns section.chosen").inner_text()
    ratios = page.locator("#compare-columns h4")
    assert before.startswith("0.5") and ratios.all_inner_texts() == ["0.9", "0.7", "0.5", "0.3"]
    passes = re.search(r"server started: (\d+)", page.inner_text("#compare-columns"))[1]
    _slide(page, "compare", 0.2)
    page.wait_for_function("document.querySelector('#compare-columns section.chosen h4').textContent == '0.2'")
    assert ratios.all_inner_texts() == ["0.9", "0.7", "0.5", "0.3", "0.2"]
    section = page.locator("#compare-columns section.chosen")
    assert len(section.locator("del").all_inner_texts()) and section.inner_text() != before
    kept = float(re.search(r"kept (\d\.\d+) in encoder", section.inner_text())[1])
    assert abs(kept - 0.2) < 0.05
    assert re.search(r"server started: (\d+)", page.inner_text("#compare-columns"))[1] == passes


def test_text_changed_is_compressed_and_explained_anew(page):
    _open(page, "Custom text")
    page.fill("#custom-text textarea", "Quokkas eat 3 leaves and 3 leaves and then 3 more leaves.")
    _wait_for_text(page, "#custom-diff", "Quokkas")
    assert page.inner_text("#custom-diff .diff") == "Quokkas eat 3 leaves and 3 leaves and then 3 more leaves."
    assert page.locator("#custom-diff del").count() > 0
    page.fill("#custom-text textarea", " ")
    _wait_for_text(page, "#custom-diff", "text: it is empty")
    assert page.locator("#custom-diff .diff").count() == 0 and page.inner_text("#custom-heat").strip() == ""


def test_sample_of_the_store_is_shown_and_wanders_to_the_other_tabs(page):
    page.get_by_label("Where from").click()
    page.get_by_role("option", name=re.compile("collect.aaaa")).click()
    page.get_by_text("page 1 of 2, 11 in all").wait_for()
    _wait_for_text(page, "#sample-diff", "Sample 0")
    page.get_by_role("button", name="next").click()
    page.get_by_text("page 2 of 2, 11 in all").wait_for()
    _wait_for_text(page, "#sample-diff", "Sample 8")
    page.locator("#rows label", has_text="q10 ").click()
    _wait_for_text(page, "#sample-diff", "Sample 10")
    assert "What is 10 + 1?" in page.locator(".question").inner_text()
    _open(page, "Why is the actual rate")
    _wait_for_text(page, "#why-causes", "4 · The errors do not cancel")
    assert page.input_value("#why-text textarea").startswith("Sample 10:")
    assert page.locator("#why-causes svg polyline").count() == 3


def test_samples_are_filtered_shown_side_by_side_and_found_again_by_their_address(page, demo_address):
    assert not urlsplit(page.url).query
    _open(page, "Samples")
    _wait_for_text(page, "#browse-sample", "What is 0?")
    page.wait_for_function("location.search.endsWith('sample=q0')")
    page.locator("#browse-condition input").click()
    page.get_by_role("option", name="ratio 0.5").click()
    page.locator("#browse-show label", has_text="disagree 4").click()
    _wait_for_text(page, "#browse-sample", "What is 2?")
    page.click("#browse-next")
    _wait_for_text(page, "#browse-sample", "What is 4?")
    columns = page.locator("#browse-sample section")
    dual, standard = columns.all_inner_texts()
    assert dual.startswith("dual, ratio 0.5") and "Answer -1, which is not equal to the gold answer, 4." in dual
    assert standard.startswith("standard, ratio 0.5") and "Answer 4, which is the gold answer." in standard
    assert columns.first.locator(".boxed").inner_text() == "-1"
    page.wait_for_function("location.search.endsWith('show=disagree&sample=q4')")
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    _wait_for_text(page, "#browse-sample", "What is 4?")
    assert page.locator("#browse-sample section").all_inner_texts() == [dual, standard]
    assert page.locator("#browse-rows input:checked").input_value() == "q4"
    assert page.get_by_role("tab", name="Samples").get_attribute("aria-selected") == "true"
    page.goto(demo_address + "/?run=report/nowhere")
    _wait_for_text(page, "#browse-sample .error", "run: 'report/nowhere' is not on this page")


def test_tabs_keep_the_pages_width_and_fit_a_narrow_screen(page):
    tabs = ["Compression", "Custom text", "Ratios side by side", "Why is the actual rate", "Samples", "Playground"]
    widths = set()
    for name in tabs:
        _open(page, name)
        widths.add(page.evaluate("document.querySelector('.gradio-container').getBoundingClientRect().width"))
    assert len(widths) == 1
    page.set_viewport_size({"width": 390, "height": 844})
    for name in tabs:
        tab = page.get_by_role("tab", name=name)
        if not tab.is_visible():
            page.locator(".overflow-menu > button").click()
            tab = page.locator(".overflow-dropdown button", has_text=name)
        tab.click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


def test_attack_in_the_custom_text_is_shown_as_text_and_does_nothing(page):
    _open(page, "Custom text")
    page.fill("#custom-text textarea", ATTACK)
    _wait_for_text(page, "#custom-diff", "onerror")
    assert page.inner_text("#custom-diff .diff") == ATTACK
    page.get_by_role("button", name="The compressed text").filter(visible=True).click()
    _open(page, "Ratios side by side")
    page.fill("#compare-text textarea", ATTACK)
    _wait_for_text(page, "#compare-columns", "onerror")
    _open(page, "Why is the actual rate")
    page.fill("#why-text textarea", ATTACK)
    page.hover("#why-causes")
    _wait_for_text(page, "#why-causes", "4 · The errors")
    for selector in ("#custom-diff", "#custom-heat", "#custom-result", "#compare-columns", "#why-causes"):
        assert page.locator(f"{selector} :is(img, script, svg[onload])").count() == 0
        assert page.locator(f"{selector} [onmouseover], {selector} [onerror]").count() == 0
    assert page.evaluate("window.hit") is None


def test_playground_streams_and_the_latent_part_is_read_on_hover(page):
    _open(page, "Playground")
    page.click("#answer")
    page.wait_for_selector("#stage .latent")
    page.wait_for_function("document.querySelectorAll('#stage .state').length == 2")
    page.wait_for_function(
        "[...document.querySelectorAll('#stage .state')].every(state => state.textContent == 'finished')"
    )
    latent = page.locator("#stage .latent")
    decoded, codes = latent.locator(".decoded"), latent.locator(".codes")
    opacity = "element => getComputedStyle(element).opacity"
    assert (decoded.evaluate(opacity), codes.evaluate(opacity)) == ("0", "1")
    latent.hover()
    page.wait_for_function("getComputedStyle(document.querySelector('#stage .decoded')).opacity == 1")
    page.wait_for_function("getComputedStyle(document.querySelector('#stage .codes')).opacity == 0")
    assert decoded.inner_text() == page.inner_text("#stage .reasoning")
    assert "The final answer is" in page.locator("#stage .answer").first.inner_text()


def test_twenty_sessions_at_once_each_see_their_own_text(browser, demo_address):
    contexts = [browser.new_context() for _ in range(20)]  # one browser opens only six connections to a server
    pages = [context.new_page() for context in contexts]
    for page in pages:
        page.set_default_timeout(240_000)
        page.goto(demo_address, wait_until="commit")
    for page in pages:
        _open(page, "Custom text")
    for number, page in enumerate(pages):
        page.fill("#custom-text textarea", f"Session {number} adds {number} and {number}.")
    for number, page in enumerate(pages):
        _wait_for_text(page, "#custom-diff", f"Session {number} adds {number} and {number}.")
    for context in contexts:
        context.close()
