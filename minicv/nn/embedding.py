"""A learned vector for each word, class or position."""

from ..autograd.index import embedding
from . import init
from .check import integer, number
from .module import Module, Parameter


class Embedding(Module):
    """Rows of a learned table.

    Shapes: ids (...) integers in [0, V) -> (..., D); weight (V, D).

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        V and D.
    std : float, default 1
        Standard deviation of the normal initial values. NB: 1 is PyTorch's; transformers prefer D ** -0.5 or 0.02.
    rng : numpy Generator, int or None
    """

    def __init__(self, num_embeddings, embedding_dim, *, std=1.0, rng=None):
        self.num_embeddings = integer("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = integer("Embedding", "embedding_dim", embedding_dim)
        std = number("Embedding", "std", std, low=0)
        self.weight = Parameter(init.normal((self.num_embeddings, self.embedding_dim), std=std, rng=rng))

    def forward(self, ids):
        """ids (...) -> (..., D)."""
        return embedding(self.weight, ids)

    def extra_repr(self):
        """Sizes."""
        return f"{self.num_embeddings}, {self.embedding_dim}"
