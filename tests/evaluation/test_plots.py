"""Pictures show all of what they say, whatever the images' size and number."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pipeline.evaluation import plots

NAMES = ("$50_to_$100", r"$\frac{1}", "\u65e5\u672c", "_hidden", "a\nb\tc", "x" * 3000, "a\x00b", "\U0001f600", "")


@pytest.mark.parametrize(("count", "height", "width"), [(2, 72, 68), (12, 28, 28), (1, 40, 90), (5, 90, 40)])
def test_titles_and_note_of_explained_images_are_within_the_picture(count, height, width):
    images, over = np.zeros((count, height, width, 3), np.uint8), [np.ones((8, 6, 3), np.uint8)] * count
    figure = plots.explained(images, over, [("one answer 0.58", "(true: another)")] * count, "What the pixels say.")
    FigureCanvasAgg(figure).draw()
    note = next(text for text in figure.texts if text.get_text())
    texts = [axes.title.get_window_extent() for axes in figure.axes[:count]] + [note.get_window_extent()]
    assert all(box.y0 >= 0 and box.y1 <= figure.bbox.y1 for box in texts)
    lowest_title = min(box.y0 for box in texts[:-1])
    assert texts[-1].y1 < lowest_title


def test_names_are_drawn_as_they_are_and_every_letter_is_found(tmp_path):
    """Neither a formula, nor a warning, which would fail this test, nor a picture without room for the matrix."""
    counts = np.eye(len(NAMES), dtype=int)
    plots.save(plots.confusion(counts, NAMES), tmp_path / "confusion.png")
    figure = plots.confusion(counts, NAMES)
    drawn = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert drawn[:5] == ["$50_to_$100", r"$\frac{1}", "\u65e5\u672c", "_hidden", "a b c"]
    assert max(map(len, drawn)) == plots.LONGEST
