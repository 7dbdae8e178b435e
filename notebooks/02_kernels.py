# %% [markdown]
# # 02 How a kernel reaches the machine's peak
#
# **After this lesson you can** say how fast a processor could be and which of its two limits a loop will meet, take a
# convolution from seven nested loops to the peak in six steps, read `kernels/simd.py` line by line, derive Winograd's
# method and explain its error, and tell why the same bytes come out for any number of threads. About 40 s on two cores.

# %% [markdown]
# ## Goal and sources
#
# Training a network is a few kinds of loops, run very often. Written down as in a text book they use a thousandth of a
# processor. This lesson closes the gap, one idea at a time, and measures every step on *your* machine. Times differ
# from machine to machine, so they are printed and never asserted; that all versions compute the same is asserted.
#
# * K. Goto, R. van de Geijn, *Anatomy of high-performance matrix multiplication*, ACM TOMS 34, 2008.
# * S. Williams, A. Waterman, D. Patterson, *Roofline*, CACM 52, 2009: two limits in one picture.
# * A. Lavin, S. Gray, *Fast algorithms for convolutional neural networks*, CVPR 2016; S. Winograd, *Arithmetic
#   complexity of computations*, SIAM 1980; A. Toom 1963 and S. Cook 1966 for polynomials.
#
# In the library: `minicv/kernels/simd.py`, `host.py`, `direct.py`, `winograd.py`, `transforms.py`, `buffers.py`,
# `launch.py`, each with its loops in `..._loops.py`.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minicv import kernels as K
from minicv.experiments import asked_preset
from minicv.kernels import direct
from minicv.kernels.direct_loops import correlate
from minicv.kernels.geometry import Geometry
from minicv.kernels.host import HOSTS, host
from minicv.kernels.launch import compiler_runs, load_numba
from minicv.kernels.panels import addresses, panels
from minicv.kernels.winograd import POINTS, matrix
from minicv.plot import PALETTE, figure_style

# %% [markdown]
# ## Derive
#
# ### Measuring
#
# The shortest of many runs is the time without the other programs of the machine (what remains are a few percent of
# noise). One core first; threads come later.

# %%
compiled = compiler_runs()          # False with MINICV_KERNELS=numpy and under NUMBA_DISABLE_JIT=1
small = asked_preset() == "smoke" or not compiled
if compiled:
    from minicv.kernels.simd import call


def jit(function):
    """Compiled by Numba, or the plain loop where there is no compiler."""
    return load_numba().njit(function) if compiled else function


def seconds(function, *args):
    """The shortest of several runs, after one that is not counted (it compiles)."""
    function(*args)
    best, until = np.inf, time.perf_counter() + (0.02 if small else 0.4)
    while best == np.inf or time.perf_counter() < until:
        start = time.perf_counter()
        function(*args)
        best = min(best, time.perf_counter() - start)
    return best


threads = K.get_num_threads()
K.set_num_threads(1)
assert K.get_num_threads() == 1

# %% [markdown]
# ### Two limits
#
# A core executes multiply-adds, $c \leftarrow c + a\,b$: two operations each. A vector instruction does one in each of
# $\ell$ lanes, a core has $u$ units that can start one in every clock cycle, and there are $f$ cycles a second:
#
# $$\text{peak} = 2\,\ell\,u\,f \quad\text{[operations / s, "flop/s"]}. \tag{1}$$
#
# With $\ell = 16$, $u = 1$ and $f = 3.7\cdot 10^9$ this is 118 GF/s. A loop that does one multiply-add at a time and
# waits for it (four cycles) reaches $f / 2$, a sixtieth.
#
# Memory delivers $b$ bytes a second. A computation of $F$ operations that must move $B$ bytes has the *intensity*
# $I = F / B$ and cannot be faster than either limit allows:
#
# $$\text{flop/s} \le \min(\text{peak},\; I\, b), \qquad I = F / B. \tag{2}$$
#
# In a diagram of flop/s over $I$, both axes logarithmic, that is a slanted and a level line: the *roofline*. The two
# meet at $I = \text{peak} / b$. For the product of two $n \times n$ matrices in float32, each read or written once,
#
# $$I = \frac{2 n^3}{3 \cdot 4 n^2} = \frac n6, \tag{3}$$
#
# so large products are limited by arithmetic *if the program manages to read each number once*. For a convolution of
# $C$ by $O$ channels with a $P \times Q$ filter on $H \times W$ pixels,
#
# $$F = 2\,HW\,CO\,PQ, \qquad B = 4\,(HW\,C + PQ\,CO + HW\,O), \tag{4}$$
#
# which for $C = O$ and large images is $I \approx C P Q / 4$; an addition of two arrays has $I = 1/12$ for ever.


# %%
def product_intensity(n):
    return 2 * n**3 / (3 * 4 * n**2)                                                          # (3)


def conv_work(H, W, C, O, P=3, Q=3):
    """(operations, bytes) of (4)."""
    return 2 * H * W * C * O * P * Q, 4 * (H * W * C + P * Q * C * O + H * W * O)


assert product_intensity(600) == 100
flops, moved = conv_work(1000, 1000, 64, 64)
assert flops == 2 * 1000**2 * 64**2 * 9 and np.isclose(flops / moved, 64 * 9 / 4, rtol=0.001)
print(f"3 x 3, 64 to 64 channels, 56 x 56 pixels: {conv_work(56, 56, 64, 64)[0] / 1e6:.0f} million operations, "
      f"intensity {np.divide(*conv_work(56, 56, 64, 64)):.0f}")

