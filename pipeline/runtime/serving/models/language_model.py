"""A language model that is served: its texts share decoding steps."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from ... import strict_json
from ...encoders.valid_text import valid_text
from ...errors import UserError
from ...explanations.next_token import NextToken
from ...generator import Generator
from ...hashes import sha256
from ...package import read_object
from ...trust.manifest import MANIFEST
from .decoder import Decoder
from .explainer import Asked, Explainer

GROUPS = 2  # of texts that are written at once


class NextTokens:
    """Explanations of what follows a text, in a thread of their own."""

    def __init__(self, generator: Generator) -> None:
        self._of, self._thread = NextToken(generator), ThreadPoolExecutor(1)

    async def explain(self, asked: Asked) -> dict[str, Any]:
        text = valid_text(str(asked.content), asked.name)
        if not text:
            raise UserError(f"{asked.name}: has no text")
        return {"explanations": await asyncio.get_running_loop().run_in_executor(self._thread, self._of.facts, text)}

    async def warm_up(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._of.warm_up)


class LanguageModel:
    """Raises UserError for a folder that is not such a package, or is damaged."""

    generates: Literal[True] = True  # text
    engine = "jax"

    def __init__(self, name: str, folder: Path, *, room: int) -> None:
        self.name, self.folder = name, folder
        self.version = sha256(folder / MANIFEST)[:12]
        self.generator = Generator(folder)
        self.config = self.generator.config
        self.signature = read_object(folder / "signature.json", "inputs", "outputs")
        self.samples: list[dict[str, Any]] = [
            {"text": sample["prompt"]}
            for sample in strict_json.read(folder / "sample" / "expected.json")["samples"]
            if "prompt" in sample
        ]
        self.explainer = Explainer(NextTokens(self.generator))
        self.decoder = Decoder(self.generator, groups=GROUPS, room=room)

    @property
    def waiting(self) -> int:
        return self.decoder.waiting

    async def start(self) -> None:
        """Before anything else: compiles the steps."""
        await asyncio.to_thread(self.decoder.warm_up)

    async def close(self) -> None:
        await self.decoder.close()
        await self.explainer.close()
