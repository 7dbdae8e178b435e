"""Section 2.8: families of networks instead of single ones, and the family that a straight line makes."""

import functools

import numpy as np

from ...cnn import anynet, design_space, efficientnet, regnet
from ...cnn.anynet import AnyNet, Stage
from ...cnn.survey import survey
from ...errors import ArgError
from ...kernels import deterministic
from ...metrics import accuracy
from ...train.progress import silent
from .. import Report, Target, experiment
from ..classify import learn, scores, shapes
from ..parts import exact, refused
from . import _spaces as draw
from ._errata import departures

NOTEBOOK = "notebooks/24_scaling_and_design.py"
PAPER = "Radosavovic et al. 2020, Designing Network Design Spaces"

# Design spaces ------------------------------------------------------------------------------------------------------

TINY = design_space.Limits(stages=3, depth=3, width=64, ratios=(1, 2), groups=(4, 8, 16))
NETWORK = dict(stem=16, num_classes=4)
CLASSES = ("cross", "ring", "h-bars", "checker")
SURVEY = {"smoke": (2, 64, 1), "fast": (12, 600, 5), "full": (500, 4000, 10)}   # networks, pictures, epochs


@functools.cache
def _pictures(preset, seed):
    """Training and test pictures of four of the classes, the same in every process."""
    rng = np.random.default_rng([seed, 1])
    return shapes(preset, rng, count=SURVEY[preset][1], held=64 if preset == "smoke" else 500, classes=CLASSES)


def error_of(preset, seed, stages, i):
    """Error on the test pictures of network i after a short training; for workers of any kind."""
    rng, (train, test) = np.random.default_rng([seed, 2, i]), _pictures(preset, seed)
    with deterministic():
        net = AnyNet(stages, rng=rng, **NETWORK)
        learn(net, train, epochs=SURVEY[preset][2], rng=rng, progress=silent, lr=0.1, batch=32)
        return 1 - accuracy(scores(net, test["image"]), test["label"])


@experiment(
    "design-space", title="Distributions of errors", chapter="2.8", notebook=NOTEBOOK, paper=PAPER,
    module="minicv/cnn/design_space.py", equations="1: F(e) = #{e_i < e} / n",
    shows="Networks drawn from a space tell how good it is. A survey runs on any executor and goes on after a stop.",
    departures="Spaces of three stages, 4 classes, equal multiply-adds within a factor of two. Training of seconds "
               "leaves every network far from its best error.",
    targets=exact({"edf_at_0_2": 0.25, "edf_at_0_25": 0.75, "edf_at_1": 1, "edf_at_minus_infinity": 0,
                   "edf_at_infinity": 1, "falls_of_the_edf": 0, "known_shift": (0.05, 1e-9),
                   "known_shift_interval_has_0": 0, "refused": 5}))
def spaces_of_networks(preset, rng, out, progress, *, n=0, spaces=("A", "E"), resume=False, executor=None):
    n, seed = n or SURVEY[preset][0], int(rng.integers(2**31))
    networks = {space: design_space.population(space, n, TINY, between=(4e5, 8e5), rng=[seed, 0], side=32, **NETWORK)
                for space in spaces}
    errors = {}
    for space in progress(spaces, desc="spaces"):
        path = out / f"{preset}-{space}.jsonl" if out else None
        if path and not resume:
            path.unlink(missing_ok=True)
        score = functools.partial(error_of, preset, seed)
        errors[space] = survey(networks[space], score, path, executor=executor)
    depths = {space: np.array([sum(s.depth for s in stages) for stages in networks[space]]) for space in spaces}
    first, last = spaces[0], spaces[-1]
    low, gain, high = design_space.advantage(errors[last], errors[first], rng=rng)
    metrics = _known(rng) | {"advantage": gain, "advantage_low": low, "advantage_high": high}
    return Report(metrics, {
        "Figure 2.9. Distribution of errors": lambda: draw.distributions(errors),
        "Errors and the depth of the best networks": lambda: draw.depths(depths, errors)},
        {"Errors of each space": [_space_row(space, errors[space], depths[space], rng) for space in spaces]})


def _space_row(space, errors, depths, rng):
    low, middle, high = design_space.bootstrap_best(depths, errors, times=2000, rng=rng)
    return {"space": space, "networks": len(errors), "least error": errors.min(), "median": np.median(errors),
            "mean": errors.mean(), "depth of the best": f"{low:.0f} to {high:.0f}"}


def _known(rng):
    """What is known without training: B2.9, the shape of F, two spaces with a shift between them."""
    edf, errors = design_space.edf, rng.uniform(0.2, 0.6, 300)
    curve = edf(errors, np.linspace(-0.1, 1.1, 400))
    low, shift, high = design_space.advantage(errors, errors + 0.05, rng=rng)
    example = [0.1, 0.2, 0.2, 0.4]
    return {
        "edf_at_0_2": edf(example, 0.2), "edf_at_0_25": edf(example, 0.25), "edf_at_1": edf(example, 1),
        "edf_at_minus_infinity": edf(errors, -np.inf), "edf_at_infinity": edf(errors, np.inf),
        "falls_of_the_edf": (np.diff(curve) < 0).sum(), "known_shift": shift,
        "known_shift_interval_has_0": low <= 0 <= high,
        "refused": refused(ArgError, lambda: design_space.population("A", 0, TINY), lambda: edf([], 0.5),
                           *[functools.partial(edf, [0.1, bad], 0.5) for bad in (-0.1, 1.1, np.nan)])}


