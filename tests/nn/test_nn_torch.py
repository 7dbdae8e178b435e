"""Live parity with PyTorch: names, shapes and outputs of every layer that has a counterpart there.

The state of a PyTorch layer is loaded by name, strictly, and the results are compared in float32.
"""

import numpy as np
import pytest

from minicv import nn
from minicv.autograd import Tensor

from . import networks

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

IMAGE = (2, 4, 9, 8)
SEQUENCE = (2, 5, 6)
PAIRS = [
    (lambda: nn.Linear(6, 3), lambda: torch.nn.Linear(6, 3), SEQUENCE),
    (lambda: nn.Conv2d(4, 6, (3, 2), stride=2, padding=1, dilation=(1, 2), groups=2),
     lambda: torch.nn.Conv2d(4, 6, (3, 2), stride=2, padding=1, dilation=(1, 2), groups=2), IMAGE),
    (lambda: nn.Conv2d(4, 4, 3, padding="same", groups=4), lambda: torch.nn.Conv2d(4, 4, 3, padding="same", groups=4),
     IMAGE),
    (lambda: nn.Conv1d(5, 4, 3, stride=2, padding=1), lambda: torch.nn.Conv1d(5, 4, 3, stride=2, padding=1), SEQUENCE),
    (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
     lambda: torch.nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), IMAGE),
    (lambda: nn.BatchNorm2d(4), lambda: torch.nn.BatchNorm2d(4), IMAGE),
    (lambda: nn.BatchNorm2d(4, momentum=None), lambda: torch.nn.BatchNorm2d(4, momentum=None), IMAGE),
    (lambda: nn.BatchNorm1d(5), lambda: torch.nn.BatchNorm1d(5), SEQUENCE),
    (lambda: nn.LayerNorm((5, 6)), lambda: torch.nn.LayerNorm((5, 6)), SEQUENCE),
    (lambda: nn.GroupNorm(2, 4), lambda: torch.nn.GroupNorm(2, 4), IMAGE),
    (lambda: nn.InstanceNorm2d(4, affine=True), lambda: torch.nn.InstanceNorm2d(4, affine=True), IMAGE),
    (lambda: nn.LocalResponseNorm(3, alpha=0.2), lambda: torch.nn.LocalResponseNorm(3, alpha=0.2), IMAGE),
    (lambda: nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
     lambda: torch.nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), IMAGE),
    (lambda: nn.AvgPool2d(2, padding=1, ceil_mode=True),
     lambda: torch.nn.AvgPool2d(2, padding=1, ceil_mode=True), IMAGE),
    (lambda: nn.AdaptiveAvgPool2d((4, 3)), lambda: torch.nn.AdaptiveAvgPool2d((4, 3)), IMAGE),
    (lambda: nn.AdaptiveMaxPool2d((4, 3)), lambda: torch.nn.AdaptiveMaxPool2d((4, 3)), IMAGE),
    (lambda: nn.Upsample(scale=2), lambda: torch.nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE),
    (lambda: nn.Upsample(size=(5, 17), mode="bicubic"), lambda: torch.nn.Upsample(size=(5, 17), mode="bicubic"), IMAGE),
    (lambda: nn.ReLU6(), lambda: torch.nn.ReLU6(), IMAGE), (lambda: nn.PReLU(4), lambda: torch.nn.PReLU(4), IMAGE),
    (lambda: nn.LeakyReLU(0.1), lambda: torch.nn.LeakyReLU(0.1), IMAGE),
    (lambda: nn.ELU(0.5), lambda: torch.nn.ELU(0.5), IMAGE), (lambda: nn.GELU(), lambda: torch.nn.GELU(), IMAGE),
    (lambda: nn.GELU(approximate="tanh"), lambda: torch.nn.GELU(approximate="tanh"), IMAGE),
    (lambda: nn.SiLU(), lambda: torch.nn.SiLU(), IMAGE), (lambda: nn.Hardswish(), lambda: torch.nn.Hardswish(), IMAGE),
    (lambda: nn.Hardsigmoid(), lambda: torch.nn.Hardsigmoid(), IMAGE),
    (lambda: nn.Mish(), lambda: torch.nn.Mish(), IMAGE),
    (lambda: nn.Softmax(1), lambda: torch.nn.Softmax(1), IMAGE),
    (lambda: nn.Flatten(), lambda: torch.nn.Flatten(), IMAGE),
    (lambda: nn.GRUCell(6, 3), lambda: torch.nn.GRUCell(6, 3), (5, 6)),
    (lambda: nn.LSTMCell(6, 3), lambda: torch.nn.LSTMCell(6, 3), (5, 6)),
    (lambda: nn.GRU(6, 3, num_layers=2, bidirectional=True),
     lambda: torch.nn.GRU(6, 3, num_layers=2, bidirectional=True, batch_first=True), SEQUENCE),
    (lambda: nn.LSTM(6, 3, num_layers=2, bidirectional=True),
     lambda: torch.nn.LSTM(6, 3, num_layers=2, bidirectional=True, batch_first=True), SEQUENCE),
]


