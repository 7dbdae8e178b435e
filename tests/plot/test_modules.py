"""Drawings of networks: what is proved here.

The recorded flow says what feeds what (checked by hand on known blocks); boxes of a frame never overlap and lie inside
it; no line runs through a box that it does not belong to; both drawings show the same boxes; the SVG is well-formed,
self-contained and the same each time; numbers are those of `cost`.
"""

import itertools
import xml.etree.ElementTree as ET

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from matplotlib.patches import PathPatch  # noqa: E402

from minicv import cnn, nn  # noqa: E402
from minicv.autograd.shape import concat  # noqa: E402
from minicv.cnn.inception import ROWS, Inception  # noqa: E402
from minicv.cnn.inception_v4 import BlockC  # noqa: E402
from minicv.cnn.mobilenet import InvertedResidual  # noqa: E402
from minicv.cnn.resnet import BasicBlock, Bottleneck  # noqa: E402
from minicv.cnn.senet import SEBottleneck  # noqa: E402
from minicv.errors import ArgError  # noqa: E402
from minicv.nn.flow import flow  # noqa: E402
from minicv.plot import module_svg, plot_modules  # noqa: E402
from minicv.plot.diagram import diagram, route  # noqa: E402
from minicv.vit.encoder import Encoder, EncoderLayer  # noqa: E402
from minicv.vit.vit import ViT  # noqa: E402


class Pyramid(nn.Module):
    """A ladder that is neither series nor parallel: a top-down path over three maps."""

    def __init__(self):
        self.down = [nn.Conv2d(3, 3, 3, stride=2, padding=1, rng=0) for _ in range(3)]
        self.up = nn.Upsample(scale=2)

    def forward(self, x):
        """Three maps, finest first."""
        a = self.down[0](x)
        b = self.down[1](a)
        c = self.down[2](b)
        b = b + self.up(c)
        return {"a": a + self.up(b), "b": b, "c": c}


