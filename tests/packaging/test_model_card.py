"""Names in a model card are text, whatever Markdown or pandas would make of them."""

import pytest

from pipeline.packaging import model_card


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("$50_to_$100", r"\$50\_to\_\$100"),
        ("<b>|`x`*y*", r"\<b\>\|\`x\`\*y\*"),
        ("a\nb", "a b"),
        ("\u202ex", r"\\u202ex"),
        ("007", "007"),
        ("NA", "NA"),
        ("1e5", "1e5"),
        ("\u65e5\u672c", "\u65e5\u672c"),
    ],
)
def test_a_name_is_shown_as_it_is(name, shown, tmp_path):
    path = tmp_path / "per_class.csv"
    path.write_text(f'label,f1,examples\n"{name}",0.5,3\n', encoding="utf-8")
    row = model_card.markdown(model_card.read_table(path)).splitlines()[-1]
    assert [cell.strip() for cell in row.replace(r"\|", "BAR").strip("|").split("|")] == [
        shown.replace(r"\|", "BAR"),
        "0.500",
        "3",
    ]


def test_so_is_a_datasets():
    names = {"task": "classification", "metrics": "accuracy", "model": "cnn", "dataset": "*my*_data"}
    empty = dict.fromkeys(("library", "what", "figures", "details", "limits", "use", "files", "promise", "licence"), "")
    assert r"# cnn on \*my\*\_data" in model_card.fill("labelled.md", **names, **empty)
