"""Bytes on disk -> examples. A new reader is one new file in formats/ and one name in the union below.

A reader is the section `datasets.NAME.data` of params.yaml: the source, its format and options. Its `read()` yields an
Example or a Refused for each picture, row, file or sentence, and raises UserError where the source as a whole cannot be
used. It says what its examples are (`content`: image, text or words) and what comes with each (`labels_are`).
"""

from typing import Annotated

from pydantic import Field

from pipeline.readers.example import Example, Refused
from pipeline.readers.formats import conll, idx, image_folder, mail, slash_tagged, table, text

Reader = Annotated[
    conll.Reader | idx.Reader | image_folder.Reader | mail.Reader | slash_tagged.Reader | table.Reader | text.Reader,
    Field(discriminator="format"),
]

__all__ = ["Example", "Reader", "Refused"]
