"""Which column is what is told by its values, whatever it is called."""

import json
import random
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from added import Add
from sources import picture

from pipeline.runtime.errors import UserError

DRAW = random.Random(0)
LETTERS = "abcdefghijklmnop"
GENRES = ("comedy", "drama", "crime")


def text(i: int) -> str:
    return f"a sentence on the matter of {LETTERS[i % 16]}{LETTERS[i // 16]}, and no other"


def csv(header: str, *columns: list[object], delimiter: str = ",") -> str:
    """A table of 200 rows; cells with a comma are quoted."""
    rows = [[f'"{cell}"' if delimiter == "," and "," in str(cell) else str(cell) for cell in row] for row in
            zip(*columns, strict=True)]  # fmt: skip
    return "\n".join([header.replace(",", delimiter), *map(delimiter.join, rows)])


NUMBERS = range(200)
TEXTS: list[object] = [text(i) for i in NUMBERS]
CLASSES: list[object] = [DRAW.choice(["gut", "mäßig", "schlecht"]) for _ in NUMBERS]
IDS: list[object] = [1000 + i for i in NUMBERS]
PRICES: list[object] = [round(DRAW.uniform(1, 100), 2) for _ in NUMBERS]
SPLITS: list[object] = ["Train" if i < 150 else "dev" if i < 175 else "TEST" for i in NUMBERS]
SETS: list[list[str]] = [sorted(DRAW.sample(GENRES, k=1 + i % 3)) for i in NUMBERS]


def data(section: dict) -> dict:
    """The columns that were found."""
    return {key: value for key, value in section["data"].items() if key not in ("source", "format")}


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_german_names_with_spaces(added: Add, delimiter: str):
    suffix = "csv" if delimiter == "," else "tsv"
    content = csv("Nr,Das Urteil,Freier Text,Teilmenge", IDS, CLASSES, TEXTS, SPLITS, delimiter=delimiter)
    section = added(f"x.{suffix}", {f"x.{suffix}": content})
    assert data(section) == {"text": "Freier Text", "label": "Das Urteil", "split": "Teilmenge"}
    assert section["task"] == {"name": "classification"}


def test_json_lines(added: Add):
    rows = [{"id": i, "note": body, "stars": i % 5} for i, body in enumerate(TEXTS)]
    section = added("x.jsonl", {"x.jsonl": "\n".join(map(json.dumps, rows))})
    assert data(section) == {"text": "note", "label": "stars"}


def test_lists_in_parquet(added: Add):
    out = BytesIO()
    pq.write_table(pa.table({"plot": TEXTS, "of": SETS, "year": IDS}), out)
    section = added("x.parquet", {"x.parquet": out.getvalue()})
    assert data(section) == {"text": "plot", "labels": "of"}
    assert section["task"] == {"name": "multi-label-classification"}
    section = added("y.csv", {"y.csv": csv("plot,of,year", TEXTS, [str(kinds) for kinds in SETS], IDS)})
    assert data(section) == {"text": "plot", "labels": "of"}


@pytest.mark.parametrize("separator", ["|", ";", ", ", " "])
def test_several_labels_in_a_cell(added: Add, separator: str):
    names = ("comedy", "drama", "crime", "war", "love")
    sets: list[object] = [separator.join(sorted(DRAW.sample(names, k=1 + i % 4))) for i in NUMBERS]
    section = added("x.csv", {"x.csv": csv("plot,genre", TEXTS, sets)})
    assert data(section) == {"text": "plot", "labels": "genre", "separator": separator.strip() or " "}


def test_columns_of_0_and_1(added: Add):
    flags: list[list[object]] = [[int(name in kinds) for kinds in SETS] for name in GENRES]
    section = added("x.csv", {"x.csv": csv("plot,comedy,drama,crime", TEXTS, *flags)})
    assert data(section) == {"text": "plot", "labels": list(GENRES)}


def test_numbers(added: Add):
    section = added("x.csv", {"x.csv": csv("id,what,euro", IDS, TEXTS, PRICES)})
    assert data(section) == {"text": "what", "targets": "euro"}
    assert section["task"] == {"name": "regression"}


@pytest.mark.parametrize("given", [(), ("--targets", "euro")])
def test_numbers_with_decimal_commas(added: Add, given: tuple[str, ...]):
    commas: list[object] = [f"{price:.2f}".replace(".", ",") for price in PRICES]
    content = csv("id,what,euro", IDS, [str(text).replace(";", ",") for text in TEXTS], commas, delimiter=";")
    section = added("x.csv", {"x.csv": content}, *given)
    assert data(section) == {"text": "what", "targets": "euro", "decimal": ","}
    assert section["task"] == {"name": "regression"}


