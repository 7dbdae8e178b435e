"""What a convolution knows beside its arrays."""

from typing import NamedTuple


class Geometry(NamedTuple):
    """Settings of a convolution: kernel (P, Q), output grid (I, J), pairs (vertical, horizontal)."""
    kernel: tuple
    grid: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int

    @property
    def corner(self):
        """Padding before the first row and column."""
        return self.padding[0][0], self.padding[1][0]

    @property
    def pointwise(self):
        """Whether the matrix of windows is the image itself."""
        return self.kernel == (1, 1) == self.stride and self.padding == ((0, 0), (0, 0))
