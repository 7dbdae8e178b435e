"""What was promised, as ratios to PyTorch, and why a promise was not kept."""

from typing import NamedTuple


class Goal(NamedTuple):
    """Rows whose name matches `rows` shall not exceed `ratio` against PyTorch and `ratio_cl` against channels_last."""
    what: str
    rows: str
    ratio: float
    ratio_cl: float = 0
    threads: tuple = (1,)


MAPS = r"conv3x3 (64|128|256)@(56|28|14|32|16|8) n\d+"
GOALS = [
    Goal("3x3 stride-1 convolution, 64 to 256 channels, maps >= 8, f", rf"{MAPS} f", 0.45, 0.5),
    Goal("3x3 stride-1 convolution, 64 to 256 channels, maps >= 8, f+b", rf"{MAPS} f\+b", 0.5, 0.55),
    Goal("3x3 512@7, 512@4 in training", r"conv3x3 512@\d n(8|64) f(\+b)?", 0.7, 0.7),
    Goal("3x3 512@7 n1, inference", r"conv3x3 512@7 n1 f", 0.5, 0.5),
    Goal("1x1 convolution and linear", r"(conv1x1 |linear).*", 0.95, 1.0),
    Goal("stride 2, stem, transposed", r"(conv3x3s2|conv1x1s2|stem|transposed).*", 0.95, 1.05),
    Goal("dilated 3x3, rate 2", r"dilated3x3 r2 .*", 0.5, 0.5),
    Goal("dilated 3x3, rate 6", r"dilated3x3 r6 .*", 0.55, 0.55),
    Goal("dilated 3x3, rate 12", r"dilated3x3 r12 .*", 0.6, 0.6),
    Goal("grouped 32x4d f+b", r"grouped .* f\+b", 0.5, 0.7),
    Goal("depthwise f+b", r"depthwise.* f\+b", 0.5, 1.0),
    Goal("batch norm + ReLU (+ add), training, f+b", r"batchnorm\+.* f\+b", 0.4, 0.65),
    Goal("batch norm, training, f+b", r"batchnorm train .* f\+b", 0.4, 0.9),
    Goal("ReLU", r"relu .*", 1.05, 1.05),
    Goal("GELU, sigmoid, exp, cross-entropy, layer norm", r"(gelu|sigmoid|exp|cross-entropy|layernorm).*", 0.8),
    Goal("softmax", r"softmax.*", 1.0),
    Goal("max pooling f+b", r"max-pool.* f\+b", 0.15, 0.5),
    Goal("bilinear x2 f+b", r"bilinear.* f\+b", 0.25, 1.05),
    Goal("attention f", r"attention.* f", 0.9),
    Goal("attention f+b", r"attention.* f\+b", 0.85),
    Goal("ResNet-18 CIFAR training step, 1 thread", r"resnet18-cifar-train", 0.5, 0.6),
    Goal("ResNet-18 CIFAR training step, 2 threads", r"resnet18-cifar-train", 0.55, 0.6, (2,)),
    Goal("ResNet-50 inference, one image", r"resnet50-infer-n1", 0.65, 0.8),
    Goal("ViT-B/16 training step", r"vit-b16-train.*", 0.9),
    Goal("autograd, 4x4 arrays", r"autograd.*", 0.75),
]

NOT_REACHED = {             # only what a profile has shown
    "autograd, 4x4 arrays": "create_graph records each rule's own operations at 6.6 us an op; without Python's "
                            "garbage collector it is 0.86",
}