# %% [markdown]
# ### The register tile
#
# Only numbers in registers are fast. A load from the first-level cache takes a slot like a multiply-add does, so a
# loop that loads two numbers for each multiply-add spends its time loading. The way out is to use every loaded number
# several times. Keep a block of the result, $R$ rows of $V$ vectors, in registers and add up outer products:
#
# $$C_{i} \mathrel{+}= a_{i,k}\, B_{k}, \qquad i = 1 \dots R,\quad B_k \text{ a row of } V \text{ vectors}. \tag{5}$$
#
# One step of $k$ loads $V$ vectors of $B$ and spreads $R$ single numbers of $A$ over a vector each, and does $R V$
# multiply-adds:
#
# $$\frac{\text{loads}}{\text{multiply-adds}} = \frac{R + V}{R\,V} = \frac1R + \frac1V, \qquad
#   R\,V + V + 1 \le \text{number of registers}. \tag{6}$$
#
# The sums are independent of each other. That matters as much: a multiply-add has its result after four cycles, so
# four times $u$ of them must be in flight at any moment. AVX-512 has 32 registers: $R = 14$, $V = 2$ takes 31 and has
# 28 sums. This block of numbers is the *register tile*, the only place in the library where arithmetic happens at the
# peak; Goto and van de Geijn build the matrix product round it, and here convolution, Winograd and attention too.

# %%
def draw_tile(rows, vectors, lanes):
    with figure_style():
        fig, ax = plt.subplots(figsize=(6.4, 4.2))
    width, gap = 3.2, 0.35

    def box(x, y, w, text, color):
        ax.add_patch(plt.Rectangle((x, y), w, 0.8, fc=color, ec="0.3", lw=0.8))
        ax.text(x + w / 2, y + 0.4, text, ha="center", va="center", fontsize=7)

    for j in range(vectors):
        box(j * (width + gap), -1.6, width, f"B[k, {j * lanes} ... {(j + 1) * lanes - 1}]", "#cfe3f1")
    for i in range(rows):
        box(-2.4, i, 1.3, f"A[{i}, k]", "#f6d5bf")
        for j in range(vectors):
            box(j * (width + gap), i, width, f"C[{i}, {j * lanes} ... {(j + 1) * lanes - 1}]",
                "#a8dccb" if i == 3 % rows else "#e4f3ee")
    for end, start, color in (((-0.1, 3 % rows + 0.4), (-1.05, 3 % rows + 0.4), PALETTE[1]),
                              ((width / 2, -0.05), (width / 2, -0.75), PALETTE[0])):
        ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": color})
    ax.set(xlim=(-2.6, vectors * (width + gap)), ylim=(rows + 0.2, -1.8), xticks=[], yticks=[])
    ax.set_title(f"{rows} x {vectors} sums stay in registers; each k: {vectors} + {rows} loads, "
                 f"{rows * vectors} multiply-adds", fontsize=10)
    ax.grid(False)
    ax.spines[:].set_visible(False)


lanes, tile_rows = host()
width = host().width
draw_tile(tile_rows, 2, lanes)
plt.show()
registers = {"avx512": 32, "avx2": 16, "neon": 32, "plain": 16}
for name, (l, R) in HOSTS.items():
    assert 2 * R + 2 + 1 <= registers[name]                                                  # (6)
    print(f"{name:7} {R:2} rows of 2 vectors of {l:2} lanes: {2 * R:2} sums, "
          f"{(R + 2) / (2 * R):.2f} loads for each multiply-add{'   <- this machine' if host() == (l, R) else ''}")

# %% [markdown]
# ### The tile, line by line
#
# Python builds the vector instructions: where the text of `build_tile` has a Python loop over rows, the program that is
# built has that many instructions one after the other. Only ``e.range`` makes a loop that still exists when it runs.

# %%
EXPLAINED = {
    "places = [(i, e.add(e.times(i, c_step), j * e.lanes)) for i in range(rows) for j in range(vectors)]":
        "where the sums belong in C; there are rows x vectors of them",
    "sums = [e.variable(e.constant(0)) for _ in places]":
        "one register for each, starting at 0 ...",
    "with e.when(add):":
        "... or at what is in C already",
    "with e.range(taps) as t:":
        "the taps of a filter: places in A and B that lie anywhere, given by two tables",
    "starts = [e.step(a_tap, i if down else e.times(i, a_step)) for i in range(rows)]":
        "where the rows of A begin",
    "with e.range(depth) as k:":
        "the sum of (5)",
    "of_b = [e.load(row, j * e.lanes) for j in range(vectors)]":
        "load the row of B: V loads",
    "of_a = e.spread(starts[i], e.times(k, a_step) if down else k)":
        "one number of A into all lanes: R loads",
    "e.set(total, e.multiply_add(of_a, of_b[j], e.get(total)))":
        "R V multiply-adds, each on a sum of its own",
    "e.store(e.get(total), c, place)":
        "once, when everything has been added",
}
with open(K.__path__[0] + "/simd.py", encoding="utf-8") as file:
    source = file.read()
for line, meaning in EXPLAINED.items():
    assert line in source, line                     # the explanation is one of the code as it is
    print(f"{line}\n        {meaning}")

# %% [markdown]
# ### The two limits of this machine
#
# The peak is measured with the tile itself, on numbers that stay in the first-level cache; the bandwidth with the
# *triad* $a = b + s\,c$ on arrays that fit into no cache, counting 12 bytes for each element. Without a compiler, BLAS
# and a copy take their places.


# %%
def best_tiles(repeats, a, b, c, tile_rows, tile):
    """The same tile again and again."""
    taps = np.zeros(1, np.int64)
    for _ in range(repeats):
        call(tile, (tile_rows, 1, taps.ctypes.data, taps.ctypes.data, a.shape[1], a.ctypes.data, a.shape[1],
                    b.ctypes.data, b.shape[1], c.ctypes.data, c.shape[1], 0))


