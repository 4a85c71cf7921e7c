"""Tokenizes a table on a Ray cluster, its row groups shared out among the machines: to the tokens that one comes to.

Each machine reads the table itself, from a file system in common; they come back in the order of the row groups.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.config import paths
from pipeline.encoding.documents import Part
from pipeline.encoding.documents import tokenized as here
from pipeline.runtime.encoders import text_tokenizer
from pipeline.runtime.encoders.byte_tokenizer import ByteTokenizer
from pipeline.runtime.encoders.specs import CorpusSpec
from pipeline.runtime.errors import UserError

ON = "TOKENIZE_ON"  # the environment's word: where tokens are made changes none of them


def asked() -> bool:
    """Whether the environment asks for it. Raises UserError where it asks for something else."""
    if (where := os.environ.get(ON, "")) not in ("", "ray"):
        raise UserError(f"{ON}: must be ray or nothing, not {where!r}")
    return bool(where)


def tokenized(table: Path, tokenizer: ByteTokenizer) -> Iterator[Part]:
    """The documents' tokens, in order. Raises UserError where Ray is not installed."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError(f"{ON}: ray is not installed: pip install '.[ray]'") from error
    ray.init(ignore_reinit_error=True, runtime_env={"env_vars": {"PYTHONPATH": str(Path.cwd())}})
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    groups = pq.ParquetFile(table).num_row_groups
    one = partial(of_group, table=table.absolute(), tokenizer_file=paths.TOKENIZER.absolute(), spec=tokenizer.spec)
    made = ray.data.range(groups, override_num_blocks=groups).map(one)
    for row in made.iter_rows():
        at = 0
        for tokens, size, characters in row["parts"]:
            yield Part(row["tokens"][at : at + tokens], (size, characters) if size else None)
            at += tokens


def of_group(row: dict[str, Any], *, table: Path, tokenizer_file: Path, spec: CorpusSpec) -> dict[str, Any]:
    """What one row group comes to: its tokens, and the length, bytes and characters of each part."""
    tokenizer = ByteTokenizer(text_tokenizer.load(tokenizer_file), spec)
    parts = list(here(table, tokenizer, int(row["id"])))
    return {
        "tokens": np.concatenate([np.zeros(0, np.int32), *(part.tokens for part in parts)]),
        "parts": np.array([(len(part.tokens), *(part.size or (0, 0))) for part in parts], np.int64).reshape(-1, 3),
    }
