"""A CSV table of texts or sentences, and the same table with answers, as `predict --csv --keep-columns` writes it."""

import asyncio
import io
from typing import NamedTuple

from ...commands import forms, text_inputs
from ...commands.file_form import Form
from ...commands.text_inputs import Row, Text
from ...commands.views import View
from ...errors import UserError
from ...inputs import Raw
from ...reading import files, table_rows
from ..failures import Failure
from ..models.model import Model
from ..models.worker import Given

NAME = "the table"


class Answered(NamedTuple):
    """A row that is written."""

    name: str
    content: Raw
    text: str
    row: Row | None


async def answered(model: Model, body: bytes, column: str) -> bytes:
    """The table with the answers in further columns; a row that has none keeps them empty. Raises Failure."""
    if model.inputs.from_files:
        raise Failure(415, f"{model.name} takes images: a table holds texts")
    entry = files.Entry("table.csv", NAME, lambda: io.BytesIO(body))
    try:
        kept, texts = await asyncio.to_thread(_read, entry, Form(column, words=model.inputs.from_words, keep=True))
    except UserError as error:
        raise Failure(400, str(error)) from error
    if len(texts) > model.room:
        raise Failure(413, f"{len(texts):,} rows: at most {model.room:,} are taken at a time")
    parse = model.inputs.parse
    contents = [parse(text.content) if isinstance(text.content, str) else text.content for text in texts]
    given = [Given(content, text.name) for content, text in zip(contents, texts) if not isinstance(content, UserError)]
    outputs = iter(await model.outputs(given))
    out = io.StringIO()
    written = forms.Csv(View(model.task), kept, out)
    for content, text in zip(contents, texts):
        row = Answered(text.name, "" if isinstance(content, UserError) else content, str(text.content), text.row)
        found = UserError("") if isinstance(content, UserError) else next(outputs)
        written.skip(row) if isinstance(found, UserError) else written.write(row, found)
    return out.getvalue().encode()


def _read(entry: files.Entry, form: Form) -> tuple[list[str], list[Text]]:
    """The columns and the texts."""
    return table_rows.columns(entry), list(text_inputs.column(entry, form))
