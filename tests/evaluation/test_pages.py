"""Pages show texts as they are."""

import numpy as np

from pipeline.evaluation.explanations import html
from pipeline.runtime.explanations import page


def test_a_page_shows_markup_as_text(tmp_path):
    body = page.text(["<script>", "alert()"], np.array([1.0, -0.5]), marked=1)
    sections = [page.section(page.Explained("<spam>", "<b>ham", "a<b>.csv", body))]
    html.write(tmp_path / "page.html", "Mistakes", "red & blue", sections)
    text = (tmp_path / "page.html").read_text()
    assert "<script>" not in text
    assert "<spam>" not in text
    assert "<b>ham" not in text
    assert "&lt;script&gt;" in text
    assert "red &amp; blue" in text
    assert f"rgba({page.BLUE}" in text
    assert "outline" in text
    assert "No part counts" in page.text([], np.zeros(0))
