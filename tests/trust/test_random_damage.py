"""Whatever a manifest or an input is, there is one clear line, or an answer: `make soak` tries more."""

import json
from random import Random

import fuzz_packages
import pytest
from fuzz_packages import one_line
from hypothesis import given, settings
from hypothesis import strategies as some

from pipeline.runtime.errors import UserError
from pipeline.runtime.trust import manifest

VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(some.characters(codec=None)),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
    max_leaves=8,
)
NUMBERS = some.sampled_from((4, 5, -1, 10**30, 4.0, True, None))
FILES = some.dictionaries(
    some.text() | some.just("labels.json"), some.fixed_dictionaries({"size": VALUES, "sha256": VALUES})
)


@settings(max_examples=150, deadline=None)
@given(VALUES | some.fixed_dictionaries({"format": NUMBERS, "files": VALUES | FILES}))
def test_no_manifest_but_the_package_s_own_is_accepted(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("package")
    (folder / "labels.json").write_text("{}")
    (folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(UserError) as error:
        manifest.verify(folder)
    one_line(error.value)


@settings(max_examples=60, deadline=None)
@given(some.randoms(use_true_random=False))
def test_a_package_is_refused_or_whole(tmp_path_factory, random):
    tried(fuzz_packages.a_strange_package, tmp_path_factory, random)


@settings(max_examples=60, deadline=None)
@given(some.randoms(use_true_random=False))
def test_an_input_is_refused_or_encoded(tmp_path_factory, random):
    tried(fuzz_packages.an_input, tmp_path_factory, random)


def tried(kind, folders, random: Random) -> None:
    try:
        kind(folders.mktemp("case"), random)
    except UserError as error:
        one_line(error)