def triad(a, b, c, s):
    for i in range(len(a)):
        a[i] = b[i] + s * c[i]


rng = np.random.default_rng(0)


def normal(*shape):
    return rng.standard_normal(shape, np.float32)


(tile_address,) = addresses("tile")


def limits():
    """(GF/s, GB/s) of one core."""
    if not compiled:
        a, b, c = normal(256, 256), normal(256, 256), np.empty((256, 256), np.float32)
        big = [np.ones(2**20, np.float32) for _ in range(2)]
        return 2 * 256**3 / seconds(np.matmul, a, b, c) / 1e9, 2 * big[0].nbytes / seconds(np.copyto, *big) / 1e9
    a, b, c = normal(tile_rows, 128), normal(128, width), np.empty((tile_rows, width), np.float32)
    repeats = 100 if small else 300
    peak = repeats * 2 * a.size * width / seconds(jit(best_tiles), repeats, a, b, c, tile_rows, tile_address) / 1e9
    assert np.allclose(c, a @ b, atol=1e-4)
    big = [np.ones(2**20 if small else 2**23, np.float32) for _ in range(3)]
    bandwidth = 3 * big[0].nbytes / seconds(jit(triad), *big, np.float32(0.5)) / 1e9
    assert (big[0] == 1.5).all()
    return peak, bandwidth


if not compiled:
    print("no compiler here: the vector code is skipped, sizes are small, the peak is that of BLAS")
peak, bandwidth = limits()
assert np.isfinite(peak) and np.isfinite(bandwidth)
print(f"one core: peak {peak:.1f} GF/s, bandwidth {bandwidth:.1f} GB/s, "
      f"roofs meet at {peak / bandwidth:.1f} operations for each byte")

# %% [markdown]
# ### Fewer multiplications: Winograd's method
#
# A filter of $r$ taps gives $m$ outputs from $n = m + r - 1$ inputs, $y_i = \sum_p g_p\, d_{i+p}$, in $m r$
# multiplications. $n$ are enough. Look at the *product of polynomials* $s(x) = g(x)\, u(x)$ with $r$ and $m$
# coefficients. It has $n$ coefficients, so its values at $n$ points determine it, and values multiply one by one.
# With $E_k$ the matrix that takes $k$ coefficients to the values at $n$ points $q_0, \dots$ (its rows are
# $1, q, q^2, \dots$; the point "infinity" takes the leading coefficient),
#
# $$s = E_n^{-1}\, \big[(E_r g) \odot (E_m u)\big] = T_g\, u, \qquad
#   T_g = E_n^{-1} \operatorname{diag}(E_r g)\, E_m. \tag{7}$$
#
# Column $i$ of $T_g$ is the filter moved down by $i$. So its transpose takes $n$ inputs and forms the wanted sums:
#
# $$y = T_g^\top d = E_m^\top\, \big[ (E_r g) \odot (E_n^{-\top} d) \big]
#     = A^\top \big[ (G g) \odot (B^\top d) \big]. \tag{8}$$
#
# Row $i$ of $E_n^{-\top}$ is a Lagrange polynomial; its denominator is moved from $B^\top$ to $G$, where it costs
# nothing, as filters are transformed once for all images. For $m = 2$, $r = 3$ and the points $0, 1, -1, \infty$:
#
# $$B^\top = \begin{pmatrix} -1 & 0 & 1 & 0 \\ 0 & 1 & 1 & 0 \\ 0 & -1 & 1 & 0 \\ 0 & -1 & 0 & 1 \end{pmatrix}, \quad
#   G = \begin{pmatrix} -1 & 0 & 0 \\ \tfrac12 & \tfrac12 & \tfrac12 \\ \tfrac12 & -\tfrac12 & \tfrac12 \\ 0 & 0 & 1
#   \end{pmatrix}, \quad
#   A^\top = \begin{pmatrix} 1 & 1 & 1 & 0 \\ 0 & 1 & -1 & 1 \end{pmatrix}. \tag{9}$$
#
# By hand with $d = (1, 2, 3, 4)$ and $g = (1, 2, 3)$: $B^\top d = (2, 5, 1, 2)$, $G g = (-1, 3, 1, 3)$, product
# $(-2, 15, 1, 6)$, $y = (14, 20)$. Directly: $1\cdot1 + 2\cdot2 + 3\cdot3 = 14$ and $2 + 6 + 12 = 20$. Four
# multiplications instead of six.

# %%
d, g = np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 3])
B, G, A = matrix("input", 2), matrix("filter", 2), matrix("output", 2)
assert np.array_equal(B @ d, [2, 5, 1, 2]) and np.array_equal(G @ g, [-1, 3, 1, 3])          # (9)
assert np.array_equal(A @ ((G @ g) * (B @ d)), [14, 20])                                     # (8)
assert np.array_equal(np.correlate(d, g), [14, 20])


def values_at(points, k):
    """E_k of (7): the values at the points and at infinity of a polynomial with k coefficients."""
    return np.array([[float(q)**j for j in range(k)] for q in points] + [[0.0] * (k - 1) + [1.0]])


for m, points in POINTS.items():
    inverse = np.linalg.inv(values_at(points, m + 2)).T
    ratio = np.linalg.lstsq(matrix("input", m).T, inverse.T, rcond=None)[0]                  # must be diagonal
    assert np.allclose(ratio, np.diag(np.diag(ratio)), atol=1e-12)
    assert np.allclose(matrix("filter", m), np.diag(ratio)[:, None] * values_at(points, 3))  # (8): G = D E_r
    assert np.allclose(matrix("output", m), values_at(points, m).T)                          #      A^T = E_m^T

