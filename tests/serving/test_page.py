"""The page, in a real browser: every kind of model, errors, drawing, a phone, a keyboard, a screen reader's rules."""

import csv
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from imports import TOP
from playwright.sync_api import Browser, Page, expect, sync_playwright
from server import Server, serve

from pipeline.runtime import strict_json
from pipeline.runtime.trust import manifest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packages")]

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")  # it films a test picture
WIDE, PHONE = (1000, 900), (360, 740)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "the tests of the page need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *CAMERA])
        yield one
        one.close()


@pytest.fixture(params=[(WIDE, "light"), (PHONE, "dark")], ids=["wide", "phone"])
def page(request, browser: Browser, server: Server) -> Iterator[Page]:
    (width, height), scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    one = context.new_page()
    errors: list[str] = []
    one.on("pageerror", lambda error: errors.append(str(error)))
    one.goto(server.url)
    expect(one.locator("#samples button").first).to_be_visible()
    yield one
    assert errors == []
    context.close()


def choose(page: Page, name: str) -> None:
    page.select_option("#model", name)
    expect(page.locator("#title")).to_have_text(name)


def check(page: Page) -> None:
    """Nothing is cut off at the side, and axe-core finds nothing that hinders people."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(page)
    assert [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")] == []


def test_examples_of_images_are_answered_and_explained(page: Page):
    expect(page.locator("#samples img").first).to_have_js_property("complete", True)
    page.locator("#samples button").first.click()
    expect(page.locator(".answer .verdict")).to_contain_text("%")
    assert page.locator(".bars li").count() > 1
    page.get_by_role("button", name="Why?").click()
    expect(page.locator(".why img")).to_be_visible(timeout=30_000)
    check(page)


def test_a_drawing_is_answered(page: Page):
    page.get_by_role("button", name="Draw").click()
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 200, steps=5)
    page.mouse.up()
    page.locator("#ask-drawing").click()
    expect(page.locator(".answer .name")).to_have_text("drawing")
    check(page)


def test_what_the_camera_sees_is_answered(page: Page):
    page.get_by_role("button", name="Camera").click()
    expect(page.locator("#filming")).to_be_visible()
    check(page)
    page.get_by_role("button", name="Take a picture").click()
    expect(page.locator(".answer .name")).to_have_text("picture")
    expect(page.locator("#filming")).to_be_hidden()


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_an_image_that_is_pasted_or_dropped_is_answered(page: Page, event: str):
    page.evaluate(
        """async (kind) => {
            const content = await (await fetch("models/images/samples/0")).blob();
            const files = new DataTransfer();
            files.items.add(new File([content], "mine.png", { type: "image/png" }));
            const options = { bubbles: true, cancelable: true, clipboardData: files, dataTransfer: files };
            const event = kind === "paste" ? new ClipboardEvent(kind, options) : new DragEvent(kind, options);
            document.getElementById("drop").dispatchEvent(event);
        }""",
        event,
    )
    expect(page.locator(".answer .name")).to_have_text("mine.png")
    expect(page.locator(".answer .verdict")).to_contain_text("%")


def test_files_one_of_which_is_no_image(page: Page, four_packages: list[Path], tmp_path: Path):
    (tmp_path / "no.png").write_text("no image")
    page.set_input_files("#files", [four_packages[0] / "sample" / "0.png", tmp_path / "no.png"])
    expect(page.locator("#status")).to_have_text("2 images answered")
    expect(page.locator(".answer .error")).to_have_text("the input: is not a readable PNG, JPEG or WebP image")


def test_texts_are_answered_by_the_keyboard(page: Page):
    choose(page, "texts")
    page.focus("#text")
    page.keyboard.type("a text, aw")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".verdict")).to_contain_text("%")
    page.get_by_role("button", name="Why?").click()
    expect(page.locator(".why .part").first).to_be_visible()
    assert "a text" in (page.locator(".why .words").text_content() or "")
    check(page)


def test_a_word_says_why_it_has_its_tag(page: Page):
    choose(page, "tags")
    page.fill("#text", "a b c")
    page.get_by_role("button", name="Answer", exact=True).click()
    page.locator(".word").nth(1).click()
    expect(page.locator(".why .own")).to_have_text("b ")
    assert page.locator(".why .part").count() == 3
    check(page)


def test_markup_in_a_text_is_text(page: Page):
    choose(page, "tags")
    page.fill("#text", "<img src=x onerror=alert(1)> b")
    page.get_by_role("button", name="Answer", exact=True).click()
    expect(page.locator(".words")).to_contain_text("<img")
    assert page.locator(".words img").count() == 0
    check(page)


def test_a_language_model_writes_on_and_stops(page: Page):
    choose(page, "writer")
    page.fill("#text", "a")
    page.fill("#tokens", "30")
    page.get_by_role("button", name="Write on").click()
    expect(page.locator("#stop")).to_be_hidden(timeout=30_000)
    assert len(page.locator(".written").text_content() or "") > 1
    page.get_by_role("button", name="What would come next").click()
    expect(page.locator(".why .name")).to_contain_text("next:", timeout=30_000)
    page.fill("#text", "")
    page.fill("#tokens", "0")
    page.get_by_role("button", name="Write on").click()  # the browser asks for a text
    assert page.evaluate("document.activeElement.id") == "text"
    check(page)


def test_a_table_goes_in_and_comes_out(page: Page, tmp_path: Path):
    choose(page, "texts")
    (tmp_path / "many.csv").write_text("id,text\n1,a text\n2,another\n")
    page.set_input_files("#csv", tmp_path / "many.csv")
    page.get_by_role("button", name="Answer all").click()
    with page.expect_download() as download:
        page.locator("#download").click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert [row["id"] for row in rows] == ["1", "2"]
    assert all(row["label"] for row in rows)
    check(page)


def changed(folder: Path, to: Path, **labels: object) -> Path:
    """A package with other labels.json."""
    shutil.copytree(folder, to)
    content = strict_json.read(to / "labels.json")
    strict_json.write(to / "labels.json", content | labels)
    manifest.seal(to)
    return to


def test_answers_that_are_not_sure_say_so(browser: Browser, four_packages: list[Path], tmp_path: Path):
    """And numbers say where most true values lie. None of these packages is ever sure."""
    with zipfile.ZipFile(TOP / "tests/packages/format-4-numbers.zip") as archive:
        archive.extractall(tmp_path / "old")
    command = (sys.executable, "-m", "pipeline", "repackage", tmp_path / "old", "--out", tmp_path / "new")
    subprocess.run(command, cwd=TOP, check=True, capture_output=True)
    never = {"accuracy": 0.95, "threshold": None}
    texts, tags = (changed(four_packages[i], tmp_path / str(i), sure=never) for i in (1, 2))
    interval = {"coverage": 0.9, "half_widths": [1.0, 2.0]}
    numbers = changed(tmp_path / "new", tmp_path / "numbers", interval=interval)
    with serve(f"texts={texts}", f"tags={tags}", f"numbers={numbers}") as server:
        page = browser.new_page(viewport={"width": PHONE[0], "height": PHONE[1]})
        page.goto(server.url)
        for name, expected in (
            ("texts", "not sure"),
            ("tags", "Not sure of the words with a dotted line"),
            ("numbers", "90 % of true values lie in such intervals: "),
        ):
            choose(page, name)
            page.locator("#samples button").first.click()
            expect(page.locator(".answer .doubt")).to_contain_text(expected)
            check(page)
            page.screenshot(path=tmp_path / f"{name}.png")
            if name == "tags":
                expect(page.locator(".word.unsure").first).to_have_attribute("title", re.compile(", not sure: why"))
        page.close()
        answer = server.ask("/predict?model=texts", "a text", content_type="text/plain").json
        assert answer["sure"] is False
        table = server.ask("/predict?model=texts", "text\na text\n", content_type="text/csv").body.decode()
        header, row = table.splitlines()
        assert (header, row.rpartition(",")[2]) == ("text,label,probability,sure", "no")


def test_the_page_asks_for_the_key(browser: Browser, four_packages: list[Path]):
    with serve(four_packages[1], SERVE_API_KEY="secret") as server:
        page = browser.new_page()
        page.goto(server.url)
        page.fill("#key", "secret")
        page.get_by_role("button", name="Use this key").click()
        expect(page.locator("#samples button").first).to_be_visible()
        check(page)
        page.close()
