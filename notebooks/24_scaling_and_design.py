# %% [markdown]
# # 24 Larger networks, searched networks, families of networks
#
# **After this lesson you can** say what a network costs when it is made deeper, wider or given larger images, share
# growth among the three with one number, let a recurrent network design networks, and judge a *family* of networks by the
# distribution of its errors. About two minutes on two cores.

# %% [markdown]
# ## Goal and sources
#
# The earlier lessons built single networks. Here the question is where their numbers come from: how many blocks, how many
# channels, how large an image? Three answers: grow a good small network by rule, search with a learner, or study whole
# populations until a simple rule is left.
#
# * M. Tan, Q. Le, *EfficientNet: Rethinking model scaling for convolutional neural networks*, ICML 2019.
# * B. Zoph, Q. Le, *Neural architecture search with reinforcement learning*, ICLR 2017. R. Williams, *Simple statistical
#   gradient-following algorithms for connectionist reinforcement learning*, 1992.
# * I. Radosavovic et al., *Designing network design spaces*, CVPR 2020.
#
# In the library: `minicv/cnn/scaling.py`, `efficientnet.py`, `nas.py`, `design_space.py`, `anynet.py`, `regnet.py`,
# `survey.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np

from minicv import cnn
from minicv.autograd import grad
from minicv.cnn import regnet
from minicv.cnn.anynet import AnyNet, Stage, belongs, fit_groups
from minicv.cnn.design_space import Limits, advantage, edf, population
from minicv.cnn.efficientnet import EfficientNet, Row
from minicv.cnn.nas import Controller, SearchSpace, cost_reward, policy_loss, search
from minicv.cnn.scaling import Scale, candidates, compound, exponent, scale_network
from minicv.errors import ArgError
from minicv.experiments import asked_preset
from minicv.experiments.ch2.nas import controller_search, efficient
from minicv.experiments.ch2.regnet import any_networks, from_a_line, spaces_of_networks
from minicv.experiments.ch2.scaling import all_dimensions, single_dimension
from minicv.functional import exp
from minicv.nn import cost
from minicv.optim import Adam
from minicv.plot import module_svg

# %% [markdown]
# ## Derive
#
# ### What growth costs
#
# A 3x3 convolution with $w$ channels in and out on an image of side $r$ needs $9\, w^2 r^2$ multiply-adds, and $d$ of them
# $d$ times as many. Multiply all three:
#
# $$\text{cost} \;\propto\; d\, w^2 r^2. \tag{1}$$
#
# Growth in a single dimension is paid in full and soon brings little. *Compound scaling* grows all three from one number
# $\phi$,
#
# $$d = \alpha^\phi,\quad w = \beta^\phi,\quad r = \gamma^\phi, \qquad \alpha \beta^2 \gamma^2 \approx 2,\quad
#   \alpha, \beta, \gamma \ge 1, \tag{2}$$
#
# so that each step of $\phi$ doubles the cost. How the doubling is shared is found once, by a grid search at $\phi = 1$.
#
# > **Where notes and networks differ (E2.15).** The published triple 1.2, 1.1, 1.15 multiplies to 1.92, not 2, and
# > EfficientNet-B1 to B7 are rows of a table that (2) meets only roughly.

# %%
rows = (Row(3, 1, 1, 16, 2), Row(3, 2, 4, 32, 2))


def macs(scale):
    """Multiply-adds of a scaled network of two stages, counted while it runs."""
    depths, widths = scale_network([row.blocks for row in rows], [row.channels for row in rows], scale)
    stages = [Stage(d, w, w) for d, w in zip(depths, widths)]
    side = round(64 * scale.resolution)
    return cost(AnyNet(stages, stem=8, num_classes=10, rng=0), (1, 3, side, side)).macs


for name, expected in (("depth", 1), ("width", 2), ("resolution", 2)):
    factors = (2, 3, 4)
    print(name, round(exponent(factors, [macs(Scale(**{name: f})) for f in factors]), 2))
    assert abs(exponent(factors, [macs(Scale(**{name: f})) for f in factors]) - expected) < 0.3             # (1)
assert np.isclose(compound(1).cost, 1.2 * 1.1 ** 2 * 1.15 ** 2) and np.isclose(compound(3).cost, compound(1).cost ** 3)
assert compound(0) == Scale() and all(abs(scale.cost - 2) <= 0.1 for scale in candidates())                  # (2)

