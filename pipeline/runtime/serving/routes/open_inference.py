"""The Open Inference Protocol, version 2: KServe's, Triton's and MLServer's.

github.com/kserve/open-inference-protocol
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from ...errors import UserError
from ...inputs import Arrays
from ..failures import Failure
from ..models.model import Model
from ..models.repository import Repository, Served
from ..models.worker import Given, Outputs
from . import tensors
from .tensors import Tensor


def routes(repository: Repository, *, may_load: bool) -> APIRouter:
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

    @router.get("")
    async def server() -> dict[str, Any]:
        extensions = ["binary_tensor_data", *(["model_repository"] if may_load else [])]
        return {"name": "pipeline", "version": "1", "extensions": extensions}

    @router.get("/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @router.get("/health/ready")
    async def ready(response: Response) -> dict[str, bool]:
        response.status_code = 200 if repository.ready else 503
        return {"ready": repository.ready}

    @router.get("/models/{name}")
    @router.get("/models/{name}/versions/{version}")
    async def metadata(name: str, version: str | None = None) -> dict[str, Any]:
        return describe(repository.get(name, version))

    @router.get("/models/{name}/ready")
    @router.get("/models/{name}/versions/{version}/ready")
    async def model_ready(name: str, version: str | None = None) -> dict[str, Any]:
        model = repository.get(name, version)
        return {"name": model.name, "ready": True}

    inferred = endpoint(repository)

    @router.post("/models/{name}/infer")
    @router.post("/models/{name}/versions/{version}/infer")
    async def infer(name: str, request: Request, version: str | None = None) -> Response:
        return await inferred(request)

    if may_load:

        @router.post("/repository/index")
        async def index() -> list[dict[str, str]]:
            return [{"name": name, **repository.state(name)} for name in repository.folders]

        @router.post("/repository/models/{name}/load")
        async def load(name: str) -> dict[str, str]:
            model = await repository.load(name)
            return {"name": model.name, "version": model.version}

        @router.post("/repository/models/{name}/unload")
        async def unload(name: str) -> dict[str, str]:
            await repository.unload(name)
            return {"name": name}

    return router


def endpoint(repository: Repository) -> Callable[[Request], Awaitable[Response]]:
    """What answers a request to infer."""

    async def inferred(request: Request) -> Response:
        path = request.path_params
        with repository.predictor(path["name"], path.get("version")) as model:
            asked = tensors.parse(await request.body(), request.headers.get(tensors.HEADER))
            outputs = await answer(model, asked)
        header = {"model_name": model.name, "model_version": model.version} | ({"id": asked.id} if asked.id else {})
        binary = asked.outputs if asked.outputs is not None else dict.fromkeys((x.name for x in outputs), asked.binary)
        body, size = tensors.respond(header, outputs, binary)
        headers = {} if size is None else {tensors.HEADER: str(size)}
        return Response(body, 200, headers, "application/json" if size is None else "application/octet-stream")

    return inferred


def describe(model: Served) -> dict[str, Any]:
    """The metadata of a model, as the protocol wants it."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": model.engine,
        "inputs": model.signature["inputs"],
        "outputs": model.signature["outputs"],
    }


async def answer(model: Model, asked: tensors.Request) -> list[Tensor]:
    """The outputs that are asked for. Raises Failure."""
    names = [output["name"] for output in model.signature["outputs"]]
    if unknown := [name for name in asked.outputs or () if name not in names]:
        raise Failure(400, f"outputs: no {unknown[0][:60]!r}: there are {', '.join(names)}")
    is_raw = [tensor.name for tensor in asked.inputs] == [raw_name(model)]
    given: Sequence[Given | Arrays] = raw_inputs(model, asked.inputs[0]) if is_raw else examples(model, asked.inputs)
    if not given:
        raise Failure(400, "inputs: hold no example")
    rows = await model.outputs(given)
    good = [row for row in rows if not isinstance(row, UserError)]
    if len(good) < len(rows):
        raise Failure(400, next(str(row) for row in rows if isinstance(row, UserError)))
    return [Tensor(names[0], _padded(good), "FP32")]


def raw_name(model: Model) -> str:
    """The name of the input that is no tensor yet: `image`, the bytes of a file; `text`; or `words`."""
    return model.signature["raw_inputs"][0]["name"]


def raw_inputs(model: Model, tensor: Tensor) -> list[Given]:
    """The bytes of image files, texts, or sentences: each a text, or a row of words that ends with empty ones."""
    where, inputs = f"input {tensor.name!r}", model.inputs
    if tensor.datatype != "BYTES":
        raise Failure(400, f"{where}: its datatype must be BYTES")
    names = (f"{tensor.name} {i}" for i in count(1))
    if inputs.from_files:
        return list(map(Given, tensor.values.ravel().tolist(), names))
    try:
        if inputs.from_words and tensor.values.ndim == 2:
            rows = [[word.decode() for word in row if word] for row in tensor.values]
            return list(map(Given, rows, names))
        return [Given(inputs.parse(value.decode()), name) for value, name in zip(tensor.values.ravel(), names)]
    except UnicodeDecodeError as error:
        raise Failure(400, f"{where}: is not UTF-8") from error


def examples(model: Model, inputs: list[Tensor]) -> list[Arrays]:
    """The rows of the tensors that the model takes. Raises Failure where they are others."""
    wanted = model.signature["inputs"]
    if [tensor.name for tensor in inputs] != [one["name"] for one in wanted]:
        names = ", ".join(one["name"] for one in wanted)
        raise Failure(400, f"inputs: must be {names}, in this order, or {raw_name(model)}")
    for tensor, one in zip(inputs, wanted):
        shape, datatype = one["shape"], one["datatype"]
        if tensor.datatype != datatype:
            raise Failure(400, f"input {tensor.name!r}: its datatype must be {datatype}")
        if len(tensor.values.shape) != len(shape) or any(n not in (-1, m) for n, m in zip(shape, tensor.values.shape)):
            raise Failure(400, f"input {tensor.name!r}: its shape must be {shape}, where -1 is any number")
        if tensor.values.size == 0 or (tensor.values.shape[:2] != inputs[0].values.shape[:2] and len(shape) < 4):
            raise Failure(400, f"input {tensor.name!r}: is empty, or not as long as {inputs[0].name!r}")
        check_range(model, tensor)
    return list(zip(*(tensor.values for tensor in inputs)))


def check_range(model: Model, tensor: Tensor) -> None:
    """Raises Failure for numbers that stand for no token, word or character."""
    most = model.config.get("alphabet" if tensor.name == "characters" else "vocabulary")
    if tensor.datatype == "INT32" and most and not 0 <= tensor.values.min() <= tensor.values.max() < most:
        raise Failure(400, f"input {tensor.name!r}: must be from 0 to {most - 1:,}")


def _padded(rows: list[Outputs]) -> np.ndarray:
    """One array of all outputs: rows of tokens are filled up with zeros."""
    if rows[0].ndim == 1:
        return np.stack(rows)
    padded = np.zeros((len(rows), max(map(len, rows)), rows[0].shape[1]), np.float32)
    for out, row in zip(padded, rows):
        out[: len(row)] = row
    return padded
