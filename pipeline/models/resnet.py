"""A small residual network with batch normalisation (He et al. 2016, arXiv:1603.05027: "pre-activation")."""

from flax import nnx
from jaxtyping import Array, Float, Real

from pipeline.config.networks import ResNetConfig
from pipeline.examples.inputs import Images
from pipeline.layers.convolution import conv


def build(config: ResNetConfig, inputs: Images, outputs: int, *, rngs: nnx.Rngs) -> "ResNet":
    return ResNet(config, inputs, outputs, rngs=rngs)


class ResNet(nnx.Module):
    def __init__(self, config: ResNetConfig, inputs: Images, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.inputs = inputs
        width = config.widths[0]
        self.stem = Conv(inputs.shape[-1], width, kernel=3, stride=2, rngs=rngs)
        blocks = []
        for stage, out in enumerate(config.widths):
            for block in range(config.blocks):
                blocks.append(Block(width, out, stride=2 if stage and not block else 1, rngs=rngs))
                width = out
        self.blocks = nnx.List(blocks)
        self.norm = norm(width, rngs=rngs)
        self.head = nnx.Linear(width, outputs, rngs=rngs)

    def __call__(
        self, images: Real[Array, "b h w c"], *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b k"]:
        return self.classify(self.features(images, training=training))

    def features(self, images: Real[Array, "b h w c"], *, training: bool = False) -> Float[Array, "b i j d"]:
        x = self.stem(self.inputs.standardise(images))  # b h w d
        for block in self.blocks:
            x = block(x, training=training)
        return nnx.relu(self.norm(x, use_running_average=not training))

    def classify(self, features: Float[Array, "b i j d"]) -> Float[Array, "b k"]:
        return self.head(features.mean(axis=(1, 2)))


class Block(nnx.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))); where size or width change, x is projected to the new ones."""

    def __init__(self, width: int, out: int, *, stride: int, rngs: nnx.Rngs) -> None:
        self.norm1, self.norm2 = norm(width, rngs=rngs), norm(out, rngs=rngs)
        self.conv1 = Conv(width, out, kernel=3, stride=stride, rngs=rngs)
        self.conv2 = Conv(out, out, kernel=3, stride=1, rngs=rngs)
        same = (width, stride) == (out, 1)
        self.project = nnx.data(None if same else Conv(width, out, kernel=1, stride=stride, rngs=rngs))

    def __call__(self, x: Float[Array, "b h w d"], *, training: bool) -> Float[Array, "b h2 w2 d2"]:
        y = nnx.relu(self.norm1(x, use_running_average=not training))
        skip = x if self.project is None else self.project(y)
        y = self.conv1(y)
        y = self.conv2(nnx.relu(self.norm2(y, use_running_average=not training)))
        return skip + y


class Conv(nnx.Module):
    """A convolution without bias: the normalisation after it has one."""

    def __init__(self, width: int, out: int, *, kernel: int, stride: int, rngs: nnx.Rngs) -> None:
        self.stride = stride
        self.kernel = nnx.Param(nnx.initializers.he_normal()(rngs.params(), (kernel, kernel, width, out)))

    def __call__(self, x: Float[Array, "b h w d"]) -> Float[Array, "b h2 w2 d2"]:
        return conv(x, self.kernel[...], stride=self.stride)


def norm(width: int, *, rngs: nnx.Rngs) -> nnx.BatchNorm:
    """Batch normalisation whose running averages settle within a hundred steps, unlike the default of 0.99."""
    return nnx.BatchNorm(width, momentum=0.9, epsilon=1e-5, rngs=rngs)
