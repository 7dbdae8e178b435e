"""Convolutions: (N, C, O, size, kernel, stride, padding, dilation, groups)."""

from .rows import row
from .sides import inference, normal, training


def conv(N, C, O, size, kernel, stride=1, padding=0, dilation=1, groups=1, *, train, image_grad=True):
    def make(s):
        x = s.tensor(normal(N, C, size, size, seed=1), grad=train and image_grad)
        w = s.filter(normal(O, C // groups, kernel, kernel) / (C // groups * kernel**2)**0.5, grad=train)
        out = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        flops = 2 * N * O * out**2 * C // groups * kernel**2 * (1 + train * (1 + image_grad))

        def forward(x, w):
            return s.F.conv2d(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)
        return (training if train else inference)(s, forward, (x, w), flops=flops)
    return make


def transposed(N, C, O, size, kernel, stride, padding):
    def make(s):
        x = s.tensor(normal(N, C, size, size), grad=True)
        w = s.filter(normal(C, O, kernel, kernel) / C**0.5, grad=True)

        def forward(x, w):
            return s.F.conv_transpose2d(x, w, stride=stride, padding=padding)
        return training(s, forward, (x, w), flops=6 * N * size**2 * C * O * kernel**2)
    return make


def both(name, *shape, tolerance=2e-5, **settings):
    """A row of the forward pass and one of forward and backward pass."""
    row(f"{name} f", "convolution", conv(*shape, train=False, **settings), tolerance)
    row(f"{name} f+b", "convolution", conv(*shape, train=True, **settings), tolerance)


for channels, size, batch in ((64, 56, 1), (64, 56, 8), (128, 28, 8), (256, 14, 8), (512, 7, 8),
                              (64, 32, 64), (128, 16, 64), (256, 8, 64), (512, 4, 64)):
    both(f"conv3x3 {channels}@{size} n{batch}", batch, channels, channels, size, 3, 1, 1, tolerance=1e-4)
row("conv3x3 512@7 n1 f", "convolution", conv(1, 512, 512, 7, 3, 1, 1, train=False), 1e-4)
both("conv1x1 64-256@56 n8", 8, 64, 256, 56, 1)
both("conv1x1 1024-256@14 n8", 8, 1024, 256, 14, 1)
row("conv1x1 2048-512@7 n1 f", "convolution", conv(1, 2048, 512, 7, 1, train=False), 2e-5)
row("conv1x1s2 256-512@56 n8 f+b", "convolution", conv(8, 256, 512, 56, 1, 2, train=True), 2e-5)
row("stem7x7s2 3-64@224 n8 f", "convolution", conv(8, 3, 64, 224, 7, 2, 3, train=False), 2e-5)
row("stem7x7s2 3-64@224 n8 f+dw", "convolution", conv(8, 3, 64, 224, 7, 2, 3, train=True, image_grad=False), 5e-5)
row("conv3x3 3-64@32 n64 f+dw", "convolution", conv(64, 3, 64, 32, 3, 1, 1, train=True, image_grad=False), 5e-5)
both("conv3x3 16@32 n64", 64, 16, 16, 32, 3, 1, 1, tolerance=1e-4)
both("conv3x3 32@32 n64", 64, 32, 32, 32, 3, 1, 1, tolerance=1e-4)
both("conv3x3s2 128-256@28 n8", 8, 128, 256, 28, 3, 2, 1)
for rate in (2, 6, 12):
    row(f"dilated3x3 r{rate} 256@65 n1 f", "convolution", conv(1, 256, 256, 65, 3, 1, rate, rate, train=False), 1e-4)
both("grouped 32x4d 128@56 n8", 8, 128, 128, 56, 3, 1, 1, 1, 32)
both("depthwise3x3 144@56 n8", 8, 144, 144, 56, 3, 1, 1, 1, 144)
both("depthwise3x3s2 96@112 n8", 8, 96, 96, 112, 3, 2, 1, 1, 96)
row("transposed2x2s2 256-128@28 n8 f+b", "convolution", transposed(8, 256, 128, 28, 2, 2, 0), 2e-5)
row("transposed4x4s2 256-128@14 n8 f+b", "convolution", transposed(8, 256, 128, 14, 4, 2, 1), 2e-5)
