"""Batches on their way to a GPU while it works on the one before."""

from __future__ import annotations

from dlx import _core, cuda

__all__ = ["sent_ahead"]


def sent_ahead(batches, device):
    """Tuples of CPU Tensors, each copied to a GPU through pinned memory, one ahead of its use."""
    copies = cuda.Stream(device)
    sent = None  # (batch, event after its copies)
    for batch in batches:
        waiting, sent = sent, _send(batch, device, copies)
        if waiting is not None:
            yield _arrived(*waiting)
    if sent is not None:
        yield _arrived(*sent)


def _send(batch, device, copies):
    pinned = [each.pin_memory() for each in batch]
    with cuda.stream(copies):
        return tuple(each.to(device) for each in pinned), copies.record_event()


def _arrived(batch, copied):
    """The batch, as if the current stream had made it: that waits for these copies, not for those
    of the next batch, which share their stream."""
    current = cuda.current_stream(batch[0].device)
    current.wait_event(copied)
    for each in batch:
        _core.hand_over(each, current._native)
    return batch
