"""The section `datasets.NAME.data` of params.yaml: what all readers have in common, besides options of their own."""

from typing import Annotated

from pydantic import Field, NonNegativeInt

from pipeline.config.section import Section

Share = Annotated[float, Field(gt=0, lt=0.5)]


class DataSection(Section):
    source: str  # the file or folder, under data/raw
    validation: Share = 0.1  # the share of the examples held out, where the source has no validation split of its own
    test: Share = 0.2  # likewise
    max_bad_rows: NonNegativeInt = 0  # rows or files that may be unusable; more are an error
