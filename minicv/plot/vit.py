"""What vision transformers learn: filters, similar positions, distances of attention, attention over an image."""

import numpy as np

from ..errors import ShapeError
from .images import show_filters, show_image
from .style import PALETTE, SEQUENTIAL, figure_style, new_axes


def show_patches(image, size, *, ax=None):
    """Show an image (3, H, W) or (1, H, W) cut into patches of `size` pixels, numbered in reading order.

    size : int, a divisor of H and W
    """
    _, H, W = np.shape(image)
    if H % size or W % size:
        raise ShapeError(f"show_patches: image has height, width {H}, {W}, expected multiples of size = {size}")
    ax = show_image(image, ax=ax)
    for x in range(0, W + 1, size):
        ax.axvline(x, color="white", linewidth=1.5)
    for y in range(0, H + 1, size):
        ax.axhline(y, color="white", linewidth=1.5)
    for n, (i, j) in enumerate(np.ndindex(H // size, W // size)):
        ax.text(j * size + 0.1 * size, i * size + 0.1 * size, n + 1, fontsize=7, color="white", va="top",
                bbox={"boxstyle": "round,pad=0.1", "facecolor": "black", "alpha": 0.5, "linewidth": 0})
    return ax


def show_principal_filters(filters, *, shares=None, columns=7, ax=None):
    """Show filters (K, 3, P, Q), such as `vit.principal_filters`, gray meaning zero.

    shares : array (K,) or None
        The part of the variance that each explains; their sum goes into the title.
    """
    ax = show_filters(filters, columns=columns, ax=ax)
    total = "" if shares is None else f", {100 * np.sum(shares):.0f} % of the variance"
    ax.set_title(f"{len(filters)} principal components{total}")
    return ax


def show_similarity(similarity, *, ax=None):
    """Show the similarities (I, J, I, J) of positions as a grid of grids: the map at row i, column j is that of patch
    (i, j) with all others.

    With the colours of all maps alike, from the lowest similarity to 1.
    """
    similarity = np.asarray(similarity)
    if similarity.ndim != 4 or similarity.shape[:2] != similarity.shape[2:]:
        raise ShapeError(f"show_similarity: similarity has shape {similarity.shape}, expected (I, J, I, J)")
    I, J = similarity.shape[:2]
    sheet = np.full((I, I + 1, J, J + 1), np.nan)                                     # a gap behind each map
    sheet[:, :I, :, :J] = similarity.transpose(0, 2, 1, 3)
    sheet = sheet.reshape(I * (I + 1), J * (J + 1))[:-1, :-1]
    ax = new_axes(ax, size=(5.0, 4.4))
    shown = ax.imshow(sheet, cmap=SEQUENTIAL, interpolation="nearest")
    ax.set_xticks(np.arange(J) * (J + 1) + (J - 1) / 2, np.arange(1, J + 1))
    ax.set_yticks(np.arange(I) * (I + 1) + (I - 1) / 2, np.arange(1, I + 1))
    ax.set(xlabel="column of the patch", ylabel="row of the patch")
    ax.grid(False)
    ax.figure.colorbar(shown, ax=ax, label="cosine similarity")
    return ax


def plot_attention_distance(distances, *, uniform=None, before=None, ax=None):
    """Plot mean attention distances (layers, heads) in pixels against the layer, one point for each head.

    uniform : float or None
        A line at the distance of uniform attention.
    before : array (layers, heads) or None
        The same before training, as small crosses.
    """
    distances = np.asarray(distances)
    if distances.ndim != 2:
        raise ShapeError(f"plot_attention_distance: distances has shape {distances.shape}, expected (layers, heads)")
    ax = new_axes(ax)
    layers = np.arange(1, len(distances) + 1)
    if before is not None:
        lines = ax.plot(layers, before, "x", color="gray", markersize=5)
        lines[0].set_label("before training")
    for head, column in enumerate(distances.T):
        ax.plot(layers, column, "o", color=PALETTE[head % len(PALETTE)], label=f"head {head + 1}")
    if uniform is not None:
        ax.axhline(uniform, color="gray", linestyle="--", linewidth=1.2, label="uniform attention")
    ax.set(xlabel="layer", ylabel="mean attention distance in pixels", xticks=layers)
    ax.legend()
    return ax


def show_rollout(images, shares, *, titles=None):
    """Show images (N, 3, H, W) above the shares (N, I, J) of their patches in the class token, as a figure.

    Each lower picture is the image, the darker the smaller the share, with the largest share at full brightness.
    """
    images, shares = np.asarray(images), np.asarray(shares)
    if images.ndim != 4 or shares.ndim != 3 or len(images) != len(shares):
        raise ShapeError(f"show_rollout: images has shape {images.shape} and shares {shares.shape}, expected "
                         "(N, 3, H, W) and (N, I, J)")
    import matplotlib.pyplot as plt

    with figure_style():
        figure, axes = plt.subplots(2, len(images), figsize=(1.5 * len(images), 3.3), squeeze=False)
    scale = (images.shape[2] // shares.shape[1], images.shape[3] // shares.shape[2])
    for n, (image, share) in enumerate(zip(images, shares, strict=True)):
        bright = np.kron(share / share.max(), np.ones(scale))
        show_image(image, ax=axes[0, n], title=titles and titles[n])
        show_image(image * bright, ax=axes[1, n])
    return figure
