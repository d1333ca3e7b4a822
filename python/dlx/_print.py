"""How a Tensor prints."""

from __future__ import annotations

__all__ = ["format_tensor"]


def format_tensor(x):
    """`tensor([1., 2.])`, with shape and dtype where the digits do not show them; long ones are
    summarised."""
    from numpy import array2string

    shown = x.detach().cpu()
    values = shown.float() if x.dtype.name == "bfloat16" else shown
    body = array2string(
        values.numpy(), separator=", ", prefix="tensor(", precision=4, threshold=1000
    )
    notes = [body]
    if x._numel == 0 or x._numel > 1000:
        notes.append(f"shape={x.shape}")
    if x.dtype.name not in ("float32", "int64", "bool"):
        notes.append(f"dtype={x.dtype.name}")
    if x.device != "cpu":
        notes.append(f"device={str(x.device)!r}")
    if x.requires_grad:
        notes.append("requires_grad=True" if x.is_leaf else f"from={x.node.rule.name}")
    return f"tensor({', '.join(notes)})"
