"""Pictures show all of what they say, whatever the images' size and number."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pipeline.evaluation import plots


@pytest.mark.parametrize(("count", "height", "width"), [(2, 72, 68), (12, 28, 28), (1, 40, 90), (5, 90, 40)])
def test_titles_and_note_of_explained_images_are_within_the_picture(count, height, width):
    images, pixels = np.zeros((count, height, width, 3), np.uint8), np.ones((count, height, width), np.float32)
    figure = plots.explained(images, pixels, ["one answer 0.58\n(true: another)"] * count, "What the pixels say.")
    FigureCanvasAgg(figure).draw()
    note = next(text for text in figure.texts if text.get_text())
    texts = [axes.title.get_window_extent() for axes in figure.axes[:count]] + [note.get_window_extent()]
    assert all(box.y0 >= 0 and box.y1 <= figure.bbox.y1 for box in texts)
    lowest_title = min(box.y0 for box in texts[:-1])
    assert texts[-1].y1 < lowest_title