# %% [markdown]
# In two dimensions the same is done along columns and then along rows, which nests the matrices; summed over input
# channels it is equation 8 of Lavin and Gray,
#
# $$Y_o = A^\top \Big[ \sum_c \big(G\, g_{o,c}\, G^\top\big) \odot \big(B^\top d_c\, B\big) \Big] A. \tag{10}$$
#
# The sum over $c$, for each of the $n^2$ elements, is a *matrix product* over tiles and channels: the register tile
# again. For $3 \times 3$ filters the multiplications drop by
#
# $$\frac{9\, m^2}{(m + 2)^2} = 2.25\ (m = 2), \quad 4\ (m = 4), \quad 5.06\ (m = 6). \tag{11}$$


# %%
def winograd_by_hand(x, w, m):
    """(10) for x (C, H, W) with sides 2 + a multiple of m, w (O, C, 3, 3)."""
    B, G, A, n = matrix("input", m), matrix("filter", m), matrix("output", m), m + 2
    u = G @ w @ G.T                                                                # (O, C, n, n), once
    y = np.empty((len(w), x.shape[1] - 2, x.shape[2] - 2))
    for i in range(0, y.shape[1], m):
        for j in range(0, y.shape[2], m):
            v = B @ x[:, i:i + n, j:j + n] @ B.T                                   # (C, n, n)
            y[:, i:i + m, j:j + m] = A @ np.einsum("ocpq,cpq->opq", u, v) @ A.T
    return y


x, w = rng.standard_normal((3, 10, 14)), rng.standard_normal((2, 3, 3, 3))
exact = K.conv2d(x[None], w)[0]
assert np.allclose(winograd_by_hand(x, w, 2), exact, rtol=0, atol=1e-12)
assert np.allclose(winograd_by_hand(x, w, 4), exact, rtol=0, atol=1e-12)
assert [9 * m**2 / (m + 2)**2 for m in (2, 4)] == [2.25, 4]                                  # (11)

# %% [markdown]
# ### The price: rounding, and why the points matter
#
# Nothing is free: large numbers that nearly cancel carry their rounding errors into the result. Numbers are large where
# powers of points are, $q^{n-1}$ and $q^{-(n-1)}$. The points $0, \pm 1, \pm 2$ of the paper are easy to write;
# $\pm\sqrt2, \pm 1/\sqrt2$ stay nearer to 1 and still lie apart from each other (as do $\pm\frac34, \pm\frac32$).
# Below, (10) is done in float32 with several sets of points and compared with float64.


# %%
def matrices(points, m):
    """(B^T, G, A^T) for any m + 1 points and infinity."""
    E = values_at(points, m + 2)
    lagrange = np.linalg.inv(E).T
    scale = np.append([np.prod([q - p for p in points if p != q]) for q in points], 1)[:, None]
    return lagrange * scale, values_at(points, 3) / scale, values_at(points, m).T


def error(points, m, channels=64, tiles=200):
    """Largest error of random tiles relative to the largest output, every step rounded to float32."""
    B, G, A = (M.astype(np.float32) for M in matrices(points, m))
    rng = np.random.default_rng(1)
    d = rng.standard_normal((tiles, channels, m + 2, m + 2), np.float32)
    g = rng.standard_normal((channels, 3, 3), np.float32)
    y = A @ np.einsum("cpq,tcpq->tpq", G @ g @ G.T, B @ d @ B.T) @ A.T
    windows = sliding_window_view(d.astype(float), (3, 3), axis=(2, 3))
    exact = np.einsum("tcijpq,cpq->tij", windows, g.astype(float), optimize=True)
    return np.abs(y - exact).max() / np.abs(exact).max()


root = 2**0.5
candidates = {"m = 2: 0, ±1": ((0, 1, -1), 2), "m = 4: 0, ±1, ±2": ((0, 1, -1, 2, -2), 4),
              "m = 4: 0, ±1, ±3": ((0, 1, -1, 3, -3), 4), "m = 4: 0, ±3/4, ±3/2": ((0, .75, -.75, 1.5, -1.5), 4),
              "m = 4: 0, ±1/√2, ±√2": ((0, 1 / root, -1 / root, root, -root), 4),
              "m = 6: 0, ±1, ±2, ±1/2": ((0, 1, -1, 2, -2, .5, -.5), 6)}
errors = {name: error(*case) for name, case in candidates.items()}
with figure_style():
    fig, ax = plt.subplots(figsize=(6.4, 2.7))
ax.barh(list(errors), list(errors.values()), color=[PALETTE[2 if "√" in name else 0] for name in errors], height=0.6)
for k, value in enumerate(errors.values()):
    ax.text(value * 1.08, k, f"{value:.1e}", va="center", fontsize=8)
ax.set(xscale="log", xlabel="largest error / largest output, float32", xlim=(1e-7, 3e-4))
ax.invert_yaxis()
plt.show()
textbook, chosen = errors["m = 4: 0, ±1, ±2"], errors["m = 4: 0, ±1/√2, ±√2"]
assert chosen < textbook / 2 and errors["m = 2: 0, ±1"] < chosen and errors["m = 4: 0, ±1, ±3"] > textbook
assert POINTS[4] == (0, 2**-0.5, -2**-0.5, 2**0.5, -2**0.5)              # the library's choice

