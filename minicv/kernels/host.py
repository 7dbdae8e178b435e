"""The vector registers of this machine, and the register tile that fits into them."""

import os
from functools import cache
from typing import NamedTuple

from ..errors import ArgError


class Host(NamedTuple):
    """Floats in a vector register, and the rows of two vectors each that fit into all registers."""
    lanes: int
    rows: int

    @property
    def width(self):
        """Floats in a row of the tile."""
        return 2 * self.lanes


HOSTS = {"avx512": Host(16, 14),    # 32 registers: 28 sums, 2 of B, 1 of A; see `simd`
         "avx2": Host(8, 6),        # 16 registers: 12 sums, 2 of B, 1 of A
         "neon": Host(4, 8),
         "plain": Host(4, 4)}


@cache
def host():
    """The `Host` of this machine, or the one named by ``MINICV_SIMD``.

    All of them run everywhere: LLVM splits vectors that the processor does not have.
    """
    name = os.environ.get("MINICV_SIMD") or _detect()
    if name not in HOSTS:
        raise ArgError(f"MINICV_SIMD: value is {name!r}, expected one of {', '.join(HOSTS)}")
    return HOSTS[name]


def _detect():
    try:
        import llvmlite.binding
        features = llvmlite.binding.get_host_cpu_features()
    except (ImportError, RuntimeError):
        features = {}
    for feature, name in (("avx512f", "avx512"), ("avx2", "avx2"), ("neon", "neon")):
        if features.get(feature):
            return name
    return "plain"