# AnyNet -------------------------------------------------------------------------------------------------------------


@experiment(
    "anynet", title="AnyNet: sixteen degrees of freedom", chapter="2.8", notebook=NOTEBOOK, paper=PAPER,
    module="minicv/cnn/anynet.py", equations="d_i <= 16, w_i <= 1024, b_i in {1, 2, 4}, g_i in {1, ..., 32}",
    shows="Sharing ratios and groups and ordering widths and depths narrows 10^18 networks to simple ones.",
    departures=departures("E2.17", "E2.18"),
    targets=exact({**{f"violations_of_{space}": 0 for space in "ABCDE"}, "degrees_of_freedom": 16,
                   "log10_of_all_networks": (18.27, 0.005), "groups_of_width_8_in_32_channels": 4,
                   "adjusted_width": 24, "refused": 2}))
def any_networks(preset, rng, out, progress):
    n = {"smoke": 20, "fast": 300, "full": 3000}[preset]
    drawn = {space: design_space.population(space, n, rng=rng) for space in progress("ABCDE", desc="spaces")}
    net = AnyNet([Stage(1, 32, 8), Stage(1, 64, 16)], stem=8, num_classes=10, rng=rng)
    conv = net.trunk_output[0][0].f.b[0]
    misfit = Stage(1, 20, 8)                                # 20 channels are no whole number of groups of 8
    metrics = {
        **{f"violations_of_{space}": sum(_violations(s, space) for s in drawn[space]) for space in drawn},
        "degrees_of_freedom": 4 * len(Stage._fields), "log10_of_all_networks": np.log10((16 * 128 * 3 * 6.0) ** 4),
        "groups_of_width_8_in_32_channels": conv.groups, "adjusted_width": anynet.fit_groups(misfit).width,
        "refused": refused(ArgError, lambda: AnyNet([misfit], rng=0), lambda: AnyNet([Stage(1, 32, 0)], rng=0))}
    inner = [{"draws from": a, **{f"in {b}": np.mean([anynet.belongs(s, b) for s in drawn[a]]) for b in "ABCDE"}}
             for a in "ABCDE"]
    rule = design_space.population("regnet", 6, between=(3e8, 5e8), rng=rng)
    shown = {f"AnyNet {s}": design_space.population(s, 6, between=(3e8, 5e8), rng=rng) for s in "AE"} | {"RegNet": rule}
    return Report(metrics, {"Widths of the blocks of six networks of each space": lambda: draw.widths(shown)},
                  {"Share of draws that belong to the next spaces": inner})


def _violations(stages, space):
    """Conditions of a space that a network breaks, written out once more."""
    d, w, g, b = (np.array(column) for column in zip(*stages, strict=True))
    broken = [len(stages) != 4, (d < 1).any() or (d > 16).any(), (w > 1024).any() or (w % 8).any(),
              not set(b) <= {1, 2, 4}, (g > 32).any() or (w / b % g).any()]
    conditions = {"B": (b != b[0]).any(), "C": (g != g[0]).any(), "D": (np.diff(w) < 0).any(),
                  "E": (np.diff(d) < 0).any()}
    return sum(broken) + sum(conditions[name] for name in "BCDE" if name <= space)


# RegNet -------------------------------------------------------------------------------------------------------------

PUBLISHED = {                   # the authors' code: widths and depths of the stages
    "regnet_x_200mf": ((24, 56, 152, 368), (1, 1, 4, 7)), "regnet_x_400mf_paper": ((32, 64, 160, 384), (1, 2, 7, 12)),
    "regnet_x_800mf": ((64, 128, 288, 672), (1, 3, 7, 5)), "regnet_x_1_6gf": ((72, 168, 408, 912), (2, 4, 10, 2)),
    "regnet_x_3_2gf": ((96, 192, 432, 1008), (2, 6, 15, 2)), "regnet_x_8gf": ((80, 240, 720, 1920), (2, 5, 15, 1)),
    "regnet_x_16gf": ((256, 512, 896, 2048), (2, 6, 13, 1)), "regnet_x_32gf": ((336, 672, 1344, 2520), (2, 7, 13, 1))}
PARAMETERS = {                  # timm (the first) and torchvision
    "x_200mf": 2_684_792, "x_400mf": 5_495_976, "x_1_6gf": 9_190_136, "x_3_2gf": 15_296_552, "x_8gf": 39_572_648,
    "x_16gf": 54_278_536, "x_32gf": 107_811_560, "y_400mf": 4_344_144, "y_3_2gf": 19_436_338, "y_16gf": 83_590_140}
