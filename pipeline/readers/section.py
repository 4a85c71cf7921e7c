"""The section `datasets.NAME.data` of params.yaml: what all readers have in common, besides options of their own."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, NonNegativeInt
from pydantic_core import PydanticCustomError

from pipeline.config.section import Section
from pipeline.readers import split_names
from pipeline.runtime.reading import encodings

Share = Annotated[float, Field(gt=0, lt=0.5)]


def _known(label: str) -> str:
    if encodings.known(label) is None:
        raise PydanticCustomError("no_encoding", "must be an encoding, such as utf-8, cp1252 or gb18030")
    return label


class DataSection(Section):
    one_per_file: ClassVar[bool]  # whether a file is an example
    suffixes: ClassVar[tuple[str, ...]] = ()  # of the files that a reader reads; none: all files

    source: str
    """The file, folder or archive, under data/raw."""
    validation: Share = 0.1
    """The fraction of the examples held out for validation, where the source has no such split of its own."""
    test: Share = 0.2
    """The same for the test split."""
    stratify: bool = False
    """Give each split the same class proportions, where the source has no splits of its own. Adding examples may then
    move a few others."""
    duplicates: Literal["near", "exact"] = "near"
    """Which examples always stay in one split: with `near`, also texts that differ only in case, digits or punctuation;
    with `exact`, only identical ones."""
    max_bad_rows: NonNegativeInt = 0
    """How many unusable rows or files to tolerate; more are an error."""
    encoding: Annotated[str, AfterValidator(_known)] | None = None
    """The encoding of texts that are not Unicode, such as cp1252 or shift_jis; also of file names in archives."""

    def check_task(self, learns: str | None) -> str | None:
        """What is wrong with a setting for a task that learns this, if anything."""
        if self.stratify and learns not in ("label", "labels"):
            return "stratify: is for tasks that give examples one class or several: remove it"
        return None

    def rules(self) -> split_names.Rules:
        """What the names of the source's files and folders say of splits. Raises UserError where that is ambiguous."""
        pattern = getattr(self, "files", None)
        return split_names.rules(
            Path(self.source), pattern, self.suffixes, one_per_file=self.one_per_file, encoding=self.encoding
        )
