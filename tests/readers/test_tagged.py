"""Sentences with tags: CoNLL, and words behind slashes."""

import pytest
from sources import examples, fails, pack, read, refused, write

from pipeline.readers import Example, Refused
from pipeline.runtime.errors import UserError

CONLL_U = """# newdoc
# sent_id = 1
# text = du gehst #
1-2\tdu gehst\t_\t_\t_\t_\t_\t_\t_\t_
1\tdu\tdu\tPRON\t_\t_\t2\tnsubj\t_\t_
2\tgehst\tgehen\tVERB\t_\t_\t0\troot\t_\t_
2.1\tx\tx\tVERB\t_\t_\t0\troot\t_\t_
3\t#\t#\tSYM\t_\t_\t0\troot\t_\t_

# text = a b
1\ta b\ta\tX\t_\t_\t0\troot\t_\t_
"""


def test_conll_u(tmp_path):
    write(tmp_path, {"de-ud-dev.conllu": CONLL_U.replace("\n", "\r\n").encode("utf-8-sig")})
    assert examples(tmp_path, format="conll", token=1, tag=3) == [
        Example(f"{tmp_path}/de-ud-dev.conllu line 5", ("du", "gehst", "#"), ("PRON", "VERB", "SYM")),
        Example(f"{tmp_path}/de-ud-dev.conllu line 11", ("a b",), ("X",)),
    ]


def test_conll_2003(tmp_path):
    text = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\n# # I-NP O\n\n\n# # B-NP O\n1.5 CD I-NP O\n"
    items = examples(pack(tmp_path / "a.zip", {"eng.train": text, "eng.testb": text.encode("utf-16")}), format="conll")
    sentences = [(("EU", "#"), ("B-ORG", "O")), (("#", "1.5"), ("O", "O"))]
    assert [(e.content, e.label) for e in items] == sentences * 2
    assert [e.split for e in items] == ["train"] * 2 + ["test"] * 2
    assert [e.where.rpartition(" ")[2] for e in items] == ["3", "7"] * 2


def test_comments_of_other_kinds(tmp_path):
    write(tmp_path, {"a.tsv": "#\thttp://x [2009]\n1\tSchar\tB-LOC\tO\n\n#\n# id 3\n1\tA\tO\tO\n\n# the end\n"})
    items = examples(tmp_path, format="conll", token=1, tag=2)
    assert [(e.content, e.label) for e in items] == [(("Schar",), ("B-LOC",)), (("A",), ("O",))]


@pytest.mark.parametrize("blank", ["\u3000", "\u00a0", "\u2009", "\x85", "\u200b"])
@pytest.mark.parametrize("separator", ["\t", " "])
def test_words_that_are_blanks(tmp_path, blank, separator):
    rows = [(blank, "O"), (f"{blank}a{blank}b", "B-X"), ("c", "I-X")]
    write(tmp_path, {"a.conll": "".join(f"{word}{separator}{tag}{end}" for (word, tag), end in zip(rows, "\n\n\r"))})
    (item,) = examples(tmp_path / "a.conll", format="conll")
    assert list(zip(item.content, item.label)) == rows
    write(tmp_path, {"b": " ".join(f"{word}/{tag}" for word, tag in rows)})
    (item,) = examples(tmp_path / "b", format="slash-tagged")
    assert list(zip(item.content, item.label)) == rows


def test_blanks_around_cells(tmp_path):
    write(tmp_path, {"a.conll": "a \tB-X \n \tO\n\t\nb\tO\n"})
    items = examples(tmp_path, format="conll")
    assert [(e.content, e.label) for e in items] == [(("a", " "), ("B-X", "O")), (("b",), ("O",))]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("# by hand\n\n#ff\tO\n#now\tO\n\nEU\tB-ORG\n", [("#ff", "#now"), ("EU",)]),
        ("#ff\tO\n\n#now\tO\n", [("#ff",), ("#now",)]),
        ("# comment\n\nEU B-ORG\n", [("EU",)]),
    ],
)
def test_a_first_sentence_of_hashtags_is_one(tmp_path, text, sentences):
    write(tmp_path, {"a.tsv": text})
    assert [e.content for e in examples(tmp_path, format="conll")] == sentences


def test_sentences_that_are_no_example(tmp_path):
    write(tmp_path, {"a.txt": "a A\nb\n\nc C\nd x D\n\ne E\n\nf\t\n\n"})
    assert refused(tmp_path, format="conll") == {
        "a line has no tag": "a.txt line 9",
        "a line's columns do not match the first line of its sentence": "a.txt line 5",
    }
    assert [row.content for row in read(tmp_path, format="conll") if isinstance(row, Example)] == [("e",)]
    assert set(refused(tmp_path, format="conll", tag=7)) == {"a line has no tag"}
    write(tmp_path, {"a.txt": b"a A\nb \xff\n"})
    fails(tmp_path, r"a\.txt: is not UTF-8 \(line 2, byte 7 of the file\)", format="conll")


def test_slash_tagged(tmp_path):
    tags = write(tmp_path, {"tags.csv": "tag,becomes\nat,DET\nnn,NOUN\n"}) / "tags.csv"
    contents: dict[str, bytes | str] = {
        "p/ca01": "\n\n\tThe/at 1/2/nn\n\n",
        "p/ca02": "a/at b\n/nn\na/\nx/jj\n",
        "p/p.json": "{",
    }
    path = pack(tmp_path / "a.tgz", contents)
    items = read(path, format="slash-tagged", files="c*", tags=str(tags))
    assert items == [
        Example(f"{path}: p/ca01 line 3", ("The", "1/2"), ("DET", "NOUN"), group="p/ca01"),
        Refused(f"{path}: p/ca02 line 1", "a word has no tag"),
        Refused(f"{path}: p/ca02 line 2", "a word has no tag"),
        Refused(f"{path}: p/ca02 line 3", "a word has no tag"),
        Refused(f"{path}: p/ca02 line 4", f"a tag is not in {tags}"),
    ]
    last = read(path, format="slash-tagged", files="c*")[-1]
    assert isinstance(last, Example)
    assert last.label == ("jj",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,y\n", "first line must be tag,becomes"),
        ("tag,becomes\na\n", "row 2: must be a tag"),
        ("tag,becomes\na,X\na,Y\n", "row 3: the tag a becomes X in a row above"),
        (None, "no such file"),
    ],
)
def test_wrong_tags(tmp_path, content, message):
    write(tmp_path, {"a/a": "x/y"} | ({} if content is None else {"tags.csv": content}))
    with pytest.raises(UserError, match=rf"tags\.csv.*{message}"):
        read(tmp_path / "a", format="slash-tagged", tags=str(tmp_path / "tags.csv"))
