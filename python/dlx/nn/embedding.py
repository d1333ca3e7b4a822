"""Embedding: a table of learned rows."""

from __future__ import annotations

import dlx
from dlx._tensor import Tensor
from dlx.nn import functional as F
from dlx.nn import init
from dlx.nn.linear import _size
from dlx.nn.module import Module
from dlx.nn.parameter import Parameter
from dlx.ops.embedding import row_of

__all__ = ["Embedding"]


class Embedding(Module):
    """y[..., :] = weight[x[...], :], a learned vector for each index.

    weight: (num_embeddings, embedding_dim), drawn from N(0, 1), PyTorch's default; row padding_idx
    starts as zeros and gets no gradient.
    x: integers of any shape, 0 <= index < num_embeddings; y: (*x.shape, embedding_dim).
    """

    def __init__(self, num_embeddings, embedding_dim, padding_idx=None, *, device=None, dtype=None):
        self.num_embeddings = _size("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = _size("Embedding", "embedding_dim", embedding_dim)
        self.padding_idx = None
        if padding_idx is not None:
            self.padding_idx = row_of("Embedding", padding_idx, self.num_embeddings)
        shape = (self.num_embeddings, self.embedding_dim)
        self.weight = Parameter(dlx.empty(shape, dtype=dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self):
        """Draw weight anew from the generator of `dlx.seed`."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with dlx.no_grad():
                self.weight[self.padding_idx] = 0.0

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, padding_idx=None):
        """A layer with these weights, (V, D), floating; freeze keeps them out of training."""
        if not isinstance(embeddings, Tensor):
            kind = type(embeddings).__name__
            raise TypeError(f"Embedding: embeddings must be a Tensor, got {kind}")
        if not embeddings.dtype.is_floating:
            raise TypeError(f"Embedding: embeddings must be floating, got {embeddings.dtype}")
        if embeddings.ndim != 2:
            raise ValueError(f"Embedding: embeddings must be (V, D), got {embeddings.shape}")
        state = dlx.random.get_state()
        try:
            layer = cls(
                *embeddings.shape, padding_idx, device=embeddings.device, dtype=embeddings.dtype
            )
        finally:
            dlx.random.set_state(state)
        layer.weight = Parameter(embeddings.detach(), requires_grad=not freeze)
        return layer

    def forward(self, x):
        """x: integers of any shape -> (*x.shape, embedding_dim)."""
        return F.embedding(x, self.weight, self.padding_idx)

    def _config(self):
        return {
            "num_embeddings": self.num_embeddings,
            "embedding_dim": self.embedding_dim,
            "padding_idx": self.padding_idx,
            "dtype": str(self.weight.dtype),
        }

    def extra_repr(self):
        """The arguments that made the layer."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