# %% [markdown]
# > **Where paper and code differ.** Lavin and Gray use $0, \pm1, \pm2$ for $m = 4$; the points here make a convolution
# > no slower, because pairs $\pm q$ share their sums. Tiles of $6 \times 6$ outputs would save little more and lose
# > another digit. The number of operations in (4) is that of the definition: by (11) it is no lower bound.
#
# ## Check by hand
#
# ### A matrix product in six steps
#
# $C = A B$, $2 n^3$ operations. Each step changes one thing.
#
# 1. *Definition*: three loops in Python.
# 2. *Naive*: the same loops, compiled. The inner loop walks down a column of $B$, and each addition waits for the last.
# 3. *Order*: the loop over $j$ goes inside. Now it walks along rows, and the compiler can use vectors; but every sum is
#    loaded and stored again for every $k$.
# 4. *Tiled*: four rows at a time, so that a loaded row of $B$ is used four times.
# 5. *Register tile*: sums stay in registers (5). $B$ is packed in panels of two vectors, so that a tile reads it in
# order.
# 6. *BLAS*: what NumPy calls, written by experts for each processor.


# %%
def product_definition(A, B, C):
    for i in range(len(A)):
        for j in range(B.shape[1]):
            total = np.float32(0)
            for k in range(len(B)):
                total += A[i, k] * B[k, j]
            C[i, j] = total


def product_ordered(A, B, C):
    C[:] = 0
    for i in range(len(A)):
        for k in range(len(B)):
            a = A[i, k]
            for j in range(B.shape[1]):
                C[i, j] += a * B[k, j]


def product_tiled(A, B, C):
    C[:] = 0
    for i in range(0, len(A), 4):
        for k in range(len(B)):
            a0, a1, a2, a3 = A[i, k], A[i + 1, k], A[i + 2, k], A[i + 3, k]
            for j in range(B.shape[1]):
                b = B[k, j]
                C[i, j] += a0 * b
                C[i + 1, j] += a1 * b
                C[i + 2, j] += a2 * b
                C[i + 3, j] += a3 * b


def product_by_tiles(A, packed, C, tile_rows, tile):
    """`packed` (blocks, K, width) holds B in panels."""
    (M, depth), N = A.shape, C.shape[1]
    blocks, _, width = packed.shape
    taps = np.zeros(1, np.int64)
    for block in range(blocks):
        b = packed.ctypes.data + 4 * block * depth * width
        for i in range(0, M, tile_rows):
            a, c = A.ctypes.data + 4 * i * depth, C.ctypes.data + 4 * (i * N + block * width)
            call(tile, (min(tile_rows, M - i), 1, taps.ctypes.data, taps.ctypes.data, depth, a, depth,
                        b, width, c, N, 0))


def in_panels(B):
    return np.ascontiguousarray(B.reshape(len(B), -1, width).swapaxes(0, 1))


ladder = {}


def step(name, function, *args, operations, result, exact):
    """Time one version, compare its result, note its rate."""
    ladder[name] = operations / seconds(function, *args) / 1e9
    assert np.allclose(result, exact, rtol=0, atol=2e-5 * np.abs(exact).max()), name
    print(f"{name:34} {ladder[name]:8.3f} GF/s   {100 * ladder[name] / peak:6.2f} % of the peak")


n = 32 if small else 384
A, B, C = normal(n, n), normal(n, n), np.empty((n, n), np.float32)
tiny, work = slice(0, 32), {"operations": 2 * n**3, "result": C, "exact": A @ B}
step("product: Python loops", product_definition, A[tiny, tiny], B[tiny, tiny], C[tiny, tiny],
     operations=2 * 32**3, result=C[tiny, tiny], exact=A[tiny, tiny] @ B[tiny, tiny])
if compiled:
    step("product: naive, compiled", jit(product_definition), A, B, C, **work)
    step("product: ordered", jit(product_ordered), A, B, C, **work)
    step("product: tiled by four rows", jit(product_tiled), A, B, C, **work)
    step("product: register tile", jit(product_by_tiles), A, in_panels(B), C, tile_rows, tile_address, **work)
step("product: BLAS", np.matmul, A, B, C, **work)
assert len(ladder) == (6 if compiled else 2)

# %% [markdown]
# ### A convolution, the same way
#
# One image $x\ (H, W, C)$ with the channels last in memory and a border of zeros, a filter $w\ (P, Q, C, O)$. The new
# idea comes at the end: the three taps of a filter row and their channels lie *next to each other* in the image, so
# the row of windows of one output row is a matrix with overlapping rows, and the register tile takes it as it is: rows
# $C$ numbers apart, $Q\,C$ numbers deep, one tap for each row of the filter.
#
# $$y_{i,j,:} = \sum_{p=1}^{P} \; \sum_{k=1}^{Q C} \; x_{i+p,\; jC + k} \; w_{p,k,:} \tag{12}$$


# %%
def conv_definition(x, w, y):
    (I, J, O), (P, Q, C) = y.shape, w.shape[:3]
    for i in range(I):
        for j in range(J):
            for o in range(O):
                total = np.float32(0)
                for p in range(P):
                    for q in range(Q):
                        for c in range(C):
                            total += x[i + p, j + q, c] * w[p, q, c, o]
                y[i, j, o] = total


def conv_windows(x, w, y):
    """NumPy: the windows are a view, the sum is written as such."""
    y[:] = np.einsum("ijcpq,pqco->ijo", sliding_window_view(x, w.shape[:2], axis=(0, 1)), w)


