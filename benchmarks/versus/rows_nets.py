"""Whole networks: the same weights on both sides, minicv's initial ones (small random numbers instead of zeros)."""

import numpy as np

from .rows import row
from .sides import Work, normal, rng


def ours(name):
    from minicv import cnn, vit
    net = {"resnet18-cifar": lambda: cnn.build("resnet18", num_classes=10, stem="cifar", rng=0),
           "resnet50": lambda: cnn.build("resnet50", rng=0),
           "mobilenetv2": lambda: cnn.build("mobilenet_v2", rng=0, dropout=0.0),
           "vit-b16": lambda: vit.build("vit_b_16", rng=0)}[name]()
    for p in net.parameters():
        if not p.data.any():                           # such as a last layer that starts at zero: nothing to compare
            p.data = np.float32(0.02) * normal(*p.shape)
    return net


def network(s, name):
    """The network `name` of side `s`."""
    net = ours(name)
    if s.name == "ours":
        return net
    from . import torch_nets
    theirs = torch_nets.build(name)
    state = {key: s.torch.from_numpy(np.array(value)) for key, value in net.state_dict().items()}
    missing = theirs.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and all("num_batches" in key for key in missing.missing_keys), missing
    return theirs.to(memory_format=s.torch.channels_last) if s.channels_last else theirs


def training_step(name, N, size, classes):
    """Forward, cross-entropy, backward and SGD with momentum; so small a step that the weights stay what they are."""
    def make(s):
        net, target = network(s, name), rng().integers(0, classes, N)
        net.train()
        x = s.tensor(normal(N, 3, size, size))
        if s.name == "ours":
            from minicv import optim
        else:
            from torch import optim
            target = s.torch.from_numpy(target)
        parameters = list(net.parameters())
        optimizer = optim.SGD(parameters, lr=1e-9, momentum=0.9, weight_decay=5e-4)

        def run():
            optimizer.zero_grad()
            loss = s.F.cross_entropy(net(x), target)
            loss.backward()
            optimizer.step()
            return loss

        def result():
            return [s.numpy(run()), s.numpy(parameters[-1].grad), s.numpy(parameters[-2].grad)]
        return Work(run, result)
    return make


def inference(name, N, size):
    """One pass in evaluation mode; minicv folds the batch norms into the convolutions first, as a user would."""
    def make(s):
        net = network(s, name)
        net.eval()
        if s.name == "ours" and name == "resnet50":
            from minicv.cnn.fold import fold_batch_norm
            net = fold_batch_norm(net, (N, 3, size, size))
        x = s.tensor(normal(N, 3, size, size))

        def run():
            with s.no_grad():
                return net(x)
        return Work(run, lambda: [s.numpy(run())])
    return make


row("resnet18-cifar-train", "network", training_step("resnet18-cifar", 64, 32, 10), 2e-3)
row("resnet50-infer-n1", "network", inference("resnet50", 1, 224), 1e-3)
row("mobilenetv2-train n8@128", "network", training_step("mobilenetv2", 8, 128, 1000), 2e-2)
row("vit-b16-infer-n1", "network", inference("vit-b16", 1, 224), 1e-3)
row("vit-b16-train n2", "network", training_step("vit-b16", 2, 224, 1000), 2e-3)