# %% [markdown]
# ### A gradient for something that cannot be differentiated
#
# A *controller* writes an architecture $a = (a_1, \dots, a_T)$ token by token with probability
# $p(a) = \prod_t p(a_t \mid a_1 \dots a_{t-1})$. The accuracy $R(a)$ of the trained network is a number without a gradient,
# but its *expectation* has one:
#
# $$\nabla \sum_a p(a) R(a) = \sum_a p(a)\, \nabla \ln p(a)\, R(a)
#   = \mathrm{E}\big[\nabla \ln p(a)\, (R(a) - b)\big]. \tag{3}$$
#
# The first step is $\nabla p = p \nabla \ln p$. Any constant $b$ may be subtracted since $\sum_a \nabla p(a) = \nabla 1 = 0$; a
# moving average of earlier rewards keeps the noise of the samples small.
#
# > **Where notes and papers differ (E2.16).** The "gradient policy" is the policy gradient (3), REINFORCE. EfficientNet-B0
# > does not start from a MobileNet: it comes from a search over MBConv blocks with the reward
# > $R = \text{accuracy} \cdot (\text{multiply-adds} / \text{target})^{-0.07}$.

# %%
space = SearchSpace({"width": (8, 16, 24), "kernel": (3, 5), "blocks": (1, 2, 3)})
controller, table = Controller(space, hidden=8, rng=0), np.random.default_rng(0).random(len(space))
every, parameters = space.tokens(), list(Controller.parameters(controller))
flat = lambda gradients: np.concatenate([g.data.ravel() for g in gradients])
expected = flat(grad((exp(controller.log_prob(every)) * table.astype(np.float32)).sum(), parameters))
p = exp(controller.log_prob(every)).data
assert np.isclose(p.sum(), 1, atol=1e-5)
for b in (0, 0.5):                                                           # (3), as a sum over all architectures
    loss = policy_loss(controller.log_prob(every), len(space) * p * (table - b))
    assert np.allclose(-flat(grad(loss, parameters)), expected, atol=1e-5)
tokens, log_prob = controller.sample(10_000, rng=1)                          # (3), as a mean over samples
sampled = -flat(grad(policy_loss(log_prob, [table[space.index(row)] for row in tokens], table.mean()), parameters))
assert sampled @ expected / np.linalg.norm(sampled) / np.linalg.norm(expected) > 0.99

# %% [markdown]
# ### Populations instead of winners
#
# Whoever compares two families by their best members compares how long each was searched. Draw $n$ networks from each,
# train all of them briefly in the same way, and look at the distribution of their errors:
#
# $$F(e) = \frac{1}{n}\, \#\{i : e_i < e\}. \tag{4}$$
#
# A higher curve is a better space; the perfect space would jump to 1 at $e = 0$. The area between two curves is the
# difference of their mean errors.
#
# **AnyNet** has four stages with depth $d_i$, width $w_i$, bottleneck ratio $b_i$ and group width $g_i$: 16 numbers. Sharing
# $b$ and $g$ and asking for rising widths and depths loses nothing and leaves a line:
#
# $$u_j = w_0 + w_a j, \qquad s_j = \mathrm{round}\big(\log_{w_m}(u_j / w_0)\big), \qquad
#   w_j = 8\,\mathrm{round}\big(w_0 w_m^{s_j} / 8\big). \tag{5}$$
#
# Blocks of equal width form a stage. That is **RegNet**.
#
# > **Where notes and paper differ (E2.17, E2.18).** $g_i$ is the *width* of a group, in channels, not the number of groups.
# > And 16 numbers make an AnyNet; a RegNet has six: $d, w_0, w_a, w_m, b, g$.

# %%
rng = np.random.default_rng(0)
a, b = rng.random(200) * 0.5, rng.random(300) * 0.5 + 0.1
at = np.linspace(0, 1, 20_001)
assert np.isclose(advantage(a, b, times=10, rng=0)[1], (edf(a, at) - edf(b, at)).mean(), atol=1e-3)          # area
u = 24 + 36.44 * np.arange(13)
s = np.round(np.log(u / 24) / np.log(2.49))
w = 8 * np.round(24 * 2.49 ** s / 8)
assert np.array_equal(w, regnet.widths(13, 24, 36.44, 2.49))                                                 # (5)
block = AnyNet([Stage(1, 32, 8)], stem=8, num_classes=2, rng=0).trunk_output[0][0]
assert block.f.b[0].groups == 32 // 8                                                                       # E2.17

# %% [markdown]
# ## Check by hand
#
# **Costs.** From 0.39 G for B0 the rule gives 0.749, 1.438, 2.762, 5.303, 10.18, 19.56, 37.55 G; the published networks have
# 0.70, 1.0, 1.8, 4.2, 9.9, 19 and 37 G.
#
# **Errors** 0.1, 0.2, 0.2, 0.4: $F(0.2) = 1/4$, because (4) counts strictly smaller ones, $F(0.25) = 3/4$, $F(1) = 1$.
#
# **RegNetX-200MF** ($d = 13$, $w_0 = 24$, $w_a = 36.44$, $w_m = 2.49$): widths 24, 56, 152, 368, depths 1, 1, 4, 7.

