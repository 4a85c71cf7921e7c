"""Text from language models: in our own form, and in that of OpenAI's completions, both also as a stream of server-sent
events.
"""

import json
import math
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from ...encoders.valid_text import valid_text
from ...generator import Sampling
from ..failures import Failure
from ..models.decoder import Stream
from ..models.repository import Repository

MOST = 10_000  # tokens of an answer
STOPS = 4  # as OpenAI's


class Generate(BaseModel):
    """What to write on."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    prompt: str = Field(min_length=1)
    model: str | None = None
    max_tokens: int = Field(200, ge=1, le=MOST)
    temperature: float = Field(1.0, ge=0)
    top_k: int | None = Field(None, ge=1)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int = Field(0, ge=0, lt=1 << 63)
    stop: str | None = Field(None, min_length=1)
    stream: bool = False


class Completion(BaseModel):
    """OpenAI's form; what it has beyond these keys is ignored, but for those that would change the answer."""

    model_config = ConfigDict(allow_inf_nan=False)

    prompt: str | list[str]
    model: str | None = None
    max_tokens: int | None = Field(16, ge=1, le=MOST)
    temperature: float | None = Field(1.0, ge=0)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=0, lt=1 << 63)
    stop: str | list[str] | None = None
    stream: bool = False
    n: int = 1
    echo: bool = False


def routes(repository: Repository) -> APIRouter:
    router = APIRouter(tags=["Text"])

    @router.post("/generate")
    async def generate(asked: Generate) -> Response:
        """What follows the prompt. Equal seeds give equal texts."""
        stops = [asked.stop] if asked.stop else []
        written, parts = await write(repository, asked, stops)
        if asked.stream:
            return events(parts, lambda part: {"text": part})
        text = "".join([part async for part in parts])
        return JSONResponse({"prompt": asked.prompt, "text": text, "tokens": written.written, "ended": written.reason})

    @router.post("/v1/completions")
    async def complete(asked: Completion) -> Response:
        """As OpenAI's clients send and read it."""
        ours, stops = _ours(asked)
        written, parts = await write(repository, ours, stops)
        head = {"id": f"cmpl-{uuid.uuid4().hex}", "object": "text_completion", "model": asked.model or repository.first}

        def chunk(text: str, reason: str | None = None) -> dict[str, Any]:
            return {**head, "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": reason}]}

        if asked.stream:
            return events(parts, chunk, end=lambda: chunk("", written.reason))
        text = "".join([part async for part in parts])
        read = len(written.seen) - written.written - 1  # what marks the beginning is no token of the client's
        counts = {"prompt_tokens": read, "completion_tokens": written.written, "total_tokens": read + written.written}
        return JSONResponse(chunk(text, written.reason) | {"usage": counts})

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in repository.folders]}

    return router


async def write(repository: Repository, asked: Generate, stops: Sequence[str]) -> tuple[Stream, AsyncIterator[str]]:
    """A text that is being written, and its parts. Raises Failure before the first."""
    model = repository.get(asked.model)
    if model.generates is False:
        raise Failure(400, f"{model.name} is no language model: POST /predict")
    sampling = Sampling(asked.temperature, asked.top_k, asked.top_p)
    prompt = model.generator.tokenizer.encode(valid_text(asked.prompt, "prompt"))
    stream = await model.decoder.write(prompt, asked.max_tokens, sampling, seed=asked.seed, stops=stops)

    async def held() -> AsyncIterator[str]:
        with repository.using(model.name):
            async for part in model.decoder.parts(stream):
                yield part

    return stream, held()


def events(
    parts: AsyncIterator[str], form: Callable[[str], dict[str, Any]], end: Callable[[], dict[str, Any]] | None = None
) -> Response:
    async def stream() -> AsyncIterator[str]:
        try:
            async for part in parts:
                yield _event(form(part))
        except Failure as error:
            yield _event({"error": str(error)})
            return
        if end:
            yield _event(end())
        yield "data: [DONE]\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _ours(asked: Completion) -> tuple[Generate, list[str]]:
    """In our own form, and what ends the text. Raises Failure for what is not built."""
    prompts = [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt
    stops = [asked.stop] if isinstance(asked.stop, str) else asked.stop or []
    for valid, rule in (
        (len(prompts) == 1 and prompts[0], "prompt: must be one text"),
        (len(stops) <= STOPS and all(stops), f"stop: must be up to {STOPS} texts, none of them empty"),
        (asked.n == 1, "n: must be 1"),
        (not asked.echo, "echo: must be false"),
        (asked.temperature is None or math.isfinite(asked.temperature), "temperature: must be finite"),
    ):
        if not valid:
            raise Failure(400, rule)
    ours = Generate(
        prompt=prompts[0],
        model=asked.model,
        max_tokens=asked.max_tokens or 16,
        temperature=1.0 if asked.temperature is None else asked.temperature,
        top_k=None,
        top_p=asked.top_p,
        seed=asked.seed or 0,
        stop=None,
        stream=asked.stream,
    )
    return ours, stops


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"