def conv_columns(x, w, y):
    """NumPy: the windows are copied into a matrix (im2col), the sum is one BLAS call."""
    windows = sliding_window_view(x, w.shape[:2], axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    np.matmul(windows.reshape(y.shape[0] * y.shape[1], -1), w.reshape(-1, w.shape[3]),
              out=y.reshape(-1, w.shape[3]))


def conv_ordered(x, w, y):
    (I, J, O), (P, Q, C) = y.shape, w.shape[:3]
    y[:] = 0
    for i in range(I):
        for j in range(J):
            for p in range(P):
                for q in range(Q):
                    for c in range(C):
                        a = x[i + p, j + q, c]
                        for o in range(O):
                            y[i, j, o] += a * w[p, q, c, o]


def conv_by_tiles(x, packed, y, tile_rows, tile):
    """(12): `packed` (blocks, P, Q C, width); a tile is a dozen outputs of one row."""
    W, C = x.shape[1:]
    I, J, O = y.shape
    blocks, P, depth, width = packed.shape
    a_taps, b_taps = np.arange(P) * W * C, np.arange(P) * depth * width
    for i in range(I):
        for block in range(blocks):
            b = packed.ctypes.data + 4 * block * P * depth * width
            for j in range(0, J, tile_rows):
                a = x.ctypes.data + 4 * (i * W + j) * C
                to = y.ctypes.data + 4 * ((i * J + j) * O + block * width)
                call(tile, (min(tile_rows, J - j), P, a_taps.ctypes.data, b_taps.ctypes.data, depth, a, C,
                            b, width, to, O, 0))


def library(x, w, y, algo):
    y[:] = K.conv2d(x.transpose(2, 0, 1)[None], w.transpose(3, 2, 0, 1), algo=algo)[0].transpose(1, 2, 0)


size, channels = (12, 2 * width) if small else (56, 64)
channels = 8 if not compiled else channels
image, w = np.pad(normal(size, size, channels), ((1, 1), (1, 1), (0, 0))), normal(3, 3, channels, channels)
exact = np.empty((size, size, channels))
library(image.astype(float), w.astype(float), exact, "im2col")
y, operations = np.empty(exact.shape, np.float32), conv_work(size, size, channels, channels)[0]
work = {"operations": operations, "result": y, "exact": exact}
part = y[:2, :2, :4].copy()
step("conv: Python loops", conv_definition, image, w[..., :4], part, operations=2 * part.size * w[..., 0].size,
     result=part, exact=exact[:2, :2, :4])
step("conv: NumPy windows", conv_windows, image, w, y, **work)
step("conv: im2col and BLAS", conv_columns, image, w, y, **work)
if compiled:
    step("conv: naive, compiled", jit(conv_definition), image, w, y, **work)
    step("conv: ordered", jit(conv_ordered), image, w, y, **work)
    packed = panels(w.transpose(3, 2, 0, 1))[0].reshape(-1, 3, 3 * channels, width)
    y[:] = 0
    step("conv: register tile, by hand", jit(conv_by_tiles), image, packed, y, tile_rows, tile_address, **work)
    step("conv: library, direct", library, image, w, y, "direct", **work)
    step("conv: library, Winograd", library, image, w, y, "winograd", **work)
else:
    step("conv: library", library, image, w, y, "im2col", **work)

# %% [markdown]
# For Winograd's method the rate counts the operations of the *definition*: it is the speed that the user sees, and it
# can lie above the peak, because a part of those operations is never done. The library's rates include what our fifteen
# lines left out: packing the filter, the border, and here a copy of the result.

# %%
names = {"product": [name for name in ladder if name.startswith("product")],
         "conv": [name for name in ladder if name.startswith("conv")]}
with figure_style():
    fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.0), sharex=True)
for ax, (kind, rows), color in zip(axes, names.items(), (PALETTE[0], PALETTE[2])):
    rates = [ladder[name] for name in rows]
    ax.barh([name.split(": ")[1] for name in rows], rates, color=color, height=0.6)
    for k, rate in enumerate(rates):
        ax.text(rate * 1.15, k, f"{rate:.3g}", va="center", fontsize=8, bbox={"fc": "white", "ec": "none", "pad": 0.6})
    ax.axvline(peak, color=PALETTE[1], linestyle="--", lw=1.2)
    ax.set(xscale="log", xlabel="GF/s (dashed: peak of one core)", title={"conv": "convolution"}.get(kind, kind),
           xlim=(1e-3, 3e3))
    ax.invert_yaxis()
plt.show()
assert set(ladder) == {*names["product"], *names["conv"]}

# %% [markdown]
# ## Use the library
#
# ### Three versions of one kernel
#
# Every hot kernel exists three times: the *definition* (loops, in the test), the *twin* (NumPy, beside the kernel; it
# runs where there is no compiler) and the *fast* one. They take the same arguments. Here the loops of direct
# convolution: a *plan* says which outputs see which taps, so that no zeros are put round the image.


