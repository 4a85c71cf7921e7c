"""Mails and plain texts, a file each."""

import numpy as np
import pytest
from sources import examples, pack, read, refused, write

from pipeline.readers import Example, Refused
from pipeline.readers.formats import mail_text

PLAIN = b"From: a@b.org\nSubject: =?iso-8859-1?q?Caf=E9?= and\n tea\n\nHello  you,\nwrite to me.too@some.host.org.\n"
HTML = b"""Subject: x
Content-Type: multipart/mixed; boundary=B

not this
--B
Content-Type: text/html; charset=nonsense
Content-Transfer-Encoding: quoted-printable

<style>p {}</style><p class=3D"a">caf=E9 &amp; <b>tea</b><script>1</script></p>
--B
Content-Type: image/png
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--B
Content-Type: text/plain

end
--B--
"""


def test_mail(tmp_path):
    contents: dict[str, bytes | str] = {"p/ham-1/1.txt": PLAIN, "p/spam/2.txt": HTML, "p/x/3": PLAIN, "4": PLAIN}
    path = pack(tmp_path / "a.tgz", contents | {"p/spam/5": "From: a@b.org\n\n\n"})
    assert read(path, format="mail", labels={"ham-1": "ham", "spam": "spam"}) == [
        Example(f"{path}: p/ham-1/1.txt", "Café and tea Hello you, write to address.", "ham"),
        Example(f"{path}: p/spam/2.txt", "x café & tea end", "spam"),
        Refused(f"{path}: p/x/3", "its folder is not in labels"),
        Refused(f"{path}: 4", "lies in no folder"),
        Refused(f"{path}: p/spam/5", "has no text"),
    ]
    assert [e.label for e in examples(path, format="mail", files="?.txt")] == ["ham-1", "spam"]


@pytest.mark.parametrize("good", [PLAIN, HTML])
def test_any_bytes_are_a_mail(tmp_path, good):
    random = np.random.default_rng(0)
    for number in range(200):
        bad = np.frombuffer(good, np.uint8).copy()
        bad[random.integers(0, len(bad), 8)] = random.integers(0, 256, 8)
        write(tmp_path, {f"a/{number}": bad.tobytes()})
    for row in read(tmp_path, format="mail"):
        assert row.content.encode() if isinstance(row, Example) else row.reason == "has no text"  # type: ignore


def test_damaged_mails(tmp_path):
    for number, content in enumerate(
        [
            b"Subject: =?utf-8?b?abc?=\n\nx",
            b"Subject: =?nonsense?q?abc?=\n\nx",
            b"Subject: \xff\xfe\n\nx",
            b"Content-Type: multipart/mixed\n\nx",
            b"Content-Type: text/plain; charset=\xff\n\nx",
            b"Content-Type: text/plain; charset=hex\n\nx",
            b"Content-Type: text/plain; charset=utf-8\n\nx \xe9",
            b"Content-Transfer-Encoding: base64\n\nx",
        ]
    ):
        write(tmp_path, {f"a/{number}": content})
    assert all("x" in e.content for e in examples(tmp_path, format="mail"))  # type: ignore[operator]


def shown(headers: str, body: str | bytes) -> str:
    return mail_text.Shown(f"{headers}\n\n".encode() + (body.encode() if isinstance(body, str) else body), None).text


