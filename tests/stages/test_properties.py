"""For all inputs that hypothesis thinks up, and then makes as small as they can be: an answer, or one clear line."""

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from imports import TOP
from ruamel.yaml import YAML
from sources import read

from pipeline.readers import Example, Refused, class_names
from pipeline.runtime.errors import LONGEST, UserError
from pipeline.stages import check

settings.register_profile("same each time", derandomize=True, deadline=None, max_examples=150)
settings.load_profile("same each time")

SHIPPED = YAML(typ="safe").load((TOP / "params.yaml").read_text())
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
TREES = st.recursive(
    SCALARS, lambda t: st.lists(t, max_size=3) | st.dictionaries(st.text(max_size=9), t, max_size=3), max_leaves=6
)
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)


def places(tree: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The keys that lead to each value."""
    if not isinstance(tree, dict):
        return [above]
    return [above, *(place for key, value in tree.items() for place in places(value, (*above, key)))]


def put(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    return {**tree, place[0]: put(tree[place[0]], place[1:], value)}


@given(st.sampled_from(places(SHIPPED)), TREES)
def test_any_value_anywhere_in_params(place, value):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_text(json.dumps(put(SHIPPED, place, value)), encoding="utf-8")  # JSON is YAML
        refused = None
        try:
            check.params(path)
        except UserError as error:
            refused = str(error)
        assert refused is None or refused.startswith(f"{path}: ")


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_any_table_that_csv_can_hold_is_read_as_it_is(rows):
    out = io.StringIO()
    csv.writer(out).writerows([("text", "label"), *rows])  # it quotes a cell with CR only if lines end in CR LF
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "all.csv"
        path.write_text(out.getvalue(), encoding="utf-8", newline="")
        items = read(path, format="table", text="text", label="label")
    assert len(items) == len(rows)
    for row, (text, label) in zip(items, rows, strict=True):
        if isinstance(row, Example):
            assert (row.content, row.label) == (text, class_names.of(label))
        else:
            assert isinstance(row, Refused)
            assert not text.strip() or not label.strip() or row.reason


@given(st.text())
def test_a_message_is_one_line_whatever_it_quotes(text):
    shown = str(UserError(text))
    assert shown.isprintable()
    assert len(shown) <= LONGEST + 5
    assert shown == text or not text.isprintable() or len(text) > LONGEST
