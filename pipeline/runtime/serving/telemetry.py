"""What the server measures of itself, for Prometheus."""

from collections.abc import Callable

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
