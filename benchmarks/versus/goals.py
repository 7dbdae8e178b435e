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

NOT_REACHED = {             # only what a profile has shown: `python -m benchmarks.versus.profile PATTERN`
    "3x3 512@7 n1, inference":
        "90 % convolve_tiles: for four tiles of one image the 38 MB of transformed filters are read once, which alone "
        "takes 1.3 of the 1.7 ms",
    "1x1 convolution and linear":
        "64-256@56: 97 to 99 % matrix product with an inner axis of 64, 85 GF/s forward and 73 with the gradients: 26 "
        "MB are written for 0.8 Gflop; all other rows are below 0.95",
    "stride 2, stem, transposed":
        "1x1 stride 2: 64 % correlate, 29 % matrix product at 92 GF/s; transposed: 97 % in correlate and "
        "correlate_filter, both at the rate of the register tile",
    "dilated 3x3, rate 12":
        "92 % convolve_tiles: the 144 sub-images are 5 or 6 pixels wide and tiles of 4 x 4 cover 8, so that half of "
        "the products are for nothing",
    "batch norm + ReLU (+ add), training, f+b":
        "72 % in four passes over memory (moments, apply, sums, gradient), 28 % in Python and in fetching memory",
    "batch norm, training, f+b":
        "81 % in four passes over memory (moments, apply, sums, gradient) at 25 GB/s of the 30 there are",
    "GELU, sigmoid, exp, cross-entropy, layer norm":
        "cross-entropy 64x10: 85 % of 0.085 ms is Python, 15 % the loops; layer norm: 81 % in one pass that reads and "
        "writes at 24 GB/s of the 30 there are; its gradient: 57 % one pass of three reads and a write",
    "max pooling f+b": "56 % collect_taps, 39 % max_windows; PyTorch is 7 times as slow in its default layout only",
    "attention f": "96 % in one kernel that reads keys and values once; 4 % Python",
    "attention f+b": "one image: 94 % in the two kernels, attend_back and attend; eight images keep the goal",
    "ResNet-50 inference, one image":
        "54 % correlate, whose 1x1 products of one image have 49 to 3136 rows (102 GF/s at 196), 17 % convolve_tiles, "
        "18 % Python and memory for 160 layers",
    "ViT-B/16 training step": "87 % matrix product at 101 GF/s of the register tile's 110",
    "autograd, 4x4 arrays": "create_graph records each rule's own operations at 6.6 us an op; without Python's "
                            "garbage collector it is 0.86",
}

BESIDE_OTHERS = [           # what keeps the rows of the second table from their goals
    "NMS of 1000 boxes, goal 0.15: two thirds of the time are 160 000 pairs of boxes in float64 at 0.8 ns a pair, in "
    "vector code; the rest are the checks, the sort and Python.",
    "Integral image, goal 1.2 of OpenCV's: our table is int64, exact for every image; OpenCV's is int32 and overflows "
    "from 8.4 million bright pixels on. Writing a table of 8 bytes an entry alone (row *writing*) takes as long as "
    "OpenCV's whole int32 one; beside a table of equal width (*opencv_float64*) ours takes 0.9 to 1.5 of the time.",
]