@pytest.mark.parametrize("odd", [None, "45,00"])
def test_commas_between_thousands_are_no_decimals(added: Add, odd: str | None):
    thousands: list[object] = [f"{1000 + 997 * i:,}" for i in NUMBERS]
    thousands[5] = odd or thousands[5]
    with pytest.raises(UserError, match="no column looks like the label"):
        added("x.csv", {"x.csv": csv("what;euro", TEXTS, thousands, delimiter=";")})


@pytest.mark.parametrize("comma", [False, True])
def test_numbers_of_which_some_are_missing(added: Add, comma: bool):
    prices: list[object] = [str(price).replace(".", "," if comma else ".") for price in PRICES]
    prices[3:6] = ["n/a", "", "-"]
    section = added("x.csv", {"x.csv": csv("what;euro", TEXTS, prices, delimiter=";")}, "--max-bad-rows", "3")
    assert data(section) == {"text": "what", "targets": "euro", "max_bad_rows": 3} | ({"decimal": ","} if comma else {})


def test_two_numbers_may_be_labels_or_a_decimal_number(added: Add):
    cells: list[object] = [",".join(map(str, sorted(DRAW.sample(range(12), 1 + i % 2)))) for i in NUMBERS]
    files = {"x.csv": csv("what;kinds", TEXTS, cells, delimiter=";")}
    with pytest.raises(UserError, match=r"--labels kinds .*--targets kinds"):
        added("x.csv", files)
    section = added("x.csv", files, "--task", "multi-label-classification")
    assert data(section) == {"text": "what", "labels": "kinds", "separator": ","}
    cells[3] = "-3,5"
    section = added("y.csv", {"y.csv": csv("what;kinds", TEXTS, cells, delimiter=";")})
    assert data(section) == {"text": "what", "targets": "kinds", "decimal": ","}


def test_points_between_thousands(added: Add):
    cells: list[object] = [f"{price * 60:,.2f}".translate(str.maketrans(",.", ".,")) for price in PRICES]  # type: ignore[operator]
    cells[0] = "1.013"
    section = added("x.csv", {"x.csv": csv("what;euro", TEXTS, cells, delimiter=";")})
    assert data(section) == {"text": "what", "targets": "euro", "decimal": ","}
    mixed: list[object] = ["1,5", *(f"{price}" for price in PRICES[1:])]
    with pytest.raises(UserError, match="no column looks like the label"):
        added("y.csv", {"y.csv": csv("what;euro", TEXTS, mixed, delimiter=";")})


def test_one_number_or_all(added: Add):
    files = {"x.csv": csv("what,euro,kilo", TEXTS, PRICES, PRICES[::-1])}
    with pytest.raises(UserError, match=r"--targets euro \(.*--targets kilo \(.*--targets euro kilo \(all"):
        added("x.csv", files)
    assert data(added("x.csv", files, "--targets", "euro", "kilo"))["targets"] == ["euro", "kilo"]


def test_a_task_that_was_named_decides(added: Add):
    files = {"x.csv": csv("what,grade,euro", TEXTS, [i % 5 for i in NUMBERS], PRICES)}
    with pytest.raises(UserError, match=r"--label grade .*--targets euro"):
        added("x.csv", files)
    section = added("x.csv", files, "--task", "classification")
    assert data(section) == {"text": "what", "label": "grade"}


def test_paths_of_pictures(added: Add):
    paths: list[object] = [f"img/{i}.png" for i in NUMBERS]
    files: dict[str, bytes | str] = {f"x/img/{i}.png": picture(seed=i) for i in NUMBERS}
    section = added("x", files | {"x/list.csv": csv("file,kind", paths, CLASSES)})
    assert data(section) == {"image": "file", "label": "kind"}
    assert section["preprocessing"] == {"height": 40, "width": 40, "resize": "exact"}


def test_rows_of_one_author_stay_together(added: Add):
    authors: list[object] = [f"author {i // 4}" for i in NUMBERS]
    section = added("x.csv", {"x.csv": csv("body,kind,author", TEXTS, CLASSES, authors)})
    assert data(section) == {"text": "body", "label": "kind", "group": "author"}


def test_the_longest_text_is_the_input(added: Add):
    titles: list[object] = [f"on {str(body)[24:30]}" for body in TEXTS]
    section = added("x.csv", {"x.csv": csv("title,body,kind", titles, TEXTS, CLASSES)})
    assert data(section) == {"text": "body", "label": "kind"}


def test_two_texts(added: Add):
    files = {"x.csv": csv("question,answer,kind", TEXTS, [f"indeed {body}" for body in TEXTS], CLASSES)}
    with pytest.raises(UserError, match=r"is the input\? Choose one with --text answer \(texts, .*--text question"):
        added("x.csv", files)


def test_a_rare_class_weighs_as_much(added: Add):
    rare: list[object] = ["rare" if i % 20 == 0 else "usual" for i in NUMBERS]
    section = added("x.csv", {"x.csv": csv("body,kind", TEXTS, rare)})
    assert section["task"] == {"name": "classification", "class_weights": "balanced"}