def flat(y):
    if isinstance(y, (tuple, list)):
        return [a for part in y for a in flat(part)]
    return [y.detach().numpy()]


def randomized(layer):
    """The state of a PyTorch layer with every float moved off its initial value."""
    with torch.no_grad():
        for t in layer.state_dict().values():
            if t.dtype == torch.float32:
                t.add_(0.3 * torch.rand(t.shape))
    return {k: v.numpy().copy() for k, v in layer.state_dict().items()}


@pytest.mark.parametrize("mine, theirs, shape", PAIRS, ids=[f"{i}" for i in range(len(PAIRS))])
def test_the_layer_loads_pytorch_s_state_and_agrees(mine, theirs, shape):
    torch.manual_seed(0)
    a, b = mine(), theirs()
    state = randomized(b)
    assert list(a.state_dict()) == list(state)
    a.load_state_dict(state)
    for step, train in enumerate((True, True, False)):
        a.train(train), b.train(train)
        x = np.random.default_rng(step).standard_normal(shape).astype(np.float32)
        u, v = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        p, q = a(u), b(v)
        for got, expected in zip(flat(p), flat(q), strict=True):
            np.testing.assert_allclose(got, expected, atol=1e-5 * max(np.abs(expected).max(), 1))
        first, other = (y[0] if isinstance(y, tuple) else y for y in (p, q))
        c = np.random.default_rng(9).standard_normal(first.shape).astype(np.float32)
        first.backward(c)
        other.backward(torch.tensor(c))
        np.testing.assert_allclose(u.grad.data, v.grad.numpy(), atol=1e-4 * max(np.abs(v.grad.numpy()).max(), 1))
    for name, t in b.state_dict().items():                      # running statistics after training
        np.testing.assert_allclose(a.state_dict()[name], t.numpy(), atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_multi_head_attention_agrees_up_to_the_meaning_of_the_mask(masked):
    torch.manual_seed(0)
    b = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    a = nn.MultiHeadAttention(8, 2)
    state = randomized(b)
    a.load_state_dict(state)
    assert set(a.state_dict()) == set(state)
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, n, 8)).astype(np.float32) for n in (5, 7, 7))
    mask = (rng.random((5, 7)) < 0.6) | (np.arange(7) == 0) if masked else None
    y, w = a.with_weights(q, k, v, mask=mask)
    hidden = None if mask is None else torch.tensor(~mask)
    expected, weights = b(*map(torch.tensor, (q, k, v)), attn_mask=hidden, average_attn_weights=False)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(w.data, weights.detach().numpy(), atol=1e-6)
    same = a(q).data
    np.testing.assert_allclose(same, b(*[torch.tensor(q)] * 3)[0].detach().numpy(), atol=1e-5)


def test_a_whole_resnet_agrees_in_training_and_evaluation():
    ours = networks.ResNet((8, 8, 16, 16), (1, 1, 1, 1), 5)

    class Block(torch.nn.Module):
        def __init__(self, cin, cout, stride):
            super().__init__()
            self.conv1 = torch.nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
            self.bn1, self.relu = torch.nn.BatchNorm2d(cout), torch.nn.ReLU()
            self.conv2 = torch.nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
            self.bn2 = torch.nn.BatchNorm2d(cout)
            self.downsample = None
            if stride > 1 or cin != cout:
                self.downsample = torch.nn.Sequential(torch.nn.Conv2d(cin, cout, 1, stride, bias=False),
                                                      torch.nn.BatchNorm2d(cout))

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + (x if self.downsample is None else self.downsample(x)))

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = torch.nn.Conv2d(3, 8, 7, 2, 3, bias=False), torch.nn.BatchNorm2d(8)
            self.maxpool = torch.nn.MaxPool2d(3, 2, 1)
            for i, (cin, cout) in enumerate(((8, 8), (8, 8), (8, 16), (16, 16))):
                setattr(self, f"layer{i + 1}", torch.nn.Sequential(Block(cin, cout, 2 if i else 1)))
            self.fc = torch.nn.Linear(16, 5)

        def forward(self, x):
            x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
            return self.fc(self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))
    torch.manual_seed(0)
    theirs = Net()
    ours.load_state_dict(randomized(theirs))
    x = np.random.default_rng(0).standard_normal((4, 3, 64, 64)).astype(np.float32)
    for train in (True, False):
        a, b = ours.train(train)(Tensor(x)).data, theirs.train(train)(torch.tensor(x)).detach().numpy()
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())
