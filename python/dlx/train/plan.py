"""What `compile` stores: loss, metrics and optimizer, and the checks of the first batch."""

from __future__ import annotations

import warnings

import dlx
from dlx.train.metrics import find_metrics

__all__ = ["Plan"]

# Names of dlx.nn.functional behind the names that compile takes. binary_cross_entropy is of
# probabilities in both; of scores, take the one with logits.
LOSSES = {
    "cross_entropy": "cross_entropy",
    "mse": "mse_loss",
    "nll": "nll_loss",
    "binary_cross_entropy": "binary_cross_entropy",
    "binary_cross_entropy_with_logits": "binary_cross_entropy_with_logits",
    "mae": "l1_loss",
    "l1": "l1_loss",
    "smooth_l1": "smooth_l1_loss",
    "huber": "huber_loss",
    "kl_div": "kl_div",
}
LOSSES |= {name: name for name in LOSSES.values()}

# What some names of Keras are called here.
_CALLED = {
    "binary_crossentropy": "binary_cross_entropy",
    "categorical_crossentropy": "cross_entropy, of scores before a softmax and labels 0…C-1",
    "mean_absolute_error": "mae",
    "mean_squared_error": "mse",
    "sparse_categorical_crossentropy": "cross_entropy, of scores before a softmax",
}


class Plan:
    """loss: (output, target) -> 0-d Tensor; metrics: metric objects; optimizer: None until the
    first batch when it was named, since lazy layers have no parameters before.
    """

    def __init__(self, optimizer, lr, loss, metrics, jit):
        self.optimizer_class, self.optimizer = _find_optimizer(optimizer)
        if lr is not None and self.optimizer is not None:
            raise ValueError("compile: lr belongs to the optimizer object; set it there")
        if isinstance(lr, (int, float)) and not lr >= 0:
            raise ValueError(f"compile: lr must be >= 0, got {lr}")
        if jit is not True and jit is not False and jit != "auto":
            raise ValueError(f"compile: jit must be True, False or 'auto', got {jit!r}")
        self.lr, self.jit = lr, jit
        self.loss = _find_loss(loss)
        self.metrics = find_metrics("compile", metrics, scores=self._takes_scores())
        self.saved = None  # {kind, state} for an optimizer that does not exist yet
        self.started = False

    def start(self, model, output, loss, target):
        """The checks of the first batch; creates the optimizer."""
        if not isinstance(loss, dlx.Tensor) or loss.ndim != 0:
            got = f"shape {loss.shape}" if isinstance(loss, dlx.Tensor) else type(loss).__name__
            raise ValueError(f"fit: the loss must be a 0-d Tensor, got {got}")
        if not loss.requires_grad:
            raise ValueError("fit: the loss depends on no parameter that requires a gradient")
        if self._is_cross_entropy():
            warn_of_softmax(model, output)
        if self.optimizer is None:
            options = {} if self.lr is None else {"lr": self.lr}
            self.optimizer = self.optimizer_class(model.parameters(), **options)
        else:
            self._check_owner(model)
        if self.saved is not None:
            self.restore(self.saved)
        self.started = True

    def check_kind(self, saved):
        """Raise ValueError unless {kind, state} of a file is of the optimizer's class."""
        if saved["kind"] != self.optimizer_class.__name__:
            raise ValueError(
                f"the file holds the state of {saved['kind']}, "
                f"the model is compiled with {self.optimizer_class.__name__}"
            )

    def restore(self, saved):
        """Give {kind, state} of a file to the optimizer, now or when there is one."""
        self.saved = None if self.optimizer is not None else saved
        if self.optimizer is not None:
            self.optimizer.load_state_dict(saved["state"])

    def state(self):
        """{kind, state} of the optimizer, for a file; None before there is any."""
        if self.optimizer is None:
            return self.saved
        return {"kind": self.optimizer_class.__name__, "state": self.optimizer.state_dict()}

    def _is_cross_entropy(self):
        functional = dlx.nn.functional.cross_entropy
        return self.loss is functional or isinstance(self.loss, dlx.nn.CrossEntropyLoss)

    def _takes_scores(self):
        functional = dlx.nn.functional.binary_cross_entropy_with_logits
        return self.loss is functional or isinstance(self.loss, dlx.nn.BCEWithLogitsLoss)

    def _check_owner(self, model):
        own = {id(parameter) for parameter in model.parameters()}
        groups = self.optimizer.param_groups
        if not any(id(parameter) in own for group in groups for parameter in group["params"]):
            raise ValueError("fit: the optimizer holds no parameter of this model")


def _find_optimizer(optimizer):
    """(class, object or None) for a name, in any case, or an object."""
    if isinstance(optimizer, dlx.optim.Optimizer):
        return type(optimizer), optimizer
    classes = {
        name.lower(): found
        for name, found in vars(dlx.optim).items()
        if isinstance(found, type) and name != "Optimizer"
    }
    if not isinstance(optimizer, str):
        raise TypeError(f"compile: optimizer must be a name or an Optimizer, got {optimizer!r}")
    if optimizer.lower() not in classes:
        raise ValueError(f"compile: unknown optimizer {optimizer!r}; known: {', '.join(classes)}")
    return classes[optimizer.lower()], None


def _find_loss(loss):
    if isinstance(loss, str):
        if loss not in LOSSES:
            hint = f"it is {_CALLED[loss]}; " if loss in _CALLED else ""
            raise ValueError(f"compile: unknown loss {loss!r}; {hint}known: {', '.join(LOSSES)}")
        return getattr(dlx.nn.functional, LOSSES[loss])
    if loss is None or isinstance(loss, type) or not callable(loss):
        raise TypeError(
            f"compile: loss must be one of {', '.join(LOSSES)} or a function of "
            f"(output, target), got {loss!r}"
        )
    return loss


def warn_of_softmax(model, output):
    """Warn when the rows of `output`, taken as logits, are probabilities already."""
    if output.ndim < 2 or output.shape[1] < 2 or output._numel == 0:
        return
    with dlx.no_grad():
        off_one = dlx.max(dlx.abs(dlx.sum(output, axis=1) - 1.0)).item()
        smallest = dlx.min(output).item()
    if not (smallest >= 0 and off_one < 1e-3):
        return
    place = f"the output of {type(model).__name__}"
    for name, module in model.named_modules():
        if isinstance(module, dlx.nn.Softmax):
            place = f"layer {name!r} (Softmax)"
    warnings.warn(
        f"{place} gives probabilities, and cross_entropy applies softmax itself: "
        f"training will be slow and end worse. Remove the softmax.",
        UserWarning,
        stacklevel=4,
    )