@pytest.mark.parametrize(
    ("charset", "body", "text"),
    [
        ("iso-8859-1", b"\x93so\x94 \x80 5", "“so” € 5"),
        ("gb2312", "朱镕基".encode("gbk"), "朱镕基"),
        ("ks_c_5601-1987", "똠방각하".encode("cp949"), "똠방각하"),
        ("shift_jis", "①髙".encode("cp932"), "①髙"),
        ("iso-2022-kr", "한국어".encode("iso2022_kr"), "한국어"),
        ("utf-7", "Käse".encode("utf-7"), "Käse"),
        ("us-ascii", "žluť".encode(), "žluť"),
        ("us-ascii", b"caf\xe9", "café"),
        ("x-unknown", "žluť".encode(), "žluť"),
        ("utf-16", b"in fact ASCII", "in fact ASCII"),
        ("utf-8", "žluť".encode() + b"\xff", "žluť\ufffd"),
        ("latin_1", b"\x93so\x94", "“so”"),
        ("iso-8859-2; delsp=yes", b"http://a.b/ \n\xb9", "http://a.b/š"),
    ],
)
def test_charsets_are_those_of_browsers(charset, body, text):
    assert shown(f"Content-Type: text/plain; charset={charset}", body) == text


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Žluťoučký =?utf-8?q?k=C5=AF=C5=88?= 中", "Žluťoučký kůň 中"),
        ("=?utf-8?b?w4==?=\n =?utf-8?b?qQ==?= =?utf-8?q?t=C3=A9?= x", "été x"),
        ("=?utf-8*en?Q?Hello World=21?=", "Hello World!"),
        ("=?gb2312?b?1uzpRrv5?=", "朱镕基"),
    ],
)
def test_subjects(subject, text):
    assert shown(f"Subject: {subject}", "") == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("V<!-- x -->ia<b>gr</b>a <p>one</p>two<br>three<td>four</td><td>five", "Viagra one two three four five"),
        ("<title>no</title><div style='display: none'>no <b>no</b></div>y<i style='font-size:0px'>no</i>es", "yes"),
        ("a<!--->b<!-->c<!-- > no --!>d<!-- no <b>no", "abcd"),
        ("<p hidden>no</p>Vi&shy;agra &#150;&nbsp;x</xyz>y", "Viagra \u2013 xy"),
        ("<meta charset=windows-1251>\ufeff", ""),
    ],
)
def test_html_is_what_a_browser_shows(html, text):
    assert shown("Content-Type: text/html; charset=utf-8", html) == text


def test_html_names_its_charset():
    assert shown("Content-Type: text/html", "<meta charset=windows-1251>привет".encode("cp1251")) == "привет"


def parts(kind: str, *bodies: tuple[str, str]) -> str:
    body = "".join(f"--B\nContent-Type: {headers}\n\n{text}\n" for headers, text in bodies)
    return shown(f"Content-Type: multipart/{kind}; boundary=B", f"{body}--B--\n")


PLAIN_TEXT, ATTACHED = "text/plain", "\nContent-Disposition: attachment"


def test_parts_that_a_mail_program_shows():
    assert parts("alternative", (PLAIN_TEXT, "plain"), ("text/html", "<b>rich"), ("text/calendar", "BEGIN")) == "rich"
    assert parts("alternative", (PLAIN_TEXT, "plain"), ("text/html", "<img src=x>")) == "plain"
    assert parts("related", ("text/html", "page"), ("text/html", "frame")) == "page"
    attachments = [
        (f"{PLAIN_TEXT}; name=a.pdf", "no"),
        (f"{PLAIN_TEXT}{ATTACHED}; filename=a.txt", "no"),
        (f"message/rfc822{ATTACHED}", "Subject: no\n\nno"),
    ]
    texts = [(PLAIN_TEXT, "one"), (f"{PLAIN_TEXT}; name=b.txt", "two"), ("message/rfc822", "Subject: x\n\nthree")]
    assert parts("mixed", *attachments, *texts) == "one two three"
    encoded = 'name="=?utf-8?b?YS5wZGY=?="'  # a.pdf
    assert parts("mixed", (PLAIN_TEXT, "one"), (f"{PLAIN_TEXT}; {encoded}", "no")) == "one"
    base64 = "Subject: x\nContent-Transfer-Encoding: base64"
    assert shown(base64, "bmHDr3Zl\nIQ==\n\n--\nhow to unsubscribe\n") == "x naïve! -- how to unsubscribe"
    assert shown("Subject: x", "a\nbegin 644 a.exe\nM1234567890\n`\nend\nb") == "x a b"


BOX = (
    "From a@b Sat Jan  1 00:00:00 2000\nSubject: one\n\nFrom here\n\nFrom there at 10:00 on\nwe go\n>From x\n\n"
    "From - Sat Jan  1 00:00:00 2000\nSubject: two\n\nbody\n\nFrom \nSubject: three\n\nbody\n"
)