# %%
found = [0.39 * compound(phi).cost for phi in range(8)]
assert np.allclose(found, [0.39, 0.749, 1.438, 2.762, 5.303, 10.18, 19.56, 37.55], rtol=5e-4)
assert edf([0.1, 0.2, 0.2, 0.4], [0.2, 0.25, 1]).tolist() == [0.25, 0.75, 1]
stages = regnet.stages(regnet.VARIANTS["regnet_x_200mf"])
assert [tuple(s[:2]) for s in stages] == [(1, 24), (1, 56), (4, 152), (7, 368)]

# %% [markdown]
# ## Use the library

# %%
net = cnn.build("efficientnet_b0", rng=0)
print(f"EfficientNet-B0: {sum(p.size for p in net.parameters()):,} parameters")
assert sum(p.size for p in net.parameters()) == 5_288_548
networks = population("E", 3, Limits(stages=3, depth=3, width=64), rng=0)
assert all(belongs(stages, "E") for stages in networks)
assert fit_groups(Stage(1, 20, 8)) == Stage(1, 24, 8)                        # only when asked to
assert cost_reward(0.7, 2e6, target=1e6) < cost_reward(0.7, 1e6, target=1e6) == 0.7
record = search(controller, lambda a: table[space.index([space.choices[k].index(v) for k, v in a.items()])],
                Adam(parameters, lr=0.02), episodes=200, batch=10, rng=0)
print(f"mean reward: first 50 {record.rewards[:50].mean():.2f}, last 50 {record.rewards[-50:].mean():.2f}")
assert record.rewards[-50:].mean() > record.rewards[:50].mean()

for attempt in (
        lambda: compound(1, beta=1.2),
        lambda: scale_network((1,), (8,), Scale(width=0)),
        lambda: SearchSpace({}),
        lambda: search(controller, lambda a: np.nan, Adam(parameters, lr=0.1), episodes=1, rng=0),
        lambda: AnyNet([Stage(1, 20, 8)], rng=0),
        lambda: regnet.widths(13, 20, 36.0, 2.5),
        lambda: EfficientNet(width=0)):
    try:
        attempt()
    except ArgError as error:
        print(error)
    else:
        raise AssertionError("accepted")

# %% [markdown]
# ## Experiment
#
# ### One dimension
#
# **Figure 2.6 (accuracy against width, depth, resolution).** A tiny network of MBConv blocks on drawn shapes. On ImageNet *growth in one
# dimension alone saturates*; drawn shapes are easy, and here one sees mainly what growth costs: compare the panels over
# multiply-adds.


# %%
def show(report, *which, dpi=85):
    """Draw some of the figures of a report."""
    draws = list(report.figures.values())
    for k in which:
        draws[k]().set_dpi(dpi)
        plt.show()


report = single_dimension(asked_preset()).check()
show(report, 0, 1)
m = report.metrics
print(f"exponents of cost: {m['exponent_depth']:.2f}, {m['exponent_width']:.2f}, {m['exponent_resolution']:.2f}")
assert abs(m["exponent_width"] - 2) < 0.15

# %% [markdown]
# ### All dimensions
#
# **Figures 2.7 (width at four depths and resolutions) and 2.8 (ways to grow).** The grid search at $\phi = 1$ trains every
# triple whose product is near 2; its winner is then applied twice. One seed and seconds of training: read the curves as an
# illustration, not as a ranking.

# %%
report = all_dimensions(asked_preset()).check()
show(report, 1, 0, 2)
for row in report.tables["Grid search at phi = 1"]:
    print("d {:.1f}  w {:.1f}  r {:.1f}   d w² r² {:.2f}   {:.2f} M   accuracy {:.3f}".format(*row.values()))

# %% [markdown]
# ### A controller
#
# **Figures (the loop; rewards; probabilities).** 81 architectures with known rewards. After 300 episodes the controller
# writes architectures of the top tenth nearly always. *What it does not give is a reason*: the table of probabilities names
# winners, not principles. That is the argument for the next section.

# %%
report = controller_search(asked_preset()).check()
show(report, 0, 1, 2)
m = report.metrics
print(f"mean reward {m['mean_reward_before']:.3f} -> {m['mean_reward_after']:.3f}, "
      f"90th percentile {m['percentile_90']:.3f}, cosine {m['cosine_with_enumeration']:.4f}")

# %% [markdown]
# ### EfficientNet
#
# **Figures (B0, and its first block with an expansion).** Drawn from the modules. Depths, widths and sizes of maps are those
# of its table; the numbers are parameters and multiply-adds of each stage.

# %%
b0 = cnn.build("efficientnet_b0", rng=0)
module_svg(b0, (1, 3, 224, 224))

# %%
module_svg(b0.blocks[1][0], (1, 16, 112, 112), depth=2)