SMALL = regnet.Spec(4, 48, 24.0, 1.8, 16, 0.25)             # stages of 48, 96 and 160 channels
ROWS = tuple(efficientnet.Row(*row) for row in ((3, 1, 1, 16, 1), (3, 2, 4, 24, 2), (3, 2, 4, 40, 2)))


@experiment(
    "regnet", title="RegNet", chapter="2.8", notebook=NOTEBOOK, paper=PAPER, module="minicv/cnn/regnet.py",
    equations="2-4: u_j = w0 + wa j, s_j = round(log_wm(u_j / w0)), w_j = w0 wm^s_j", tour=5,
    shows="Six numbers make four stages. Which of two networks is better depends on who chose the learning rate.",
    departures=departures("E2.18"),
    targets=exact({"published_stages_missed": 0, "gmac_x_200mf": (0.199, 5e-4), "refused": 4,
                   "degrees_of_freedom": 6, **{f"parameters_{name}": value for name, value in PARAMETERS.items()}})
    + [Target("accuracy", ">=", 0.92)])
def from_a_line(preset, rng, out, progress):
    train, test = shapes(preset, rng)
    net = _small_regnet(rng)
    learn(net, train, epochs=1 if preset == "smoke" else 6, rng=rng, progress=progress, lr=0.1, batch=32)
    metrics = {
        "accuracy": accuracy(scores(net, test["image"]), test["label"]),
        "published_stages_missed": sum(_stages(name) != found for name, found in PUBLISHED.items()),
        "gmac_x_200mf": design_space.macs(regnet.stages(regnet.VARIANTS["regnet_x_200mf"])) / 1e9,
        "degrees_of_freedom": len({"d", "w0", "wa", "wm", "b", "g"} & set(regnet.Spec._fields)),
        "refused": refused(ArgError, lambda: regnet.widths(13, 24, 36.0, 1.0), lambda: regnet.widths(13, 20, 36.0, 2.5),
                           lambda: regnet.widths(13, 24, -1.0, 2.5), lambda: regnet.regnet(SMALL, rng=0)),
        **{f"parameters_{name}": _parameters(name, preset) for name in progress(PARAMETERS, desc="networks")}}
    rates = _rates(preset, rng, train, test, progress)
    rows = [{"network": name, **{f"lr {lr:g}": value for lr, value in found.items()}, "best": max(found.values())}
            for name, found in rates.items()]
    metrics["winner_changes_with_the_rate"] = len({max(rates, key=lambda name: rates[name][lr])
                                                   for lr in rates["RegNet"]}) > 1
    return Report(metrics, {
        "RegNetX-200MF: stem, body of four stages, head": lambda: draw.structure(regnet.VARIANTS["regnet_x_200mf"]),
        "From a line to stages": lambda: draw.rule(regnet.VARIANTS["regnet_x_200mf"]),
        "Accuracy of two networks against the learning rate": lambda: draw.rates(rates)},
        {"Accuracy after the same short training": rows})


def _stages(name):
    stages = regnet.stages(regnet.VARIANTS[name])
    return tuple(s.width for s in stages), tuple(s.depth for s in stages)


def _parameters(name, preset):
    """Parameters of a network of paper size: built, or counted block by block where building takes long."""
    spec = regnet.VARIANTS[f"regnet_{name}"]
    counted = _count(regnet.stages(spec), spec.se)
    if counted > {"smoke": 0, "fast": 2e7, "full": np.inf}[preset]:
        return counted
    return sum(p.size for p in regnet.regnet(spec, rng=0).parameters())


def _count(stages, se, C=32):
    """Weights of stem, blocks and head; each norm has two numbers a channel."""
    total = 27 * C + 2 * C
    for s in stages:
        for k in range(s.depth):
            v, gate = s.inner, max(1, round(se * C)) if se else 0
            total += C * v + 9 * v * s.group_width + v * s.width + 4 * v + 2 * s.width
            total += (2 * v * gate + v + gate if se else 0) + (0 if k else (C + 2) * s.width)
            C = s.width
    return total + 1000 * (C + 1)


def _small_regnet(rng):
    return regnet.regnet(SMALL, four=False, num_classes=10, stem=24, stem_stride=1, rng=rng)


def _rates(preset, rng, train, test, progress):
    """{network: {lr: accuracy}}: two families, each with every learning rate."""
    few = {name: values[:{"smoke": 64, "fast": 1500}.get(preset)] for name, values in train.items()}
    make = {"RegNet": _small_regnet,
            "EfficientNet": lambda rng: efficientnet.EfficientNet(1, 1, num_classes=10, rows=ROWS, dropout=0,
                                                                  drop_path=0, rng=rng)}
    found = {name: {} for name in make}
    for name, lr in progress([(name, lr) for name in make for lr in (0.01, 0.05, 0.2)], desc="rates"):
        net = make[name](rng)
        learn(net, few, epochs=1 if preset == "smoke" else 3, rng=rng, progress=silent, lr=lr)
        found[name][lr] = accuracy(scores(net, test["image"]), test["label"])
    return found
