"""The section `datasets.NAME.data` of params.yaml: what all readers have in common, besides options of their own."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, NonNegativeInt

from pipeline.config.section import Section
from pipeline.readers import split_names

Share = Annotated[float, Field(gt=0, lt=0.5)]


class DataSection(Section):
    one_per_file: ClassVar[bool]
    suffixes: ClassVar[tuple[str, ...]] = ()  # of the files that a reader reads; none: of all

    source: str
    """The file, folder or archive, under data/raw."""
    validation: Share = 0.1
    """The fraction of the examples held out for validation, where the source has no such split of its own."""
    test: Share = 0.2
    """The same for the test split."""
    max_bad_rows: NonNegativeInt = 0
    """How many unusable rows or files to tolerate; more are an error."""

    def rules(self) -> split_names.Rules:
        """What the names of the source's files and folders say of splits. Raises UserError where that is ambiguous."""
        pattern = getattr(self, "files", "*")
        return split_names.rules(Path(self.source), pattern, self.suffixes, one_per_file=self.one_per_file)