# %% [markdown]
# **Figures (the family; accuracy against multiply-adds).** Depthwise convolutions with gates beat plain residual blocks
# of equal cost on our shapes, as they did on ImageNet.

# %%
report = efficient(asked_preset()).check()
show(report, 1, 2)
for row in report.tables["Small networks"]:
    print("{:13s}{:6.2f} M   accuracy {:.3f}".format(*row.values()))
assert report.metrics["parameters_b7"] == 66_347_960 and report.metrics["count_off_network"] == 0

# %% [markdown]
# ### Spaces
#
# **Figure 2.9 (distributions of errors).** Networks of equal cost, drawn from the free space A and from E, where widths and
# depths rise. The survey of 500 RegNets is one command, which may be killed at any moment and given again:
#
#     minicv run design-space --preset full --set spaces=regnet --out sweep --resume --executor processes
#
# Without `--set spaces=regnet` it draws 500 networks of A and 500 of E; `--set spaces=A,B,C,D,E` compares all five. The same
# on a cluster: with `--executor dask` (`DASK_SCHEDULER_ADDRESS` names it), or on the ranks of an MPI job,
#
#     mpiexec -n 9 python -m mpi4py.futures -m minicv run design-space ... --executor mpi
#
# The rows in `sweep/full-regnet.jsonl` are equal to the last bit on all of them, also when the run is begun on one and
# finished on another.

# %%
report = spaces_of_networks(asked_preset()).check()
show(report, 0, 1)
for row in report.tables["Errors of each space"]:
    print("space {:3s}{:4d} networks   least {:.3f}   median {:.3f}   mean {:.3f}   blocks {}".format(*row.values()))
m = report.metrics
print(f"E over A: {m['advantage']:+.3f}, 95 % of the bootstrap within [{m['advantage_low']:+.3f}, "
      f"{m['advantage_high']:+.3f}]")

# %% [markdown]
# **Figure (widths of the blocks).** Networks of A jump up and down, those of E climb, those of RegNet climb along a line.

# %%
report = any_networks(asked_preset()).check()
show(report, 0)
print(f"AnyNet: 10^{report.metrics['log10_of_all_networks']:.1f} networks")

# %% [markdown]
# ### RegNet
#
# **Figure (stem, body, head).** RegNetX-200MF from its modules; equal blocks of a stage are one box.

# %%
module_svg(cnn.build("regnet_x_200mf", rng=0), (1, 3, 224, 224), depth=2)

# %% [markdown]
# **Figures (from a line to stages; accuracy against learning rate).** *A fair comparison needs a tuned
# learning rate for each side.* RegNet's paper retrained EfficientNet with RegNet's own settings. The last figure gives two
# tiny networks the same three rates: how far apart they are, and at times which is ahead, depends on the rate.

# %%
report = from_a_line(asked_preset()).check()
show(report, 1, 2)
for row in report.tables["Accuracy after the same short training"]:
    print(row)
assert report.metrics["parameters_x_200mf"] == 2_684_792 and report.metrics["published_stages_missed"] == 0

# %% [markdown]
# ## Exercises
#
# **1.** Which share of the doubling do depth, width and resolution get with 1.2, 1.1 and 1.15?
#
# <details><summary>Answer</summary>
#
# In logarithms: $\ln 1.2 = 0.182$, $2 \ln 1.1 = 0.191$, $2 \ln 1.15 = 0.280$ of 0.652: 28, 29 and 43 %.
#
# ```python
# parts = np.log([1.2, 1.1 ** 2, 1.15 ** 2])
# assert np.allclose(parts / parts.sum(), [0.28, 0.29, 0.43], atol=0.005)
# ```
#
# </details>
#
# **2.** With the reward of E2.16, how much better must a network be that costs twice as much?
#
# <details><summary>Answer</summary>
#
# By a factor of $2^{0.07} = 1.05$: five per cent of its accuracy.
#
# ```python
# assert np.isclose(cost_reward(0.5 * 2 ** 0.07, 2e6, target=1e6), 0.5)
# ```
#
# </details>
#
# **3.** Why may the baseline of (3) not contain the reward of the same sample?
#
# <details><summary>Answer</summary>
#
# Then it depends on $a$, and $\sum_a \nabla p(a)\, b(a)$ need not vanish. With $b = R(a)$ the gradient would be zero.
#
# ```python
# loss = policy_loss(controller.log_prob(every), len(space) * p * (table - table))
# assert np.allclose(flat(grad(loss, parameters)), 0)
# ```
#
# </details>
#
# **4.** A stage is 20 channels wide and wants groups of 8. What does the library do?
#
# <details><summary>Answer</summary>
#
# It refuses, unless asked to adjust: 20 becomes 24, the nearest whole number of groups.
#
# ```python
# assert fit_groups(Stage(1, 20, 8)).width == 24
# ```
#
# </details>
