"""An MLServer runtime for the same images: PNG files as BYTES, in base64, by the Open Inference Protocol."""

import base64

import numpy as np
from classifier import Classifier
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Runtime(MLModel):
    async def load(self) -> bool:
        self.classifier = Classifier(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        files = [base64.b64decode(one) for one in payload.inputs[0].data]
        images = np.stack([self.classifier.decode(file) for file in files])
        outputs = NumpyCodec.encode_output("probabilities", self.classifier.probabilities(images))
        return InferenceResponse(model_name=self.name, outputs=[outputs])
