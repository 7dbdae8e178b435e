"""Everything between the convolutions: normalisation, activations, losses, pooling, attention, optimizers, autograd."""

import numpy as np

from .rows import row
from .sides import Work, inference, normal, rng, training


def mine(s):
    return s.name == "ours"


def simple(name, group, forward, *shapes, tolerance=1e-5, passes=("f", "f+b")):
    """Rows of ``forward(s, *tensors)`` on normal inputs: forward, and forward and backward."""
    size = 4 * sum(int(np.prod(n)) for n in shapes)
    for kind in passes:
        def make(s, train=kind == "f+b"):
            inputs = [s.tensor(normal(*shape, seed=i), grad=train) for i, shape in enumerate(shapes)]
            work = training if train else inference
            return work(s, lambda *t: forward(s, *t), inputs, bytes=size * (2 + 3 * train))
        row(f"{name} {kind}", group, make, tolerance)


# Linear and normalisation ------------------------------------------------------------------------------


def linear(s, x, w, b):
    if mine(s):
        from minicv.nn.linear import affine
        return affine(x, w, b)
    return s.F.linear(x, w, b)


simple("linear 1576x768-3072", "linear", linear, (1576, 768), (3072, 768), (3072,), tolerance=3e-5)


def batch_norm(relu=False, residual=False):
    def forward(s, x, w, b, r=None):
        if mine(s):
            extra = {"residual": r} if residual else {}
            return s.F.batch_norm(x, w, b, training=True, activation="relu" if relu else None, **extra).y
        y = s.F.batch_norm(x, None, None, w, b, training=True)
        y = y if r is None else y + r
        return s.F.relu(y) if relu else y
    return forward


IMAGE = (64, 64, 32, 32)
simple("batchnorm train 64x64@32", "normalisation", batch_norm(), IMAGE, (64,), (64,), tolerance=1e-4)
simple("batchnorm+relu train 64x64@32", "normalisation", batch_norm(True), IMAGE, (64,), (64,), tolerance=1e-4)
simple("batchnorm+add+relu train 64x64@32", "normalisation", batch_norm(True, True), IMAGE, (64,), (64,), IMAGE,
       tolerance=1e-4)


def layer_norm(s, x, w, b):
    return s.F.layer_norm(x, w, b) if mine(s) else s.F.layer_norm(x, (x.shape[-1],), w, b)


simple("layernorm 1576x768", "normalisation", layer_norm, (1576, 768), (768,), (768,), tolerance=1e-4)

# Element-wise and losses -------------------------------------------------------------------------------

FLAT = (64, 65536)
for op in ("relu", "gelu", "silu", "sigmoid", "tanh"):
    def apply(s, x, op=op):
        return getattr(s.F if mine(s) or op not in ("sigmoid", "tanh") else s.torch, op)(x)
    simple(f"{op} 16.8 MB", "element-wise", apply, FLAT)
simple("exp 16.8 MB", "element-wise", lambda s, x: s.F.exp(x) if mine(s) else x.exp(), FLAT, passes=("f",))
simple("add+relu 16.8 MB", "element-wise", lambda s, x, r: s.F.relu(x + r), FLAT, FLAT)


def softmax(s, x):
    return s.F.softmax(x, axis=-1) if mine(s) else s.F.softmax(x, -1)


simple("softmax 18912x197", "element-wise", softmax, (18912, 197))


def cross_entropy(N, K):
    def make(s):
        target = rng().integers(0, K, N)
        x = s.tensor(normal(N, K), grad=True)
        target = target if mine(s) else s.torch.from_numpy(target)

        def run():
            x.grad = None
            loss = s.F.cross_entropy(x, target)
            loss.backward()
            return loss
        return Work(run, lambda: [s.numpy(run()), s.numpy(x.grad)])
    row(f"cross-entropy {N}x{K} f+b", "element-wise", make)


for rows_, classes in ((64, 1000), (8192, 1000), (64, 10)):
    cross_entropy(rows_, classes)


def dropout(s):
    x = s.tensor(normal(*FLAT), grad=True)
    g = s.tensor(normal(*FLAT, seed=1))
    generator = rng()

    def run():
        x.grad = None
        y = s.F.dropout(x, p=0.1, rng=generator) if mine(s) else s.F.dropout(x, 0.1)
        s.backward(y, g)
        return y

    def result():
        kept = np.mean(s.numpy(run()) != 0)
        return [np.round([kept], 2)]                  # the random numbers differ, the share kept does not
    return Work(run, result)


row("dropout 16.8 MB f+b", "element-wise", dropout, 1e-6)

