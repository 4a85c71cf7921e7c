"""Bytes on disk -> examples. A new reader is one new file in formats/ and one name in the union below.

A reader is a section of params.yaml: its name, its options, and `read(source)`, which yields an Example or a Refused
for each picture, row, file or sentence. It raises UserError where the source as a whole cannot be used. It says what
its examples are (`content`: image, text or words) and what comes with each (`labels_are`: a label, or tags).
"""

from typing import Annotated

from pydantic import Field

from pipeline.readers.example import Example, Refused
from pipeline.readers.formats import conll, idx, image_folder, mail, slash_tagged, table, text

Reader = Annotated[
    conll.Reader | idx.Reader | image_folder.Reader | mail.Reader | slash_tagged.Reader | table.Reader | text.Reader,
    Field(discriminator="name"),
]

__all__ = ["Example", "Reader", "Refused"]
