"""python litserve_server.py PACKAGE PORT BATCH: LitServe, with batches of at most BATCH, from PNG files in base64."""

import base64
import sys

import litserve
import numpy as np
from classifier import Classifier


class API(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.classifier = Classifier(sys.argv[1])

    def decode_request(self, request: dict[str, str]) -> np.ndarray:
        return self.classifier.decode(base64.b64decode(request["image"]))

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.classifier.probabilities(x if x.ndim == 4 else x[None])

    def encode_response(self, output: np.ndarray) -> dict[str, object]:
        return self.classifier.answer(np.reshape(output, -1))


class BatchingAPI(API):
    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)


if __name__ == "__main__":
    largest = int(sys.argv[3])
    api = BatchingAPI(max_batch_size=largest, batch_timeout=0.001) if largest > 1 else API()
    server = litserve.LitServer(api, accelerator="cpu", fast_queue=True, track_requests=False)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="error")