# Pooling and resampling --------------------------------------------------------------------------------


def max_pool(s, x):
    return s.F.max_pool2d(x, size=3, stride=2, padding=1) if mine(s) else s.F.max_pool2d(x, 3, 2, 1)


def avg_pool(s, x):
    return s.F.avg_pool2d(x, size=2) if mine(s) else s.F.avg_pool2d(x, 2)


def bilinear(s, x):
    if mine(s):
        return s.F.resize(x, scale=2)
    return s.F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


simple("max-pool 3x3s2 8x64@112", "pooling", max_pool, (8, 64, 112, 112))
simple("avg-pool 2x2 8x64@112", "pooling", avg_pool, (8, 64, 112, 112))
simple("bilinear x2 8x64@56", "pooling", bilinear, (8, 64, 56, 56))


def grid_sample(s):
    x = s.tensor(normal(8, 64, 56, 56), grad=True)
    grid = s.tensor(rng().uniform(-1.1, 1.1, (8, 56, 56, 2)).astype(np.float32))
    if not mine(s):
        grid = grid.contiguous()
        return training(s, lambda x: s.F.grid_sample(x, grid, align_corners=False), (x,))
    return training(s, lambda x: s.F.grid_sample(x, grid), (x,))


row("grid-sample 8x64@56 f+b", "pooling", grid_sample)

# Attention ---------------------------------------------------------------------------------------------


def attention(s, q, k, v):
    return s.F.scaled_dot_product_attention(q, k, v)


for batch in (1, 8):
    def heads(s, train, batch=batch):
        shape = (batch, 12, 197, 64)
        q, k, v = (s.autograd.Tensor(normal(*shape, seed=i), requires_grad=train) if mine(s) else
                   s.torch.from_numpy(normal(*shape, seed=i)).requires_grad_(train) for i in range(3))
        flops = 4 * batch * 12 * 197**2 * 64 * (1 + 2.5 * train)
        return (training if train else inference)(s, lambda *t: attention(s, *t), (q, k, v), flops=flops)
    row(f"attention 12x197x64 n{batch} f", "attention", lambda s, f=heads: f(s, False), 2e-5)
    row(f"attention 12x197x64 n{batch} f+b", "attention", lambda s, f=heads: f(s, True), 5e-5)

# Autograd and optimizers -------------------------------------------------------------------------------


def chain(create_graph):
    def make(s):
        a, b, c = (s.tensor(rng().random((4, 4), np.float32), grad=True) for _ in range(3))
        grad = s.autograd.grad if mine(s) else s.torch.autograd.grad

        def run():
            y = a
            for _ in range(500):
                y = y * b + c
            return grad(y.sum(), [a, b, c], create_graph=create_graph)
        return Work(run, lambda: [s.numpy(t) for t in run()])
    return make


row("autograd 1000 ops on 4x4 f+b", "autograd", chain(False))
row("autograd 1000 ops on 4x4 create_graph", "autograd", chain(True))


def optimizer(name, **settings):
    """One step on the parameters of a ResNet-18."""
    shapes = [(64, 3, 3, 3)]
    for width, before in ((64, 64), (128, 64), (256, 128), (512, 256)):
        shapes += [(width, before, 3, 3), *[(width, width, 3, 3)] * 3, *[(width,)] * 8]
    shapes.append((10, 512))

    def build(s):
        if mine(s):
            from minicv import optim
            from minicv.nn import Parameter
            parameters = [s.filter(normal(*n)) if len(n) == 4 else Parameter(normal(*n)) for n in shapes]
        else:
            from torch import optim
            parameters = [s.tensor(normal(*n), grad=True) for n in shapes]
        for p in parameters:                           # gradients lie in memory as training makes them
            p.requires_grad = True
            g = normal(*p.shape, seed=1) * np.float32(0.1)
            p.grad = s.filter(g).detach() if g.ndim == 4 else s.tensor(g)
        return parameters, getattr(optim, name)(parameters, **settings).step

    def make(s):
        def result():
            parameters, step = build(s)                # a first and a second step, whatever was timed before
            step(), step()
            return [s.numpy(p) for p in parameters]
        return Work(build(s)[1], result, bytes=16 * sum(int(np.prod(n)) for n in shapes))
    row(f"{name.lower()}{' momentum' if 'momentum' in settings else ''} step, 11 M parameters", "optimizer", make)


optimizer("SGD", lr=1e-3)
optimizer("SGD", lr=1e-3, momentum=0.9, weight_decay=5e-4)
optimizer("AdamW", lr=1e-3, weight_decay=0.01)
