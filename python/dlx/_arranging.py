"""Tensor methods that reshape, reorder, repeat and take apart: PyTorch's names and arguments."""

from __future__ import annotations

from dlx import autodiff
from dlx._spelling import EITHER, axis_of, one_tuple
from dlx.ops import arrange, index, scan, shape
from dlx.ops._index_plan import as_int
from dlx.ops._prepare import normalize_axis, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._core import TensorBase
    from dlx._tensor import Tensor
else:
    TensorBase = object

__all__ = ["Arranging"]


class Arranging(TensorBase):
    """A part of the class Tensor."""

    __slots__ = ()

    # ---- another shape

    def reshape(self, *shape_) -> Tensor:
        """The same elements in another shape; -1 stands for what is left."""
        return shape.reshape(self, one_tuple(shape_))

    view = reshape

    def view_as(self, other) -> Tensor:
        """The same elements in the shape of `other`."""
        (other,) = prepare("view_as", other)
        return shape.reshape(self, other.shape)

    reshape_as = view_as

    def flatten(self, start_dim=0, end_dim=-1) -> Tensor:
        """Dimensions start_dim..end_dim as one."""
        return shape.flatten(self, start_dim, end_dim)

    def permute(self, *dims) -> Tensor:
        """The dimensions in another order, as a view."""
        return shape.permute_dims(self, one_tuple(dims))

    def transpose(self, dim0, dim1) -> Tensor:
        """Two dimensions swapped, as a view."""
        order = list(range(self.ndim))
        a, b = (
            normalize_axis("transpose", dim0, self.ndim),
            normalize_axis("transpose", dim1, self.ndim),
        )
        order[a], order[b] = b, a
        return shape.permuted(self, tuple(order))

    def squeeze(self, dim=EITHER, *, axis=EITHER) -> Tensor:
        """Without dimensions of extent 1 (all of them, or `dim` where it has extent 1)."""
        dim = axis_of("squeeze", dim, axis, None)
        if dim is None:
            dim = tuple(i for i, n in enumerate(self.shape) if n == 1)
        elif isinstance(dim, int):
            dim = normalize_axis("squeeze", dim, self.ndim)
            dim = (dim,) if self.shape[dim] == 1 else ()
        return shape.squeeze(self, dim) if dim else autodiff.alias(self)

    def unsqueeze(self, dim=EITHER, *, axis=EITHER) -> Tensor:
        """With a dimension of extent 1 inserted at `dim`."""
        return shape.expand_dims(self, axis_of("unsqueeze", dim, axis))

    def expand(self, *sizes) -> Tensor:
        """Broadcast to `sizes`; -1 keeps an extent."""
        sizes = tuple(one_tuple(sizes))
        own = (1,) * (len(sizes) - self.ndim) + self.shape
        return shape.broadcast_to(self, tuple(o if s == -1 else s for s, o in zip(sizes, own)))

    def expand_as(self, other) -> Tensor:
        """Broadcast to the shape of `other`."""
        (other,) = prepare("expand_as", other)
        return shape.broadcast_to(self, other.shape)

    # ---- another order

    def t(self) -> Tensor:
        """A matrix transposed, as a view; a vector as it is. Raises ValueError for more axes."""
        if self.ndim > 2:
            raise ValueError(f"t: expected at most 2 dimensions; x={self.shape}")
        return shape.permuted(self, tuple(range(self.ndim))[::-1])

    def flip(self, *dims) -> Tensor:
        """The elements in opposite order along `dims`, as a view."""
        return arrange.flip(self, tuple(one_tuple(dims)))

    def roll(self, shifts, dims=None) -> Tensor:
        """The elements moved by `shifts` places along `dims`, around the end; see dlx.roll."""
        return arrange.roll(self, shifts, dims)

    def cumsum(self, dim=EITHER, *, axis=EITHER) -> Tensor:
        """The running sums along `dim`; see dlx.cumsum."""
        return scan.cumsum(self, axis_of("cumsum", dim, axis))

    def tril(self, diagonal=0) -> Tensor:
        """x where column <= row + diagonal, else 0; see dlx.tril."""
        return arrange.tril(self, diagonal)

    def triu(self, diagonal=0) -> Tensor:
        """x where column >= row + diagonal, else 0; see dlx.triu."""
        return arrange.triu(self, diagonal)

    # ---- repeated

    def tile(self, *dims) -> Tensor:
        """x repeated dims[d] times along each axis, the shorter filled up with ones in front."""
        return arrange.tile(self, tuple(one_tuple(dims)))

    def repeat(self, *repeats) -> Tensor:
        """x repeated along its axes: `tile` with a number for every axis at least.

        Raises ValueError for fewer numbers than dimensions."""
        repeats = tuple(one_tuple(repeats))
        if len(repeats) < self.ndim:
            raise ValueError(
                f"repeat: expected a number for each of {self.ndim} dimensions, got {repeats}"
            )
        return arrange.tile(self, repeats)

    # ---- taken apart

    def unflatten(self, dim, sizes) -> Tensor:
        """Dimension `dim` as several of these sizes; one -1 stands for what is left."""
        dim = normalize_axis("unflatten", dim, self.ndim)
        if not isinstance(sizes, (tuple, list)) or not sizes:
            raise TypeError(f"unflatten: expected a tuple of sizes, got {sizes!r}")
        part = [as_int("unflatten", "ints as sizes", n) for n in sizes]
        known = 1
        for n in part:
            known *= n if n != -1 else 1
        extent = self.shape[dim]
        if part.count(-1) == 1 and known > 0 and extent % known == 0:
            part[part.index(-1)] = extent // known
            known = extent
        if known != extent or -1 in part:
            raise ValueError(
                f"unflatten: sizes {tuple(sizes)} do not make dimension {dim}; x={self.shape}"
            )
        return shape.reshape(self, (*self.shape[:dim], *part, *self.shape[dim + 1 :]))

    def split(self, split_size_or_sections, dim=0) -> tuple[Tensor, ...]:
        """Views along `dim`, of one size (the last may be smaller), or of the sizes given.

        Raises ValueError for a size < 1, and for sizes whose sum is not the extent."""
        dim = normalize_axis("split", dim, self.ndim)
        extent, sizes = self.shape[dim], split_size_or_sections
        if isinstance(sizes, (tuple, list)):
            sizes = [as_int("split", "ints as sizes", n) for n in sizes]
            if any(n < 0 for n in sizes) or sum(sizes) != extent:
                raise ValueError(
                    f"split: expected sizes that add up to {extent}, got {tuple(sizes)}; "
                    f"x={self.shape}"
                )
        else:
            size = as_int("split", "an int or a tuple of ints", sizes)
            if size < 1:
                raise ValueError(f"split: expected a size >= 1, got {size}")
            starts = range(0, extent, size) if extent else (0,)
            sizes = [min(size, extent - start) for start in starts]
        before, parts, start = (slice(None),) * dim, [], 0
        for size in sizes:
            parts.append(index.getitem(self, (*before, slice(start, start + size))))
            start += size
        return tuple(parts)

    def chunk(self, chunks, dim=0) -> tuple[Tensor, ...]:
        """At most `chunks` views of equal size along `dim`; the last may be smaller."""
        dim = normalize_axis("chunk", dim, self.ndim)
        chunks = as_int("chunk", "an int as chunks", chunks)
        if chunks < 1:
            raise ValueError(f"chunk: expected chunks >= 1, got {chunks}")
        extent = self.shape[dim]
        if extent == 0:
            return self.split((0,) * chunks, dim)
        return self.split(-(-extent // chunks), dim)

    def unbind(self, dim=0) -> tuple[Tensor, ...]:
        """The views self[..., i, ...] for each i along `dim`."""
        dim = normalize_axis("unbind", dim, self.ndim)
        before = (slice(None),) * dim
        return tuple(index.getitem(self, (*before, i)) for i in range(self.shape[dim]))

    # ---- products

    def outer(self, vec2) -> Tensor:
        """y[i, j] = x[i] vec2[j], for two vectors."""
        vec1, vec2 = prepare("outer", self, vec2, promote=True)
        if vec1.ndim != 1 or vec2.ndim != 1:
            raise ValueError(f"outer: expected two vectors; x1={vec1.shape} x2={vec2.shape}")
        return shape.reshape(vec1, (-1, 1)) * vec2