# %%
x, w = normal(1, 3, 9, 8), normal(5, 3, 3, 3)
x = K.channels_last(x)
geometry = Geometry((3, 3), (9, 8), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
plan = direct.forward_plan((1, 9, 8, 3), 5, geometry)
results = {}
for name, function in (("twin", correlate.twin), ("fast", lambda *args: correlate(len(plan.boxes), *args))):
    y = np.full((1, 9, 8, 5), np.nan, np.float32)
    function(x.transpose(0, 2, 3, 1), panels(w), y, *plan, *addresses("tile", "narrow_tile"))
    results[name] = y[0]
results["definition"] = np.empty((9, 8, 5), np.float32)
conv_definition(np.pad(x[0].transpose(1, 2, 0), ((1, 1), (1, 1), (0, 0))), w.transpose(2, 3, 1, 0),
                results["definition"])
for name, y in results.items():
    print(f"{name:10} largest difference from the definition {np.abs(y - results['definition']).max():.1e}")
    assert np.allclose(y, results["definition"], rtol=0, atol=1e-5)
print(f"the plan has {len(plan.boxes)} boxes: the inner part, edges and corners")
assert sorted({tuple(box[13:15]) for box in plan.boxes}) == [(2, 6), (2, 9), (3, 6), (3, 9)]  # (taps, depth)

# %% [markdown]
# A twin is read like a formula and serves three times: it explains, it runs without a compiler, and the tests compare
# with it. The fast one has no checks: it gets addresses. So all arguments are checked above it, in `conv2d`, and tests
# put bands of NaN round every array: whatever is read outside shows in the result, whatever is written outside in the
# band.
#
# ### Memory is not free: the buffer pool
#
# A large array that is made anew costs more than the arithmetic on it. The system hands out addresses without memory;
# the first touch of each page is a *fault*, in which the system finds a page and clears it. A pool keeps the
# memory of arrays that are no longer used. Faults are counted by the system, not timed:


# %%
def faults():
    """Page faults of this process so far, None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def fill(make):
    a = make((2**22 if small else 2**24,), np.float32)            # 64 MB
    a.fill(1)
    return a.ctypes.data


K.empty_cache()
for name, make in (("np.empty", np.empty), ("K.empty, the pool", K.empty)):
    places, counts, times = [], [faults()], []
    for _ in range(4):
        start = time.perf_counter()
        places.append(fill(make))
        times.append(1e3 * (time.perf_counter() - start))
        counts.append(faults())
    if counts[0] is not None:
        print(f"{name:18} page faults {np.diff(counts).tolist()}, ms {np.round(times, 1).tolist()}")
assert len(set(places)) == 1                                      # the pool gave the same memory four times

held = K.empty((2**20,), np.float32)
view = held[5:]
del held
assert K.empty((2**20,), np.float32).ctypes.data != view.ctypes.data - 20      # a living view keeps its memory

# %% [markdown]
# Pages have 4 kB, but the system may take many at once, so there can be fewer faults than 4 kB blocks. `np.empty` keeps
# small blocks itself; from some ten megabytes on it does not.
#
# ### Threads, and why the bytes stay the same
#
# Floats do not add up to the same number in another order: $(a + b) + c \neq a + (b + c)$. If the work were divided by
# the number of threads, results would depend on the machine. Here it is cut into *items* by the shape alone, every item
# owns what it writes, and threads only take different items. Partial sums are made for each item and added in order.
# (On a machine that is busy with other work, more threads need not be faster.)

# %%
assert np.float32(1e8) + np.float32(1) - np.float32(1e8) != np.float32(1e8) - np.float32(1e8) + np.float32(1)
C = 64 if compiled else 4
N = 2 if small else 8
x, w, g = K.channels_last(normal(N, C, 56, 56)), normal(C, C, 3, 3), normal(N, C, 56, 56)
same = {"padding": ((1, 1), (1, 1))}
bits = {}
for count in (1, 2, 3):
    K.set_num_threads(count)
    with K.deterministic():                                       # BLAS, where it is used, keeps to one thread
        t = seconds(lambda: K.conv2d(x, w, **same))
        bits[count] = [a.tobytes() for a in (K.conv2d(x, w, **same), K.conv2d_input(g, w, size=(56, 56), **same),
                                             K.conv2d_filter(x, g, size=(3, 3), **same))]
    print(f"threads: {count}, forward {1e3 * t:.2f} ms")
assert bits[1] == bits[2] == bits[3]                              # output and both gradients, every bit
K.set_num_threads(1)

# %% [markdown]
# ## Experiment
#
# ### The roofline of this machine
#
# Every operation of a network at its place: intensity by (2) and (4), rate as measured, one thread. What lies to the
# left of the ridge can only become faster by moving less, for instance by doing two operations in one pass; what lies
# to the right, by better arithmetic or, as Winograd, by less of it.


# %%
def conv_case(C, O, H, kernel, N=1, groups=1, **how):
    x = K.channels_last(normal(N, C, H, H))
    w, before = normal(O, C // groups, kernel, kernel), kernel // 2
    operations = 2 * N * H * H * O * C // groups * kernel**2
    moved = 4 * (N * H * H * (C + O) + w.size)
    t = seconds(lambda: K.conv2d(x, w, padding=before, groups=groups, **how))
    return operations / moved, operations / t / 1e9


H = 14 if small else 56
C = 64 if compiled else 8
cases = {"3x3 direct": conv_case(C, C, H, 3, algo="direct" if compiled else None),
         "3x3 by default": conv_case(C, C, H, 3), "3x3 im2col": conv_case(C, C, H, 3, algo="im2col"),
         "1x1": conv_case(C, 4 * C, H, 1), "7x7, 3 channels": conv_case(3, C, 2 * H, 7),
         "depthwise 3x3": conv_case(C, C, 2 * H, 3, groups=C)}
a, b = normal(2**16 if small else 2**23), normal(2**16 if small else 2**23)
cases["a + b"] = 1 / 12, a.size / seconds(np.add, a, b, a.copy()) / 1e9
peak, bandwidth = (max(pair) for pair in zip((peak, bandwidth), limits()))       # once more: the best of both counts
with figure_style():
    fig, ax = plt.subplots(figsize=(6.6, 4.0))
I = np.geomspace(0.03, 1000, 200)
ax.loglog(I, np.minimum(peak, I * bandwidth), color=PALETTE[6], label="roof (2)")
offsets = {"3x3 im2col": (6, -11), "3x3 by default": (6, 5), "3x3 direct": (6, 3), "1x1": (-22, -3),
           "7x7, 3 channels": (-44, 7)}
for (name, (intensity, rate)), color in zip(cases.items(), PALETTE * 2):
    ax.plot(intensity, rate, "o", color=color)
    ax.annotate(name, (intensity, rate), offsets.get(name, (6, -4)), textcoords="offset points", fontsize=8)
ax.set(xlabel="operations for each byte of memory traffic", ylabel="GF/s", ylim=(peak / 300, peak * 8),
       xlim=(0.03, 2000))
ax.legend()
plt.show()
for name, (intensity, rate) in cases.items():
    roof = min(peak, intensity * bandwidth)
    print(f"{name:16} intensity {intensity:7.2f}, {rate:7.2f} GF/s, {100 * rate / roof:4.0f} % of its roof")
assert cases["a + b"][0] < cases["depthwise 3x3"][0] < cases["1x1"][0] < cases["3x3 direct"][0]

# %% [markdown]
# Points above the roof are no mistake. Winograd's counts operations that are not done, and a small array stays in the
# cache from one call to the next, where more bytes come in a second than the bandwidth of memory.
#
# ### Speed and error side by side
#
# The library's methods on one shape, error against float64. `precision="high"` keeps Winograd to the small tiles.

# %%
C = 64 if compiled else 8
x, w = K.channels_last(normal(1, C, 28, 28)), normal(C, C, 3, 3)
exact = K.conv2d(x.astype(float), w.astype(float), padding=1)
settings = {"im2col": {"algo": "im2col"}, "by default": {}}
if compiled:
    settings |= {"direct": {"algo": "direct"}, "Winograd, 2 x 2 outputs": {"algo": "winograd", "precision": "high"},
                 "Winograd, 4 x 4 outputs": {"algo": "winograd"}}
for name, how in settings.items():
    off = np.abs(K.conv2d(x, w, padding=1, **how) - exact).max() / np.abs(exact).max()
    t = seconds(lambda how=how: K.conv2d(x, w, padding=1, **how))
    print(f"{name:24} error {off:.1e}   {1e3 * t:6.3f} ms")
    assert off < (3e-6 if how.get("precision") == "high" or how.get("algo") in ("direct", "im2col") else 5e-6)
K.set_num_threads(threads)

# %% [markdown]
# ## Exercises
#
# **1.** AVX2 has 16 registers of 8 floats. Which tile has the fewest loads for each multiply-add by (6)? Which one with
# AVX-512? Why does the library take two vectors all the same?
#
# <details><summary>Answer</summary>
#
# With 16 registers 4 x 3 (0.583) beats 6 x 2 (0.667); with 32 it is 5 x 5 (0.4) before 14 x 2 (0.571). But below one
# load for each multiply-add loads are no longer the bottleneck, and a row of five vectors is 80 channels: layers with
# 32, 64 or 96 would leave a part of the tiles empty.
#
# ```python
# def tiles(registers):
#     allowed = [(R, V) for R in range(1, 32) for V in range(1, 9) if R * V + V + 1 <= registers]
#     return min(allowed, key=lambda tile: 1 / tile[0] + 1 / tile[1])
#
#
# assert tiles(16) == (4, 3) and tiles(32) == (5, 5)
# assert 1 / 5 + 1 / 5 < 1 / 9 + 1 / 3 < 1 / 14 + 1 / 2 < 1
# ```
# </details>
#
# **2.** Make the matrices for $m = 3$ and check them. How many multiplications does a 3 x 3 output tile take, and what
# is the factor of (11)?
#
# <details><summary>Answer</summary>
#
# Five points; $25$ products for $9$ outputs instead of 81, a factor of 3.24.
#
# ```python
# B, G, A = matrices((0, 1, -1, 2), 3)
# d, g = rng.standard_normal((5, 5)), rng.standard_normal((3, 3))
# y = A @ ((G @ g @ G.T) * (B @ d @ B.T)) @ A.T
# assert np.allclose(y, K.conv2d(d[None, None], g[None, None])[0, 0])
# assert 81 / 25 == 3.24
# ```
# </details>
#
# **3.** A depthwise convolution does $2 \cdot 9$ operations for each number it reads and each it writes. Which limit
# does it meet on a machine with 118 GF/s and 25 GB/s? How many channels must a full 3 x 3 convolution have to reach
# the other?
#
# <details><summary>Answer</summary>
#
# $I = 18 / 8 = 2.25$, the ridge is at $118 / 25 = 4.7$: memory, at most 56 GF/s. For $C = O$ by (4), $I = 9\,C/4$, so
# three channels are enough (for large images).
#
# ```python
# assert 18 / 8 < 118 / 25 and 18 / 8 * 25 == 56.25
# assert 9 * 2 / 4 < 118 / 25 < 9 * 3 / 4
# ```
# </details>
#
# **4.** The filter gradient sums over all pixels, so items cannot own what they write. How can its bytes be the same
# for any number of threads? Show with 10,000 numbers that cutting by threads would change them.
#
# <details><summary>Answer</summary>
#
# A fixed number of partial sums, given by the shape, and one thread adds them up in order (`direct.conv_filter`).
#
# ```python
# a = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
#
#
# def in_parts(count):
#     total = np.float32(0)
#     for piece in np.array_split(a, count):
#         total += np.add.accumulate(piece)[-1]
#     return total
#
#
# assert len({in_parts(count).tobytes() for count in (1, 2, 3, 4)}) > 1
# assert in_parts(16) == in_parts(16)
# ```
# </details>
#
# **5.** Two layers $y = \max(0, s x + t)$ and $z = y + x$ on an array that fits into no cache. Count the bytes of
# NumPy's way (one pass for each of the four operations) and of one fused loop.
#
# <details><summary>Answer</summary>
#
# $s x$: read, write; $+ t$: read, write; max: read, write; $+ x$: two reads, one write. Nine numbers of 4 bytes
# against two: a fused loop is 4.5 times faster, whatever the processor.
#
# ```python
# @jit
# def fused(x, s, t, z):
#     for i in range(len(x)):
#         z[i] = max(np.float32(0), s * x[i] + t) + x[i]
#
#
# x = normal(1000)
# z = np.empty_like(x)
# fused(x, np.float32(2), np.float32(0.5), z)
# assert np.allclose(z, np.maximum(0, 2 * x + 0.5) + x, atol=1e-6) and (2 + 2 + 2 + 3) / 2 == 4.5
# ```
# </details>
