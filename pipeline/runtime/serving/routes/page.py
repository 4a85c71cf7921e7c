"""The page at /, and what it asks of the models."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from ..failures import Failure
from ..models.repository import Repository, Served

FOLDER = Path(__file__).with_name("page")
FILES = {"": "index.html", "page.css": "page.css", "page.js": "page.js"}
# Scripts and styles come from this server alone, so text that a model writes can never run.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}


def routes(repository: Repository) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    for path, name in FILES.items():
        router.add_api_route(f"/{path}", _sender(FOLDER / name))

    @router.get("/models")
    async def models() -> list[dict[str, Any]]:
        return [describe(repository.get(name)) for name in repository.folders]

    @router.get("/models/{name}/samples/{number}")
    async def sample(name: str, number: int) -> Response:
        model = repository.get(name)
        if not 0 <= number < len(model.samples) or "file" not in model.samples[number]:
            raise Failure(404, f"{name} has no such sample")
        return FileResponse(model.folder / "sample" / model.samples[number]["file"])

    return router


def describe(model: Served) -> dict[str, Any]:
    samples = [
        {"url": f"models/{model.name}/samples/{i}"} if "file" in sample else {"text": _text(sample)}
        for i, sample in enumerate(model.samples)
    ]
    task, kind = model.config["task"], model.config["input_kind"]
    about = f"{task.replace('-', ' ')}, by {model.config['model']} trained on {model.config['dataset']}"
    return {
        "name": model.name,
        "generates": model.generates,
        "input_kind": kind,
        "about": about,
        "samples": samples,
    }


def _text(sample: dict[str, Any]) -> str:
    return sample["text"] if "text" in sample else " ".join(sample["words"])


def _sender(path: Path) -> Any:
    async def send() -> Response:
        return FileResponse(path, headers=HEADERS)

    return send
