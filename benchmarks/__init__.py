"""Speed, as ratios measured in one run: `make bench` writes RESULTS.md, and each benchmark runs alone too.

    python -m benchmarks [--quick] [--only WORD ...]
    python -m benchmarks.FOLDER.NAME

- serving: server and engines; streams, overload
- training: reference_cnn and whole_job beside Keras, resnet_steps and language_model beside PyTorch; tokenizing,
  interruption, checkpoint
- kernels: recurrent beside PyTorch, convolution; layers
- stages: unchanged beside bare DVC, apart
"""

from pipeline.runtime import environment

environment.set_up()
