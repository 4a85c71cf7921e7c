"""The report of each task in a real browser: light and dark, wide and on a phone; hostile texts are texts."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, sync_playwright
from small_packages import run_stages
from small_runs import HOSTILE, LABELS, RUNS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("reports")]

EVERY = {"results", "learning", "failures", "mistakes", "data", "drift", "run"}
HEADINGS = {  # that a task's report has, and one that it has not
    "images": ("What it confuses", "Largest errors"),
    "texts": ("Labels that may be wrong", "Largest errors"),
    "sets": ("By label", "Confusion of labels"),
    "numbers": ("Largest errors", "By label"),
    "tags": ("By label", "Largest errors"),
    "writer": ("By slice", "By label"),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "the tests of the report need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield one
        one.close()


def report(folder: Path) -> Path:
    return folder / "evaluation" / "report.html"


@pytest.mark.parametrize("name", RUNS)
def test_a_report_of_each_task_hinders_nobody(runs, browser: Browser, name):
    for width, scheme in ((1100, "light"), (360, "dark"), (360, "light"), (1100, "dark")):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
        page, asked, errors = context.new_page(), list[str](), list[str]()
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
        page.goto(report(runs[name]).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        found = Axe().run(page)
        assert [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")] == []
        assert not [url for url in asked if not url.startswith(("file:", "data:"))]  # it needs nothing else
        assert not errors
        assert {one.get_attribute("id") for one in page.query_selector_all("main > section")} == EVERY
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        context.close()


@pytest.mark.parametrize("name", RUNS)
def test_it_has_the_parts_that_make_sense(runs, name):
    text = report(runs[name]).read_text()
    there, absent = HEADINGS[name]
    assert there in text
    assert absent not in text
    assert ("its probabilities" in text.lower()) == (name != "numbers")  # numbers have intervals
    assert "95\u202f%" in text or "95 % interval" in text
    assert len(text) < 3_000_000
    assert "nan" not in re.findall(r"\b\w+\b", re.sub(r'base64,[^"]*', "", text))


def test_hostile_data_is_shown_as_it_is(runs, browser: Browser):
    page = browser.new_page()
    page.goto(report(runs["texts"]).as_uri())
    assert page.title() == "linear on own: report"
    assert page.locator("main script, main b, main i:not(td.bar i), main img").count() == 0
    shown = page.locator("main").text_content() or ""
    for text in (*LABELS, "<i>north</i>", *HOSTILE[:3]):
        assert text in shown, text
    page.close()


def test_columns_of_the_user_are_slices(runs):
    table = (runs["texts"] / "evaluation/slices_test.csv").read_text()
    assert "shop,<i>north</i>," in table
    assert "shop,(empty)," in table
    assert "stars,5," in table


def test_the_wrong_labels_are_found(runs):
    """One in ten is: a tenth of the 40 % that are tested, more or less."""
    rows = (runs["texts"] / "evaluation/label_errors_test.csv").read_text().splitlines()[1:]
    wrong = [int(re.findall(r"row (\d+)", row)[0]) % 10 == 1 for row in rows]  # rows count from 1, or 2 with a header
    wrong_too = [int(re.findall(r"row (\d+)", row)[0]) % 10 == 2 for row in rows]
    assert max(sum(wrong), sum(wrong_too)) >= 0.7 * len(rows) > 3


@pytest.mark.parametrize("name", ["images", "texts"])
def test_equal_runs_have_equal_bytes(runs, name):
    files = [path for path in (runs[name] / "evaluation").iterdir() if path.suffix != ".parquet"]
    before = {path.name: path.read_bytes() for path in files}
    run_stages(runs[name], "evaluate")
    assert {path.name: path.read_bytes() for path in files} == before