def test_an_mbox_holds_several_mails(tmp_path):
    write(tmp_path, {"d/spam.mbox": BOX, "d/ham": BOX.replace("\n", "\r\n")})
    expected = ["one From here From there at 10:00 on we go From x", "two body", "three body"]
    items = examples(tmp_path, format="mail")
    assert [(e.label, e.content) for e in items] == [(name, text) for name in ("ham", "spam") for text in expected]
    assert [e.where.removeprefix(f"{tmp_path}/d/") for e in items[3:]] == [f"spam.mbox mail {n}" for n in (1, 2, 3)]
    write(
        tmp_path,
        {
            "e/x": BOX,
            "e/new/1:2,S": "Subject: four\n\n",
            "e/b.emlx": "15\nSubject: five\n\n<plist>",
            "e/a.msg": b"\xd0\xcf\x11\xe0" + bytes(99),
        },
    )
    assert [(e.label, e.content) for e in read(tmp_path, format="mail") if isinstance(e, Example)][6:] == [
        ("e", "five"),
        ("e", "four"),
        *(("e", text) for text in expected),
    ]
    assert refused(tmp_path, format="mail") == {"is in Outlook's own format: save it as .eml": "e/a.msg"}


@pytest.mark.parametrize("above", ["", "\n\n", "\ufeff"])
def test_an_mbox_whose_mails_no_blank_line_divides(tmp_path, above):
    one = "From a@b Sat Jan  1 00:00:00 2000\nSubject: one\n\nbody\n"
    inside = "\nFrom now on it is 10:30\nNote: this is text\n"
    write(tmp_path, {"a.mbox": f"{above}{one}{inside}{one}"})
    expected = ["one body From now on it is 10:30 Note: this is text", "one body"]
    assert [item.content for item in examples(tmp_path, format="mail")] == expected


def test_text(tmp_path):
    write(tmp_path, {"a/1.txt": "one\n", "a/b/2.txt": "two".encode("utf-16"), "3.txt": "three".encode("utf-8-sig")})
    assert [(e.content, e.label, e.group) for e in examples(tmp_path, format="text")] == [
        ("three", "", "3.txt"),
        ("one\n", "a", "a/1.txt"),
        ("two", "b", "a/b/2.txt"),
    ]
    write(tmp_path, {"a/1.txt": b"\xe9", "a/b/2.txt": " \n"})
    not_utf_8 = "is not UTF-8: save it as UTF-8, or set encoding (--encoding of add and predict), such as cp1252"
    assert refused(tmp_path, format="text", files="a/*") == {not_utf_8: "a/1.txt", "is empty": "a/b/2.txt"}


def test_a_text_in_parts(tmp_path):
    """Each part ends with a line, none is shorter than it should be, and together they are the file."""
    text = "".join(f"line {i}\n" for i in range(100)) + "the end"
    (tmp_path / "a").mkdir()
    (tmp_path / "a/book.txt").write_text(text)
    items = examples(tmp_path, format="text", part=60)
    assert "".join(str(e.content) for e in items) == text
    assert all(len(e.content) >= 60 and str(e.content).endswith("\n") for e in items[:-1])
    assert {(e.label, e.group) for e in items} == {("a", None)}
    (tmp_path / "splits.csv").write_text("pattern,split\nbook.txt,test\n")
    assert {e.split for e in examples(tmp_path, format="text", part=60)} == {"test"}
    (tmp_path / "a/book.txt").write_text("")
    assert refused(tmp_path, format="text", part=60) == {"is empty": "a/book.txt"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one line", {"line 1": "one line"}),  # as long as a part
        ("a line\n\n\n\n\n\n\n\n\n\n\n", {"line 1": "a line\n\n"}),
        ("to be or not to be\nthat", {"line 1": "to be or ", "line 1, character 10": "not to be\n", "line 2": "that"}),
        ("一" * 20, {"line 1": "一" * 8, "line 1, character 9": "一" * 12}),
        ("abcdefgh\u0301" * 2, {"line 1": "abcdefgh\u0301", "line 1, character 10": "abcdefgh\u0301"}),
        ("\r\n".join(["abcdefgh"] * 2), {"line 1": "abcdefgh\r\n", "line 2": "abcdefgh"}),
        ("\r".join(["abcdefgh"] * 2), {"line 1": "abcdefgh\r", "line 2": "abcdefgh"}),
    ],
)
def test_parts_of_long_lines(tmp_path, text, parts):
    write(tmp_path, {"a.txt": text})
    found = {item.where.partition("a.txt ")[2]: item.content for item in examples(tmp_path, format="text", part=8)}
    assert found == parts
