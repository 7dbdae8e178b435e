"""Section 2.7: a network that designs networks, and the family that came out of it."""

import functools

import numpy as np

from ... import cnn, nn
from ...autograd import grad
from ...cnn import efficientnet
from ...cnn.efficientnet import EfficientNet, Row
from ...cnn.nas import Controller, SearchSpace, cost_reward, policy_loss, search
from ...cnn.resnet_cifar import CifarResNet
from ...cnn.squeeze import round_channels
from ...errors import ArgError
from ...metrics import accuracy
from ...optim import Adam
from ...train.progress import silent
from .. import Report, Target, experiment
from ..classify import learn, scores, shapes
from ..parts import exact, refused
from . import _scaled as draw
from ._errata import departures

NOTEBOOK = "notebooks/24_scaling_and_design.py"

# A controller -------------------------------------------------------------------------------------------------------

SPACE = {"width": (8, 16, 24), "expansion": (1, 2, 4), "kernel": (3, 5, 7), "blocks": (1, 2, 3)}        # 3^4 networks


@experiment(
    "nas-rl", title="Architecture search with a controller", chapter="2.7", notebook=NOTEBOOK, tour=4,
    module="minicv/cnn/nas.py", paper="Zoph & Le 2017, Neural Architecture Search with Reinforcement Learning",
    equations="grad J = E[sum_t grad log p(a_t | a_<t) (R - b)]",
    shows="A recurrent network writes architectures and learns from their rewards alone which ones are good.",
    departures=departures("E2.16") + " The rewards of all 81 networks come from a table: drawn at random, in the long "
               "form the accuracies of trained networks.",
    targets=[Target("mean_reward_over_percentile_90", ">", 0), Target("cosine_with_enumeration", ">", 0.99)]
    + exact({"architectures": 81, "sum_of_probabilities": (1, 1e-5), "reward_of_twice_the_cost": (0.9526, 5e-5),
             "refused": 4}))
def controller_search(preset, rng, out, progress, *, lr=0.02, batch=10):
    space = SearchSpace(SPACE)
    table = _accuracies(space, rng, progress) if preset == "full" else _random_table(space, rng)
    reward = lambda architecture: table[space.index(_tokens(space, architecture))]
    controller, every = Controller(space, rng=rng), space.tokens()
    chance = np.exp(controller.log_prob(every).data)
    cosine = _against_enumeration(controller, table, 200 if preset == "smoke" else 10_000, rng)
    record = search(controller, reward, Adam(controller.parameters(), lr=lr), batch=batch, rng=rng,
                    episodes=20 if preset == "smoke" else 300, progress=progress)
    learned = np.exp(controller.log_prob(every).data.astype(np.float64))
    metrics = {
        "architectures": len(space), "sum_of_probabilities": chance.sum(), "cosine_with_enumeration": cosine,
        "mean_reward_before": chance @ table, "mean_reward_after": learned @ table,
        "percentile_90": np.percentile(table, 90), "best_reward": table.max(),
        "mean_reward_over_percentile_90": learned @ table - np.percentile(table, 90),
        "rank_of_the_likeliest": (table > table[learned.argmax()]).sum() + 1,
        "reward_of_twice_the_cost": cost_reward(1.0, 2e6, target=1e6), "refused": _refused(controller)}
    top = [space.decode(every[k]) | {"probability": learned[k], "reward": table[k],
                                     "rank": int((table > table[k]).sum()) + 1} for k in np.argsort(-learned)[:5]]
    return Report(metrics, {
        "The loop of the search": draw.search_loop,
        "Rewards during the search": lambda: draw.rewards(record, table),
        "Probabilities before and after": lambda: draw.probabilities(table, chance, learned)},
        {"The likeliest architectures": top})


def _tokens(space, architecture):
    return [options.index(architecture[name]) for name, options in space.choices.items()]


def _random_table(space, rng):
    """Rewards in [0.5, 0.9] to which single tokens and neighbouring pairs contribute."""
    tokens, alone, pairs = space.tokens(), rng.random((4, 3)), rng.random((3, 3, 3))
    total = alone[range(4), tokens].sum(axis=1) + pairs[range(3), tokens[:, :-1], tokens[:, 1:]].sum(axis=1)
    return 0.5 + 0.4 * (total - total.min()) / np.ptp(total)


def _accuracies(space, rng, progress):
    """Accuracies of all networks of the space after a short training."""
    (train, test), found = shapes("full", rng, count=2000, held=1000), []
    for row in progress(space.tokens(), desc="children"):
        a = space.decode(row)
        rows = (Row(3, 1, 1, 8, 1), Row(a["kernel"], 2, a["expansion"], a["width"], a["blocks"]))
        net = EfficientNet(num_classes=10, rows=rows, dropout=0, drop_path=0, rng=rng)
        learn(net, train, epochs=3, rng=rng, progress=silent, optimizer="adam", lr=5e-3)
        found.append(accuracy(scores(net, test["image"]), test["label"]))
    return np.array(found)


def _against_enumeration(controller, table, n, rng):
    """Cosine between the policy gradient of n samples and that of the sum over all architectures."""
    from ...functional import exp

    space, parameters = controller.space, list(controller.parameters())
    expected = (exp(controller.log_prob(space.tokens())) * table.astype(np.float32)).sum()
    exact_gradient = _flat(grad(-expected, parameters))
    tokens, log_prob = controller.sample(n, rng=rng)
    rewards = table[np.ravel_multi_index(tuple(tokens.T), space.sizes)]
    sampled = _flat(grad(policy_loss(log_prob, rewards, table.mean()), parameters))
    return sampled @ exact_gradient / np.linalg.norm(sampled) / np.linalg.norm(exact_gradient)


