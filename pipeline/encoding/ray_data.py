"""Tokenizes a table on a Ray cluster, row group by row group; the tokens are those that one machine would make.

Each machine reads the table itself, from a shared file system; the results arrive in the order of the row groups.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.config import paths
from pipeline.encoding import documents
from pipeline.encoding.documents import Part
from pipeline.runtime.encoders import text_tokenizer
from pipeline.runtime.encoders.byte_tokenizer import ByteTokenizer
from pipeline.runtime.encoders.specs import CorpusSpec
from pipeline.runtime.errors import UserError

ON = "TOKENIZE_ON"  # an environment variable, not a parameter: where tokens are made changes none of them


def requested() -> bool:
    """Whether TOKENIZE_ON is ray. Raises UserError for an unknown value."""
    if (where := os.environ.get(ON, "")) not in ("", "ray"):
        raise UserError(f"{ON}: must be ray or nothing, not {where!r}")
    return bool(where)


def tokenized(table: Path, tokenizer: ByteTokenizer) -> Iterator[Part]:
    """The documents' tokens, in order. Raises UserError if Ray is not installed."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError(f"{ON}: ray is not installed: pip install '.[ray]'") from error
    ray.init(ignore_reinit_error=True, runtime_env={"env_vars": {"PYTHONPATH": str(Path.cwd())}})
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    groups = pq.ParquetFile(table).num_row_groups
    tokenize = partial(
        tokenize_group, table=table.absolute(), tokenizer_file=paths.TOKENIZER.absolute(), spec=tokenizer.spec
    )
    for row in ray.data.range(groups, override_num_blocks=groups).map(tokenize).iter_rows():
        start = 0
        for tokens, size, characters in row["parts"]:
            yield Part(row["tokens"][start : start + tokens], (size, characters) if size else None)
            start += tokens


def tokenize_group(row: dict[str, Any], *, table: Path, tokenizer_file: Path, spec: CorpusSpec) -> dict[str, Any]:
    """One row group: its tokens, and for each part its length and the document's bytes and characters."""
    tokenizer = ByteTokenizer(text_tokenizer.load(tokenizer_file), spec)
    parts = list(documents.tokenized(table, tokenizer, int(row["id"])))
    return {
        "tokens": np.concatenate([np.zeros(0, np.int32), *(part.tokens for part in parts)]),
        "parts": np.array([(len(part.tokens), *(part.size or (0, 0))) for part in parts], np.int64).reshape(-1, 3),
    }
