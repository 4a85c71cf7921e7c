"""The section `datasets.NAME.data` of params.yaml: what all readers have in common, besides options of their own."""

from typing import Annotated

from pydantic import Field, NonNegativeInt

from pipeline.config.section import Section

Share = Annotated[float, Field(gt=0, lt=0.5)]


class DataSection(Section):
    source: str
    """The file, folder or archive, under data/raw."""
    validation: Share = 0.1
    """The fraction of the examples held out for validation, where the source has no such split of its own."""
    test: Share = 0.2
    """The same for the test split."""
    max_bad_rows: NonNegativeInt = 0
    """How many unusable rows or files to tolerate; more are an error."""