def _flat(gradients):
    return np.concatenate([g.data.ravel() for g in gradients]).astype(np.float64)


def _refused(controller):
    run = functools.partial(search, controller, optimizer=Adam(controller.parameters(), lr=0.01), episodes=1, rng=0)
    return refused(ArgError, lambda: SearchSpace({}), lambda: SearchSpace({"width": ()}),
                   lambda: run(lambda architecture: np.nan), lambda: run(lambda architecture: np.inf))


# EfficientNet -------------------------------------------------------------------------------------------------------

PARAMETERS = (5_288_548, 7_794_184, 9_109_994, 12_233_232, 19_341_616, 30_389_784, 43_040_704, 66_347_960)
GMACS = (0.39, 0.70, 1.0, 1.8, 4.2, 9.9, 19, 37)                                        # as printed in the paper
ROWS = tuple(Row(*row) for row in ((3, 1, 1, 16, 1), (3, 2, 4, 24, 2), (3, 2, 4, 40, 2)))


@experiment(
    "efficientnet", title="EfficientNet", chapter="2.7", notebook=NOTEBOOK, module="minicv/cnn/efficientnet.py",
    paper="Tan & Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    equations="table 1; swish(x) = x sigmoid(x); gates of a quarter of the channels of the block's input",
    shows="Depthwise convolutions with gates, in a table found by search, made larger by rule: few operations, much "
          "accuracy.",
    departures=departures("E2.15") + " The printed costs are rounded, so they are met to 5 %.",
    targets=exact({**{f"parameters_b{i}": value for i, value in enumerate(PARAMETERS)},
                   **{f"gmac_b{i}": (value, 0.05 * value) for i, value in enumerate(GMACS)},
                   "count_off_network": 0, "refused": 2}) + [Target("accuracy", ">=", 0.88)])
def efficient(preset, rng, out, progress):
    names = list(efficientnet.VARIANTS)
    counts = [_count(efficientnet.VARIANTS[name]) for name in names]
    built = names[:{"smoke": 1, "fast": 4, "full": 8}[preset]]
    off = [abs(sum(p.size for p in cnn.build(name, rng=0).parameters()) - n)
           for name, (n, _) in zip(progress(built, desc="networks"), counts, strict=False)]
    tiny = EfficientNet(num_classes=10, rows=ROWS, dropout=0, drop_path=0, rng=0)
    off.append(abs(nn.cost(tiny, (1, 3, 32, 32)).macs - _count(side=32, rows=ROWS, classes=10)[1]))
    points = _scatter(preset, rng, progress)
    metrics = {
        **{f"parameters_b{i}": n for i, (n, _) in enumerate(counts)},
        **{f"gmac_b{i}": macs / 1e9 for i, (_, macs) in enumerate(counts)},
        "count_off_network": sum(off), "accuracy": points["EfficientNet"][-1][1],
        "refused": refused(ArgError, lambda: cnn.build("efficientnet_b8"), lambda: EfficientNet(width=0))}
    rows = [{"network": name, "million MACs": macs / 1e6, "accuracy": found}
            for name, line in points.items() for macs, found in line]
    return Report(metrics, {
        "EfficientNet-B0": draw.b0,
        "Parameters and multiply-adds of B0 to B7": lambda: draw.family(counts),
        "Accuracy against multiply-adds": lambda: draw.over_cost(points)}, {"Small networks": rows})


def _count(spec=efficientnet.VARIANTS["efficientnet_b0"], *, side=None, rows=efficientnet.B0, classes=1000):
    """(parameters, multiply-adds) of an EfficientNet from its table alone."""
    n, C, last = -(-(side or spec.resolution) // 2), round_channels(32 * spec.width), round_channels(1280 * spec.width)
    parameters, macs = 29 * C, 27 * C * n * n
    for row in efficientnet.scaled(rows, spec.width, spec.depth):
        for k in range(row.blocks):
            m, wide, O = n if k else -(-n // row.stride), C * row.t, row.channels
            gate, expand = max(1, C // 4), row.t != 1
            parameters += expand * (C + 2) * wide + (row.size ** 2 + 2) * wide + (2 * wide + 1) * gate + wide
            parameters += (wide + 2) * O
            macs += expand * C * wide * n * n + (row.size ** 2 + O) * wide * m * m + 2 * wide * gate
            n, C = m, O
    return parameters + (C + 2) * last + (last + 1) * classes, macs + C * last * n * n + last * classes


def _scatter(preset, rng, progress):
    """{family: [(multiply-adds, accuracy), ...]} of small networks after equally short trainings."""
    train, test = shapes(preset, rng)
    make = [("EfficientNet", w, lambda w=w: EfficientNet(w, 1.0, num_classes=10, rows=ROWS, dropout=0, drop_path=0,
                                                         rng=rng)) for w in (0.5, 1.0)]
    make += [("ResNet", w, lambda w=w: CifarResNet(8, width=w, rng=rng)) for w in (4, 8)]
    points = {"EfficientNet": [], "ResNet": []}
    for family, _, network in progress(make, desc="networks"):
        net = network()
        learn(net, train, epochs=1 if preset == "smoke" else 3, rng=rng, progress=silent, optimizer="adam", lr=5e-3)
        points[family].append((nn.cost(net, (1, 3, 32, 32)).macs, accuracy(scores(net, test["image"]), test["label"])))
    return points
