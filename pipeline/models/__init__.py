"""The networks, one file each, read top to bottom in one sitting. A new model is one new file and one line here.

Its file has a Config (the keys under `models.NAME.network`, the tasks it can do, and `build`) and the module, which
takes a batch of inputs and returns logits. Axes: b batch, h height, w width, c channels of the input, d width of a
layer, f filters, k classes.
"""

from pipeline.models import cnn, resnet

Config = cnn.Config | resnet.Config
Model = cnn.CNN | resnet.ResNet

CONFIGS: dict[str, type[Config]] = {
    "cnn": cnn.Config,
    "resnet": resnet.Config,
}
