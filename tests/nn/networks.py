"""Two known networks written with the layers, for the tests: ResNet-18 and a small U-Net."""

import numpy as np

from minicv import nn
from minicv.autograd.shape import concat


class BasicBlock(nn.Module):
    def __init__(self, cin, cout, stride, rng):
        self.conv1 = nn.Conv2d(cin, cout, 3, stride=stride, padding=1, bias=False, rng=rng)
        self.bn1 = nn.BatchNorm2d(cout)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1, bias=False, rng=rng)
        self.bn2 = nn.BatchNorm2d(cout)
        self.downsample = None
        if stride > 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride=stride, bias=False, rng=rng),
                                            nn.BatchNorm2d(cout))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, widths=(64, 128, 256, 512), depths=(2, 2, 2, 2), num_classes=1000, rng=0):
        rng = np.random.default_rng(rng)
        self.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False, rng=rng)
        self.bn1, self.relu = nn.BatchNorm2d(widths[0]), nn.ReLU()
        self.maxpool, cin = nn.MaxPool2d(3, stride=2, padding=1), widths[0]
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks = []
            for k in range(depth):
                blocks.append(BasicBlock(cin, width, 2 if i and not k else 1, rng))
                cin = width
            setattr(self, f"layer{i + 1}", blocks)
        self.avgpool = nn.GlobalAvgPool2d()
        self.fc = nn.Linear(cin, num_classes, rng=rng)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for block in [*self.layer1, *self.layer2, *self.layer3, *self.layer4]:
            x = block(x)
        return self.fc(self.avgpool(x))


def double_conv(cin, cout, rng):
    return nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1, rng=rng), nn.BatchNorm2d(cout), nn.ReLU(),
                         nn.Conv2d(cout, cout, 3, padding=1, rng=rng), nn.GroupNorm(2, cout), nn.LeakyReLU(0.1))


class UNet(nn.Module):
    """Two levels; one step up by transposed convolution, one by resizing; all pools; dropout."""

    def __init__(self, rng=0):
        rng = np.random.default_rng(rng)
        self.down = [double_conv(3, 4, rng), double_conv(4, 8, rng), double_conv(8, 8, rng)]
        self.pools = [nn.MaxPool2d(2), nn.AvgPool2d(2)]
        self.up = [nn.ConvTranspose2d(8, 8, 2, stride=2, rng=rng), nn.Upsample(scale=2)]
        self.merge = [double_conv(16, 8, rng), double_conv(12, 4, rng)]
        self.depthwise = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4, rng=rng)
        self.dropout = nn.Dropout(0.1, rng=rng)
        self.out = nn.Conv2d(4, 2, 1, rng=rng)

    def forward(self, x):
        a = self.down[0](x)
        b = self.down[1](self.pools[0](a))
        c = self.down[2](self.pools[1](b))
        y = self.merge[0](concat(b, self.up[0](c), axis=1))
        y = self.merge[1](concat(a, self.up[1](y), axis=1))
        return self.out(self.dropout(y + self.depthwise(y)))
