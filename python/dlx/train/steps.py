"""What `fit`, `evaluate` and `predict` call for each batch: as it stands, or under dlx.jit."""

from __future__ import annotations

import os

__all__ = ["Inference", "Training"]

LEAST_CALLS = 32  # of one function: for fewer, two records cost more than replays save


class _Steps:
    """Functions of one batch, as they stand; `_jit` makes what is put in their place."""

    _replayed = ()

    def __init__(self, op, plan, calls):
        """calls: how many batches there will be."""
        jit = "auto" if plan is None else plan.jit
        self._op, self._warns = op, jit is True
        self._wanted = (
            jit is not False and calls >= LEAST_CALLS and os.environ.get("DLX_JIT") != "off"
        )

    def _jit(self, *functions):
        from dlx.train.replayed import Replayed

        self._replayed = [Replayed(f, self._op, self._warns) for f in functions]
        return self._replayed

    def begin_epoch(self, number):
        """number: of this epoch since fit began, from 1. In epochs 2, 4, 8, ... the first call of
        each kind is compared with its record."""
        if self._replayed and self._replayed[0].is_refused():
            self._replayed = ()
            self._use_plain()
        if number & (number - 1) == 0:
            for step in self._replayed:
                step.check_again()


class Training(_Steps):
    """A step of training in two halves: `forward(xb, yb)` -> (output, loss) and `learn(loss)`.

    Between them `fit` looks at the loss: where it is not finite, weights stay as they are. The
    first half of a replayed step has the backward pass, too, as no graph outlives a replay.
    """

    def __init__(self, model, plan, calls):
        super().__init__("fit", plan, calls)
        self._model, self._plan = model, plan
        self._use_plain()
        if plan.started:
            self.start()

    def _use_plain(self):
        model, loss_of, plan = self._model, self._plan.loss, self._plan

        def forward(xb, yb):
            output = model(xb)
            return output, loss_of(output, yb)

        def learn(loss):
            optimizer = plan.optimizer
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        self.forward, self.learn = forward, learn

    def start(self):
        """There is an optimizer."""
        if not self._wanted:
            return
        model, loss_of, optimizer = self._model, self._plan.loss, self._plan.optimizer

        def forward(xb, yb):
            output = model(xb)
            loss = loss_of(output, yb)
            optimizer.zero_grad()
            loss.backward()
            return output, loss

        def learn():
            optimizer.step()

        self.forward, update = self._jit(forward, learn)
        self.learn = lambda loss: update()


class Inference(_Steps):
    """`run(xb, yb)` -> (output, loss), or without a loss `run(xb)` -> output."""

    def __init__(self, op, model, plan, loss_of, calls):
        super().__init__(op, plan, calls)

        def output_and_loss(xb, yb):
            output = model(xb)
            return output, loss_of(output, yb)

        self._plain = model if loss_of is None else output_and_loss
        self.run = self._jit(self._plain)[0] if self._wanted else self._plain

    def _use_plain(self):
        self.run = self._plain
