"""What the server says of itself: a log, and measurements for Prometheus."""

import sys
import time
from collections.abc import Callable
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

REQUESTS = Counter("requests_total", "Requests answered", ("route", "status"), registry=REGISTRY)
LATENCY = Histogram("request_seconds", "Time to answer", ("route",), buckets=SECONDS, registry=REGISTRY)
BATCHES = Histogram("batch_inputs", "Inputs answered together", ("model", "version"), buckets=SIZES, registry=REGISTRY)
WAITING = Gauge("queue_inputs", "Inputs that wait", ("model",), registry=REGISTRY)
MODELS = Gauge("model_info", "Models that are served", ("model", "version", "task", "engine"), registry=REGISTRY)


def batches(model: str, version: str) -> Callable[[int], None]:
    """Counts the inputs of a batch."""
    return BATCHES.labels(model, version).observe


def log(event: str, **facts: Any) -> None:
    """One line of JSON on standard error."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(orjson.dumps({"time": moment, "event": event, **facts}).decode(), file=sys.stderr)
