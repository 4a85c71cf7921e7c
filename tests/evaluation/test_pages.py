"""Pages show texts as they are."""

import numpy as np

from pipeline.evaluation.explanations import html
from pipeline.runtime.explanations.page import Explained


def test_a_page_shows_markup_as_text(tmp_path):
    mistake = Explained("<spam>", "<b>ham", "a<b>.csv", ["<script>", "alert()"], np.array([1.0, -0.5]))
    empty = Explained("a", "b", "c", [], np.zeros(0))
    html.write_explained(tmp_path / "page.html", "Mistakes", [mistake, empty], "red & blue")
    text = (tmp_path / "page.html").read_text()
    assert "<script>" not in text
    assert "<spam>" not in text
    assert "<b>ham" not in text
    assert "&lt;script&gt;" in text
    assert "red &amp; blue" in text
    assert "rgba(40,80,220" in text
