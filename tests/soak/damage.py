"""What happens to files: ways to damage bytes and trees of keys and values, each a function of a random generator."""

import copy
from collections.abc import Callable
from random import Random
from typing import Any

CHUNKS = (
    b"\0",
    b"\xff" * 4,
    b"\n",
    b"\r",
    b'"',
    b'""',
    b",",
    b"\t",
    b"/",
    b"\\",
    b"{",
    b"[" * 50,
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\xed\xa0\x80",  # half a surrogate pair
    "\u2028\u0085\x0b".encode(),
    "\u202e\u0301\U0001f600".encode(),
    b"\x1b[2J",
    b"9" * 5_000,
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"../../x",
    b"x" * 70_000,
    b"PK\3\4",
    b"\x1f\x8b\x08",
)
NUMBERS = (0, 1, 127, 128, 255, (1 << 15) - 1, 1 << 15, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 64) - 1)


def damaged(content: bytes, random: Random) -> bytes:
    """The bytes with one fault, or a few."""
    found = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        random.choice(WAYS)(found, random)
    return bytes(found)


def _place(content: bytearray, random: Random) -> int:
    """Anywhere, or rather near the start or the end, where headers and directories are."""
    size = len(content)
    near = min(size, 64)
    return random.choice((random.randint(0, size), random.randint(0, near), size - random.randint(0, near)))


def _piece(content: bytearray, random: Random) -> slice:
    start = _place(content, random)
    return slice(start, start + random.choice((1, 2, 4, 16, 200, len(content))))


def flip(content: bytearray, random: Random) -> None:
    if content:
        content[min(_place(content, random), len(content) - 1)] ^= 1 << random.randrange(8)


def replace(content: bytearray, random: Random) -> None:
    if content:
        content[min(_place(content, random), len(content) - 1)] = random.randrange(256)


def truncate(content: bytearray, random: Random) -> None:
    del content[_place(content, random) :]


def delete(content: bytearray, random: Random) -> None:
    del content[_piece(content, random)]


def insert(content: bytearray, random: Random) -> None:
    at = _place(content, random)
    content[at:at] = random.choice((random.choice(CHUNKS), random.randbytes(random.randint(1, 20))))


def duplicate(content: bytearray, random: Random) -> None:
    """A piece, some times over, behind itself."""
    piece = _piece(content, random)
    part = content[piece][: 1 << 16]
    content[piece.stop : piece.stop] = part * random.choice((1, 2, 50) if len(part) < 2_000 else (1,))


def splice(content: bytearray, random: Random) -> None:
    """A piece, over another place."""
    part = content[_piece(content, random)]
    at = _place(content, random)
    content[at : at + len(part)] = part


def number(content: bytearray, random: Random) -> None:
    """A length or an offset, as a file's header has them."""
    size, at = random.choice((1, 2, 4, 8)), _place(content, random)
    value = random.choice(NUMBERS) % (1 << 8 * size)
    content[at : at + size] = value.to_bytes(size, random.choice(("big", "little")))


def junk(content: bytearray, random: Random) -> None:
    """Nothing is left of it."""
    if random.random() < 0.2:
        content[:] = random.choice((b"", random.choice(CHUNKS), random.randbytes(random.randint(1, 300))))


WAYS: tuple[Callable[[bytearray, Random], None], ...] = (
    flip,
    flip,
    replace,
    truncate,
    delete,
    insert,
    insert,
    duplicate,
    splice,
    number,
    junk,
)

STRANGE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    1 << 31,
    1 << 64,
    10**30,
    10**400,
    0.0,
    -0.5,
    0.3,
    1e-300,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "x",
    "a\nb",
    "../../x",
    "/dev/null",
    "x\0y",
    "\u2028",
    "\x1b[2J",
    "{0} {dataset} %s $x",
    "ž" * 100_000,
    [],
    {},
    [[]],
    {"": None},
    {"a\nb": {"c": 1}},
)


def changed(tree: Any, random: Random, *, times: int = 0) -> Any:
    """A copy of nested dicts and lists with keys deleted, renamed, doubled, and values swapped for others."""
    whole = [copy.deepcopy(tree)]
    for _ in range(times or random.choice((1, 1, 1, 2, 4))):
        places = [(whole, 0), *_places(whole[0])]
        parent, key = random.choice(places)
        value = parent[key]
        match random.randrange(8):
            case 0 | 1 | 2:
                parent[key] = copy.deepcopy(random.choice(STRANGE))
            case 3 if parent is not whole:
                del parent[key]
            case 4 if isinstance(parent, dict):
                parent[random.choice(("x", f"{key}s", "", "a\nb", "name", 1, None))] = parent.pop(key)
            case 5:
                parent[key] = random.choice(([value], {"name": value}, str(value), [value] * 3))
            case 6:  # what stands somewhere else
                other, there = random.choice(places)
                parent[key] = copy.deepcopy(other[there])
            case _ if isinstance(value, int | float) and abs(value) < 1e300:
                parent[key] = random.choice((-value, value * 1_000, value // 3, str(value)[:99]))
            case _ if isinstance(value, dict):
                value[random.choice(("x", "name", "a\nb"))] = copy.deepcopy(random.choice(STRANGE))
            case _:
                parent[key] = copy.deepcopy(random.choice(STRANGE))
    return whole[0]


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Where each value stands: what holds it, and under which key or number."""
    if isinstance(tree, dict):
        keys = list(tree)
    elif isinstance(tree, list):
        keys = list(range(len(tree)))
    else:
        return []
    return [(tree, key) for key in keys] + [place for key in keys for place in _places(tree[key])]
