"""The table of a model: layers, output shapes and sizes, parameters, mode."""

from __future__ import annotations

import dlx
from dlx.train.model import Mode

__all__ = ["summarize"]


def summarize(model, input_shape, dtype):
    """The table as text, from one run on a single row of zeros in eval mode without a graph.

    input_shape: of one row, without the batch axis, which the table calls N. size counts the
    elements of an output for one row.
    """
    outputs = _outputs(model, input_shape, dtype)
    rows, counted = [], set()
    for name, module in model.named_modules():
        own = list(module.named_parameters(recurse=False))
        if next(iter(module.children()), None) is not None and not own:
            continue
        count = 0
        for _, parameter in own:
            if id(parameter) not in counted:
                counted.add(id(parameter))
                count += parameter._numel
        label = f"{name} ({type(module).__name__})" if name else type(module).__name__
        mode = "train" if module.training else "eval"
        shape, size = outputs.get(id(module), ("not run", ""))
        rows.append((label, shape, size, f"{count:,}", mode))
    total = sum(p._numel for p in model.parameters())
    trainable = sum(p._numel for p in model.parameters() if p.requires_grad)
    title = f"{type(model).__name__}, input {_shape((1, *input_shape))}"
    table = _table(("layer", "output", "size", "parameters", "mode"), rows)
    mode = "train" if model.training else "eval"
    frozen = total - trainable
    totals = f"{total:,} parameters, {trainable:,} trainable, {frozen:,} frozen; {mode} mode"
    return f"{title}\n{table}\n{totals}"


def _outputs(model, input_shape, dtype):
    """{id of a module: shape and size of its last output, as text}.

    Lazy layers take their sizes here."""
    outputs = {}

    def note(module, args, output):
        if isinstance(output, dlx.Tensor):
            outputs[id(module)] = _shape(output.shape), f"{output._numel:,}"

    handles = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with Mode(model, training=False), dlx.no_grad():
            model(dlx.zeros((1, *input_shape), dtype=dtype))
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def _shape(shape):
    first = "N" if shape and shape[0] == 1 else str(shape[0]) if shape else ""
    rest = "".join(f", {extent}" for extent in shape[1:])
    return f"({first}{rest})" if len(shape) != 1 else f"({first},)"


def _table(head, rows):
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    rule = "  ".join("-" * width for width in widths)
    lines = [rule]
    for row in (head, *rows):
        cells = [
            cell.rjust(width) if name in ("size", "parameters") else cell.ljust(width)
            for cell, width, name in zip(row, widths, head, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
        if row is head:
            lines.append(rule)
    return "\n".join([*lines, rule])
