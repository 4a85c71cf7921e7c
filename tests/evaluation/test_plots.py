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
    plots.save(plots.confusion(counts, counts.sum(axis=1), NAMES), tmp_path / "confusion.png")
    figure = plots.confusion(counts, counts.sum(axis=1), NAMES)
    drawn = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert drawn[:5] == ["$50_to_$100", r"$\frac{1}", "\u65e5\u672c", "_hidden", "a b c"]
    assert max(map(len, drawn)) == plots.LONGEST


def test_the_confusion_of_words_counts_all_of_them(tmp_path, monkeypatch):
    """Also those that are right, and those that are taken for a tag that is not shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plots, "CLASSES", 2)
    drawn = []
    monkeypatch.setattr(plots, "save", lambda figure, path: drawn.append(figure))
    targets, guesses = np.array([0] * 8 + [1] * 4 + [2]), np.array([0] * 4 + [1] * 3 + [2] + [1] * 4 + [2])
    plots.write_confusion(targets, guesses, ("a", "b", "c"), errors_only=True)
    (axes,) = drawn[0].axes
    assert {text.get_text() for text in axes.texts} == {"4", "3"}
    assert axes.images[0].get_array().tolist() == [[0.5, 3 / 8], [0.0, 1.0]]
    assert (tmp_path / "plots/tables/confusion.csv").read_text() == "actual,predicted\n" + "a,b\n" * 3
