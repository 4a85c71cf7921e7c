"""Speed, as ratios measured in one run: python -m benchmarks.FOLDER.NAME

- serving: server, streams, overload; engines, which are ONNX Runtime and JAX
- training: reference_cnn beside Keras, language_model beside PyTorch; resnet_steps, tokenizing, interruption,
  checkpoint
- kernels: convolution, recurrent, layers
"""

from pipeline.runtime import environment

environment.set_up()