MODULES = {
    "basic": (lambda: BasicBlock(8, 16, stride=2, rng=0), (1, 8, 8, 8)),
    "bottleneck": (lambda: Bottleneck(16, 4, rng=0), (1, 16, 8, 8)),
    "se": (lambda: SEBottleneck(64, 16, rng=0), (1, 64, 4, 4)),
    "inverted": (lambda: InvertedResidual(8, 8, rng=0), (1, 8, 8, 8)),
    "inception": (lambda: Inception(192, ROWS["3a"], rng=0), (1, 192, 4, 4)),
    "inception_c": (lambda: BlockC(1536, rng=0), (1, 1536, 3, 3)),
    "resnet": (lambda: cnn.build("resnet18", num_classes=5, widths=(8, 8, 8, 8), rng=0), (1, 3, 32, 32)),
    "encoder": (lambda: Encoder(3, 8, 2, rng=0), (1, 5, 8)),
    "vit": (lambda: ViT(8, 16, 4, 2, image_size=16, num_classes=3, rng=0), (1, 3, 16, 16)),
    "pyramid": (Pyramid, (1, 3, 16, 16)),
    "leaf": (lambda: nn.Linear(3, 4), (1, 3)),
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def edges(step):
    """(source, step) by name or kind, "in" and "out" for the ends."""
    def label(s):
        return "in" if s is step else s.name if s.module else s.kind
    found = [(label(source), label(s)) for s in step.steps for source in s.sources]
    return found + [(label(s), "out") for s in step.results]


# What feeds what --------------------------------------------------------------------------------------------


def test_a_basic_block_flows_as_the_paper_draws_it():
    """He et al., fig. 2, with the projection of eq. 2; the fused norm shows as norm, sum and relu."""
    whole = flow(BasicBlock(4, 8, stride=2, rng=0), (1, 4, 6, 6))
    assert edges(whole) == [
        ("in", "conv1"), ("conv1", "bn1"), ("bn1", "relu"), ("relu", "conv2"), ("in", "downsample"), ("conv2", "bn2"),
        ("bn2", "add"), ("downsample", "add"), ("add", "relu"), ("relu", "out")]
    assert whole.steps[0].output == (1, 8, 3, 3)


def test_a_post_norm_encoder_layer_has_two_ways_round():
    assert edges(flow(EncoderLayer(8, 2, rng=0), (1, 5, 8))) == [
        ("in", "self_attn"), ("in", "add"), ("self_attn", "add"), ("add", "norm1"), ("norm1", "linear1"),
        ("linear1", "relu"), ("relu", "linear2"), ("norm1", "add"), ("linear2", "add"), ("add", "norm2"),
        ("norm2", "out")]


def test_branches_read_the_input_and_feed_the_concatenation():
    whole = flow(Inception(192, ROWS["3a"], rng=0), (1, 192, 4, 4))
    names = [f"branch{k}" for k in (1, 2, 3, 4)]
    assert edges(whole) == [*[("in", n) for n in names], *[(n, "concat") for n in names], ("concat", "out")]
    assert edges(whole.steps[1]) == [("in", "0"), ("0", "1"), ("1", "out")]


def test_what_does_nothing_is_left_out_and_shapes_are_looked_through():
    class Net(nn.Module):
        def __init__(self):
            self.a, self.rest, self.b = nn.Linear(4, 4), nn.Sequential(nn.Identity(), nn.Dropout(0.5)), nn.Linear(4, 2)

        def forward(self, x):
            return self.b(self.rest(self.a(x.reshape(1, 4))[:, :].swapaxes(0, 1).swapaxes(0, 1)))
    assert edges(flow(Net(), (1, 2, 2))) == [("in", "a"), ("a", "rest"), ("rest", "b"), ("b", "out")]
    assert flow(Net(), (1, 2, 2)).steps[1].steps == []


def test_parameters_and_numbers_of_an_op_are_named():
    class Net(nn.Module):
        def __init__(self):
            self.scale, self.fc = nn.Parameter(np.ones(4, np.float32)), nn.Linear(4, 4)

        def forward(self, x):
            return self.fc(x) * self.scale + 0.25
    assert [(s.kind, s.name) for s in flow(Net(), (1, 4)).steps] == [
        ("Linear", "fc"), ("mul", "scale"), ("add", "0.25")]


def test_recording_leaves_the_module_as_it_was():
    net = nn.Sequential(nn.Linear(3, 3, rng=0), nn.BatchNorm1d(3), nn.Dropout(0.5, rng=0))
    state, random = net.state_dict(), net.random_state()
    flow(net, (2, 3))
    assert all(m.training for m in net.modules()) and net.random_state() == random
    assert all(np.array_equal(v, state[k]) for k, v in net.state_dict().items())
    assert not any(h.function for m in net.modules() for h in (*m._before, *m._after))


# Where it stands --------------------------------------------------------------------------------------------


def laid_out(name, depth):
    make, shape = MODULES[name]
    return diagram(flow(make(), shape), depth, lambda steps: ([steps[0].name or steps[0].kind, "x" * 10], "plain"))


def bounds(box):
    return box.x - box.left, box.y, box.x + box.right, box.y + box.height


CASES = [(name, depth) for name in MODULES for depth in (0, 1, 2, 4)]


@pytest.mark.parametrize("name, depth", CASES)
def test_boxes_lie_inside_their_frame_and_never_overlap(name, depth):
    for frame in laid_out(name, depth).whole:
        x0, y0, x1, y1 = bounds(frame)
        for box in frame.boxes:
            a0, b0, a1, b1 = bounds(box)
            assert x0 < a0 and a1 < x1 and y0 < b0 and b1 < y1
        for one, two in itertools.combinations(frame.boxes, 2):
            a, b = bounds(one), bounds(two)
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


@pytest.mark.parametrize("name, depth", CASES)
def test_lines_touch_only_the_boxes_they_join(name, depth):
    for frame in laid_out(name, depth).whole:
        for edge in frame.edges:
            corners = route(*edge)
            assert all(p[0] == q[0] or p[1] == q[1] for p, q in zip(corners, corners[1:], strict=False))
            for (p, q), box in itertools.product(zip(corners, corners[1:], strict=False), frame.boxes):
                if box not in edge[:2]:
                    x0, y0, x1, y1 = bounds(box)
                    inside = (min(p[0], q[0]) < x1 and max(p[0], q[0]) > x0
                              and min(p[1], q[1]) < y1 and max(p[1], q[1]) > y0)
                    assert not inside, (box.lines, corners)


def test_branches_stand_side_by_side_and_the_way_round_beside_them():
    inception = laid_out("inception", 1)
    branches, joined = inception.boxes[:4], inception.boxes[4]
    assert len({box.y for box in branches}) == 1 and len({box.x for box in branches}) == 4
    assert joined.y > max(box.y + box.height for box in branches)
    bottleneck = laid_out("bottleneck", 1)
    assert len({box.x for box in bottleneck.boxes}) == 1                       # one axis
    (lane,) = [lane for _, _, lane in bottleneck.edges if lane]
    assert lane.x > max(box.x + box.right for box in bottleneck.boxes)


def test_equal_modules_in_a_row_are_drawn_once():
    boxes = laid_out("encoder", 1).boxes
    assert [len(box.steps) for box in boxes] == [3]
    make, shape = MODULES["vit"]
    assert "blocks.0 … blocks.3" in module_svg(make(), shape) and "Block × 4" in module_svg(make(), shape)
    plain = nn.Sequential(nn.Sequential(nn.Linear(3, 3)), nn.Sequential(nn.Linear(3, 3, bias=False)))
    assert len(diagram(flow(plain, (1, 3)), 1, lambda s: (["a"], "")).boxes) == 2


# On paper ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_the_svg_is_well_formed_and_needs_nothing_else(name):
    make, shape = MODULES[name]
    text = module_svg(make(), shape, depth=2)
    root = ET.fromstring(text)
    assert text == module_svg(make(), shape, depth=2) and text._repr_svg_() == text
    assert {child.tag.rpartition("}")[2] for child in root[:2]} == {"title", "desc"}
    assert root.get("role") == "img" and root.get("aria-label") == root[0].text and len(root[1].text) > 3
    assert "href" not in text and "url(" not in text and text.count("http") == 1              # the namespace


def test_names_are_escaped():
    class Evil(nn.Module):
        def forward(self, x):
            return x * 2
    Evil.__name__ = "A<b>&\"c"
    assert "A&lt;b&gt;&amp;&quot;c" in (text := module_svg(Evil(), (1, 3)))
    ET.fromstring(text)


def test_numbers_are_those_of_cost():
    net = cnn.build("resnet18", rng=0)
    total, text = nn.cost(net, (1, 3, 64, 64)), module_svg(net, (1, 3, 64, 64))
    assert total.parameters == 11_689_512 and "11.7 M parameters" in text
    for name in ("conv1", "layer3"):
        row = total[name]
        assert f"{row.parameters / 10 ** (6 if name == 'layer3' else 3):#.3g}" in text
        assert " × ".join(map(str, row.output[1:])) in text
    assert "Conv2d 7×7 / 2" in text


def test_a_branch_called_twice_is_drawn_twice():
    class Twice(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2d(2, 2, 3, padding=1, rng=0)

        def forward(self, x):
            return concat(self.conv(x), self.conv(x), axis=1)
    assert module_svg(Twice(), (1, 2, 4, 4)).count(">Conv2d 3×3<") == 2


@pytest.mark.parametrize("name", ["basic", "inception", "pyramid", "leaf"])
def test_the_figure_has_the_boxes_and_words_of_the_svg(name):
    make, shape = MODULES[name]
    text, ax = module_svg(make(), shape), plot_modules(make(), shape)
    root = ET.fromstring(text)
    words = [span.text for span in root.iter("{http://www.w3.org/2000/svg}tspan")]
    letters = [p for p in ax.patches if isinstance(p, PathPatch)]
    assert [p.get_label() for p in letters] == words
    assert len(ax.patches) - len(letters) == text.count("<rect") and len(ax.lines) == text.count("<path")


@pytest.mark.parametrize("name", ["basic", "inception", "leaf"])
@pytest.mark.parametrize("dpi", [40, 150])
def test_words_stay_in_their_box_at_any_resolution(name, dpi):
    """Letters of whole dots grew wider than their box in small figures."""
    make, shape = MODULES[name]
    ax = plot_modules(make(), shape)
    ax.figure.set_dpi(dpi)
    ax.figure.draw_without_rendering()
    boxes = [p.get_window_extent() for p in ax.patches if not isinstance(p, PathPatch)]
    for letters in (p for p in ax.patches if isinstance(p, PathPatch)):
        a = letters.get_window_extent()
        inside = [b for b in boxes if b.x0 < a.x0 and a.x1 < b.x1 and b.y0 < (a.y0 + a.y1) / 2 < b.y1]
        assert inside, letters.get_label()


def test_a_figure_is_fitted_into_given_axes():
    ax = plt.figure(figsize=(3, 2)).add_subplot()
    make, shape = MODULES["basic"]
    assert plot_modules(make(), shape, ax=ax) is ax
    ax.figure.draw_without_rendering()
    assert all(ax.bbox.containsx(x) for p in ax.patches for x in p.get_window_extent().intervalx)


@pytest.mark.parametrize("draw", [module_svg, plot_modules])
def test_bad_arguments_are_refused(draw):
    net = nn.Linear(3, 4)
    with pytest.raises(ArgError, match=f"{draw.__name__}: inputs is empty"):
        draw(net)
    with pytest.raises(ArgError, match=f"{draw.__name__}: depth is -1"):
        draw(net, (1, 3), depth=-1)
    with pytest.raises(ArgError, match="flow: inputs is empty"):
        flow(net)
