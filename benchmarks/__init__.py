"""Speed, as ratios measured in one run: python -m benchmarks.FOLDER.NAME

serving    server, streams, overload; engines: ONNX Runtime and JAX
training   reference_cnn and language_model: beside Keras and PyTorch; resnet_steps, checkpoint, interruption, tokenizing
kernels    convolution, recurrent, layers
"""

from pipeline.runtime import environment

environment.set_up()
