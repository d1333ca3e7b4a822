"""Wrong uses: each raises an ordinary exception of the natural type, with the values, in the call.

Add a row when a user was left without an answer: (name, call, type, regex over the message).
"""

from __future__ import annotations

import inspect
import os
import random
import tempfile
from unittest import mock

import numpy as np
import pytest

import dlx
from _check import settle

nn, optim = dlx.nn, dlx.optim
F = nn.functional


def zeros(*shape, dtype="float32"):
    return dlx.zeros(shape, dtype=dtype)


def labels(*values):
    return dlx.tensor(list(values))


def backward_twice():
    x = dlx.tensor([1.0], requires_grad=True)
    y = dlx.exp(x)
    y.backward()
    y.backward()


def assign_to_leaf():
    x = dlx.tensor([1.0], requires_grad=True)
    x[0] = 2.0


def altered_mnist():
    with tempfile.TemporaryDirectory() as root, mock.patch.dict(os.environ, DLX_DATA=root):
        os.mkdir(os.path.join(root, "mnist"))
        with open(os.path.join(root, "mnist", "train-images-idx3-ubyte.gz"), "wb") as file:
            file.write(b"altered")
        dlx.data.mnist()


WRONG = [
    ("add-shapes", lambda: dlx.add(zeros(2, 3), zeros(4)), ValueError, r"add.*\(2, 3\).*\(4,\)"),
    ("add-operator", lambda: zeros(2, 3) + zeros(4), ValueError, r"add.*\(2, 3\).*\(4,\)"),
    ("tensor-huge", lambda: dlx.tensor(2**70), OverflowError, r"tensor.*1180591.*int64"),
    ("exp-array", lambda: dlx.exp(np.ones(2)), TypeError, r"exp: .*a Tensor, got numpy"),
    ("add-text", lambda: dlx.add(zeros(2), "a"), TypeError, r"add.*str"),
    ("add-list", lambda: dlx.add(zeros(2), [1, 2]), TypeError, r"add.*list"),
    ("add-many", lambda: dlx.add(zeros(2), zeros(2), zeros(2)), TypeError, r"add"),
    ("subtract-bool", lambda: dlx.subtract(zeros(2, dtype="bool"), zeros(2, dtype="bool")),
     TypeError,
     r"subtract.*bool"),
    ("multiply-shapes", lambda: dlx.multiply(zeros(5), zeros(3)), ValueError,
     r"multiply.*\(5,\).*\(3,\)"),
    ("divide-none", lambda: dlx.divide(zeros(2), None), TypeError, r"divide.*None"),
    ("pow-shapes", lambda: dlx.pow(zeros(5, 2), zeros(3)), ValueError, r"pow.*\(5, 2\).*\(3,\)"),
    ("exp-number", lambda: dlx.exp("a"), TypeError, r"exp.*str"),
    ("negative-bool", lambda: dlx.negative(zeros(2, dtype="bool")), TypeError, r"negative.*bool"),
    ("log-object", lambda: dlx.log(object()), TypeError, r"log.*object"),
    ("maximum-shapes", lambda: dlx.maximum(zeros(2), zeros(3)), ValueError,
     r"maximum.*\(2,\).*\(3,\)"),
    ("where-condition", lambda: dlx.where(zeros(2), zeros(2), zeros(2)), TypeError,
     r"where.*float32"),
    ("where-shapes", lambda: dlx.where(zeros(4, dtype="bool"), zeros(2), zeros(2)), ValueError,
     r"where.*\(4,\).*\(2,\)"),
    ("less-shapes", lambda: dlx.less(zeros(2), zeros(3)), ValueError, r"less.*\(2,\).*\(3,\)"),
    ("clip-text", lambda: dlx.clip(zeros(2), "low"), TypeError, r"clip.*(str|low)"),
    ("sum-axis", lambda: dlx.sum(zeros(2, 3), axis=2), (IndexError, ValueError),
     r"sum.*2.*(\(2, 3\)|2)"),
    ("sum-axis-type", lambda: dlx.sum(zeros(2, 3), axis=1.5), TypeError, r"sum.*1\.5"),
    ("sum-axis-twice", lambda: dlx.sum(zeros(2, 3), axis=(0, 0)), ValueError, r"sum.*0"),
    ("mean-int", lambda: dlx.mean(zeros(2, dtype="int64")), TypeError, r"mean.*int64"),
    ("max-empty", lambda: dlx.max(zeros(0)), ValueError, r"max.*\(0,\)"),
    ("argmax-empty", lambda: dlx.argmax(zeros(3, 0), axis=1), ValueError, r"argmax.*\(3, 0\)"),
    ("argmin-axis", lambda: dlx.argmin(zeros(3), axis=-2), (IndexError, ValueError), r"argmin.*-2"),
    ("var-axis", lambda: dlx.var(zeros(3), axis=1), (IndexError, ValueError), r"var.*1"),
    ("matmul-shapes", lambda: dlx.matmul(zeros(2, 3), zeros(4, 5)), ValueError,
     r"matmul.*\(2, 3\).*\(4, 5\)"),
    ("matmul-batch", lambda: dlx.matmul(zeros(2, 2, 3), zeros(5, 3, 4)), ValueError,
     r"matmul.*\(2, 2, 3\).*\(5, 3, 4\)"),
    ("matmul-dtypes", lambda: dlx.matmul(zeros(2, 2), zeros(2, 2, dtype="float64")), TypeError,
     r"matmul.*float32.*float64"),
    ("matmul-scalar", lambda: dlx.matmul(zeros(), zeros(2)), ValueError, r"matmul.*\(\)"),
    ("matmul-int", lambda: dlx.matmul(zeros(2, 2, dtype="int32"), zeros(2, 2, dtype="int32")),
     TypeError,
     r"matmul.*int32"),
    ("reshape-size", lambda: dlx.reshape(zeros(2, 3), (4, 2)), ValueError,
     r"reshape.*6.*\(4, 2\).*\(2, 3\)"),
    ("reshape-two-unknown", lambda: dlx.reshape(zeros(6), (-1, -1)), ValueError,
     r"reshape.*\(-1, -1\)"),
    ("reshape-type", lambda: dlx.reshape(zeros(6), "ab"), TypeError, r"reshape.*(str|ab)"),
    ("permute-axes", lambda: dlx.permute_dims(zeros(2, 3), (0, 0)), ValueError,
     r"permute_dims.*\(0, 0\)"),
    ("permute-length", lambda: dlx.permute_dims(zeros(2, 3), (0,)), ValueError,
     r"permute_dims.*\(0,\)"),
    ("squeeze-extent", lambda: dlx.squeeze(zeros(2, 3), 0), ValueError, r"squeeze.*(\(2, 3\)|2)"),
    ("expand-axis", lambda: dlx.expand_dims(zeros(2), 5), (IndexError, ValueError),
     r"expand_dims.*5"),
    ("broadcast", lambda: dlx.broadcast_to(zeros(3), (2, 4)), ValueError,
     r"broadcast_to.*\(3,\).*\(2, 4\)"),
    ("concat-shapes", lambda: dlx.concat([zeros(2, 3), zeros(2, 4)]), ValueError,
     r"concat.*\(2, 3\).*\(2, 4\)"),
    ("concat-nothing", lambda: dlx.concat([]), ValueError, r"concat"),
    ("concat-tensor", lambda: dlx.concat(7), TypeError, r"concat.*int"),
    ("stack-shapes", lambda: dlx.stack([zeros(2), zeros(3)]), ValueError, r"stack.*\(2,\).*\(3,\)"),
    ("take-range", lambda: dlx.take(zeros(3), labels(0, 5)), IndexError, r"take.*5.*3"),
    ("take-float", lambda: dlx.take(zeros(3), zeros(2)), TypeError, r"take.*float32"),
    ("take-axis", lambda: dlx.take(zeros(3, 3), labels(0)), (ValueError, TypeError), r"take.*axis"),
    ("index-range", lambda: zeros(3, 4)[3], IndexError, r"3.*\(3, 4\)|3.*size 3"),
    ("index-count", lambda: zeros(3)[0, 0], IndexError, r"(2|\(3,\))"),
    ("index-float", lambda: zeros(3)[1.0], (IndexError, TypeError), r"float"),
    ("index-mask", lambda: zeros(3)[dlx.tensor([True, False])], IndexError, r"(2).*(3)|(3).*(2)"),
    ("index-text", lambda: zeros(3)["a"], (IndexError, TypeError), r"str"),
    ("assign-shape", lambda: zeros(3).__setitem__(slice(0, 2), zeros(5)), ValueError,
     r"\(5,\).*\(2,\)|\(2,\).*\(5,\)"),
    ("assign-leaf", assign_to_leaf, RuntimeError, r"leaf|no_grad"),
    ("astype-name", lambda: dlx.astype(zeros(2), "float33"), (TypeError, ValueError), r"float33"),
    ("astype-complex", lambda: dlx.astype(zeros(2), np.complex64), (TypeError, ValueError),
     r"complex64"),
    ("softmax-axis", lambda: dlx.softmax(zeros(2, 3), axis=4), (IndexError, ValueError),
     r"softmax.*4"),
    ("softmax-int", lambda: dlx.softmax(zeros(3, dtype="int64")), TypeError, r"softmax.*int64"),
    ("log_softmax-axis", lambda: dlx.log_softmax(zeros(2), axis=1), (IndexError, ValueError),
     r"log_softmax.*1"),
    ("ce-label", lambda: F.cross_entropy(zeros(3, 4), labels(0, 9, 1)), (ValueError, IndexError),
     r"cross_entropy.*1.*9.*4|cross_entropy.*9.*1.*4"),
    ("ce-negative", lambda: F.cross_entropy(zeros(3, 4), labels(0, 1, -1)),
     (ValueError, IndexError),
     r"cross_entropy.*2.*-1.*4|cross_entropy.*-1.*2.*4"),
    ("ce-rows", lambda: F.cross_entropy(zeros(3, 4), labels(0, 1)), ValueError,
     r"cross_entropy.*\(3, 4\).*\(2,\)"),
    ("ce-float", lambda: F.cross_entropy(zeros(3, 4), zeros(3)), TypeError,
     r"cross_entropy.*float32"),
    ("ce-weight", lambda: F.cross_entropy(zeros(3, 4), labels(0, 1, 2), zeros(3)), ValueError,
     r"cross_entropy.*(4).*\(3,\)|cross_entropy.*\(3,\).*4"),
    ("ce-reduction", lambda: F.cross_entropy(zeros(3, 4), labels(0, 1, 2), reduction="avg"),
     ValueError,
     r"cross_entropy.*avg"),
    ("mse-broadcast", lambda: F.mse_loss(zeros(4, 1), zeros(4)), ValueError,
     r"mse_loss.*\(4, 1\).*\(4,\)"),
    ("mse-dtypes", lambda: F.mse_loss(zeros(4), zeros(4, dtype="float64")), TypeError,
     r"mse_loss.*float32.*float64"),
    ("leaky_relu-slope", lambda: F.leaky_relu(zeros(2), "0.1"), TypeError,
     r"leaky_relu.*number as negative_slope.*str"),
    ("elu-alpha", lambda: F.elu(zeros(2), zeros(2)), TypeError, r"elu.*alpha.*Tensor"),
    ("gelu-form", lambda: F.gelu(zeros(2), "erf"), ValueError, r"gelu.*'none' or 'tanh'.*'erf'"),
    ("silu-list", lambda: F.silu([1.0]), TypeError, r"silu: expected a Tensor.*list"),
    ("softplus-beta", lambda: F.softplus(zeros(2), beta=None), TypeError,
     r"softplus.*beta.*NoneType"),
    ("hardtanh-bounds", lambda: F.hardtanh(zeros(2), 1.0, -1.0), ValueError,
     r"hardtanh.*min_val < max_val.*1\.0 and -1\.0"),
    ("prelu-channels", lambda: F.prelu(zeros(2, 3), zeros(4)), ValueError,
     r"prelu.*input=\(2, 3\) weight=\(4,\)"),
    ("erf-text", lambda: dlx.erf("a"), TypeError, r"erf.*str"),
    ("remainder-shapes", lambda: zeros(2) % zeros(3), ValueError, r"remainder.*\(2,\).*\(3,\)"),
    ("floor_divide-bool", lambda: zeros(2, dtype="bool") // zeros(2, dtype="bool"), TypeError,
     r"floor_divide.*bool"),
    ("logsumexp-axis", lambda: dlx.logsumexp(zeros(2, 3), axis=2), IndexError,
     r"logsumexp.*axis 2.*2 dimensions"),
    ("logsumexp-int", lambda: dlx.logsumexp(zeros(3, dtype="int64")), TypeError,
     r"logsumexp.*int64"),
    ("nll-label", lambda: F.nll_loss(zeros(3, 4), labels(0, 9, 1)), IndexError,
     r"nll_loss: label 9 in row 1.*C = 4"),
    ("nll-rows", lambda: F.nll_loss(zeros(3, 4), labels(0, 1)), ValueError,
     r"nll_loss.*\(3, 4\).*\(2,\)"),
    ("nll-float", lambda: F.nll_loss(zeros(3, 4), zeros(3)), TypeError, r"nll_loss.*float32"),
    ("nll-weight", lambda: F.nll_loss(zeros(3, 4), labels(0, 1, 2), zeros(3)), ValueError,
     r"nll_loss.*4 classes.*\(3,\)"),
    ("bce-probability", lambda: F.binary_cross_entropy(dlx.tensor([0.5, 1.5]), zeros(2)),
     ValueError,
     r"binary_cross_entropy: .*0 to 1.*1\.5 at element 1.*with_logits"),
    ("bce-shapes", lambda: F.binary_cross_entropy_with_logits(zeros(4, 1), zeros(4)), ValueError,
     r"binary_cross_entropy_with_logits.*\(4, 1\).*\(4,\)"),
    ("bce-labels", lambda: F.binary_cross_entropy_with_logits(zeros(2), labels(0, 1)), TypeError,
     r"binary_cross_entropy_with_logits.*float32, int64"),
    ("bce-weight",
     lambda: F.binary_cross_entropy_with_logits(zeros(2, 3), zeros(2, 3), pos_weight=zeros(2)),
     ValueError,
     r"pos_weight that broadcasts.*\(2, 3\).*\(2,\)"),
    ("l1-shapes", lambda: F.l1_loss(zeros(3), zeros(1, 3)), ValueError,
     r"l1_loss.*\(3,\).*\(1, 3\)"),
    ("smooth_l1-beta", lambda: F.smooth_l1_loss(zeros(3), zeros(3), beta=-1), ValueError,
     r"smooth_l1_loss.*beta >= 0.*-1"),
    ("huber-delta", lambda: F.huber_loss(zeros(3), zeros(3), delta=0.0), ValueError,
     r"huber_loss.*delta > 0.*0\.0"),
    ("kl-reduction", lambda: F.kl_div(zeros(3), zeros(3), reduction="batch"), ValueError,
     r"kl_div.*'batchmean'.*'batch'"),
    ("kl-scalar", lambda: F.kl_div(zeros(), zeros(), reduction="batchmean"), ValueError,
     r"kl_div.*batchmean.*\(\)"),
    ("GELU-form", lambda: nn.GELU("erf"), ValueError, r"GELU.*'erf'"),
    ("KLDivLoss-reduction", lambda: nn.KLDivLoss("avg"), ValueError, r"KLDivLoss.*batchmean.*avg"),
    ("BCELoss-layer", lambda: nn.BCELoss()(dlx.tensor([2.0]), zeros(1)), ValueError,
     r"binary_cross_entropy.*got 2 at element 0"),
    ("linear-width", lambda: F.linear(zeros(2, 3), zeros(5, 4)), ValueError,
     r"linear.*\(2, 3\).*\(5, 4\)"),
    ("linear-bias", lambda: F.linear(zeros(2, 3), zeros(5, 3), zeros(4)), ValueError,
     r"linear.*\(4,\)"),
    ("dropout-p", lambda: F.dropout(zeros(2), 1.5), ValueError, r"dropout.*1\.5"),
    ("batch_norm-single", lambda: F.batch_norm(zeros(1, 3), None, None, training=True), ValueError,
     r"batch_norm: .*more than one value per channel.*\(1, 3\)"),
    ("batch_norm-statistics", lambda: F.batch_norm(zeros(2, 3), None, None), ValueError,
     r"batch_norm: expected running_mean and running_var, or training=True"),
    ("batch_norm-weight", lambda: F.batch_norm(zeros(2, 3), None, None, zeros(4), training=True),
     ValueError, r"batch_norm: weight .*\(3,\).*\(4,\); x=\(2, 3\)"),
    ("batch_norm-running", lambda: F.batch_norm(zeros(2, 3), zeros(2), zeros(3)), ValueError,
     r"batch_norm: running_mean .*\(3,\).*\(2,\)"),
    ("batch_norm-mixed", lambda: F.batch_norm(zeros(2, 3), None, None, zeros(3, dtype="float64"),
                                              training=True), TypeError,
     r"batch_norm: .*float32, float64"),
    ("batch_norm-axes", lambda: F.batch_norm(zeros(3), None, None, training=True), ValueError,
     r"batch_norm: .*\(N, C, \.\.\.\), got \(3,\)"),
    ("batch_norm-eps", lambda: F.batch_norm(zeros(2, 3), None, None, training=True, eps=-1),
     ValueError, r"batch_norm: expected eps >= 0, got -1\.0"),
    ("layer_norm-shape", lambda: F.layer_norm(zeros(2, 3), (4,)), ValueError,
     r"layer_norm: .*\(4,\), got \(2, 3\)"),
    ("layer_norm-bias", lambda: F.layer_norm(zeros(2, 3), 3, bias=zeros(2)), ValueError,
     r"layer_norm: bias .*\(3,\).*\(2,\)"),
    ("layer_norm-size", lambda: F.layer_norm(zeros(2, 3), 3.0), TypeError,
     r"layer_norm: expected ints as normalized_shape, got float"),
    ("layer_norm-dtype", lambda: F.layer_norm(zeros(2, 3, dtype="int64"), 3), TypeError,
     r"layer_norm: no kernel for int64; it works on float32, float64"),
    ("group_norm-groups", lambda: F.group_norm(zeros(2, 3), 2), ValueError,
     r"group_norm: .*C a multiple of 2, got \(2, 3\)"),
    ("group_norm-single", lambda: F.group_norm(zeros(1, 3), 3), ValueError,
     r"group_norm: .*more than one value per group.*\(1, 3\)"),
    ("group_norm-eps", lambda: F.group_norm(zeros(2, 3, 4), 3, eps=-1), ValueError,
     r"^group_norm: expected eps >= 0, got -1\.0"),
    ("GroupNorm-multiple", lambda: nn.GroupNorm(2, 3), ValueError,
     r"GroupNorm: num_channels must be a multiple of num_groups, got 3 and 2"),
    ("BatchNorm2d-axes", lambda: nn.BatchNorm2d(3)(zeros(2, 3)), ValueError,
     r"BatchNorm2d\(3\): expected x of shape \(N, C, H, W\), got \(2, 3\)"),
    ("BatchNorm1d-channels", lambda: nn.BatchNorm1d(3)(zeros(2, 4)), ValueError,
     r"BatchNorm1d\(3\): expected 3 channels, x has 4; x=\(2, 4\)"),
    ("BatchNorm2d-momentum", lambda: nn.BatchNorm2d(3, momentum="a"), TypeError,
     r"BatchNorm2d: expected a number as momentum, got str"),
    ("LayerNorm-eps", lambda: nn.LayerNorm(3, eps=-1.0), ValueError,
     r"LayerNorm: expected eps >= 0, got -1\.0"),
    ("Linear-width", lambda: nn.Linear(3, 2)(zeros(4, 5)), ValueError,
     r"Linear.*3.*\(4, 5\)|linear.*\(4, 5\).*\(2, 3\)"),
    ("LazyLinear-early", lambda: list(nn.Sequential(nn.LazyLinear(3)).parameters()),
     (RuntimeError, ValueError),
     r"LazyLinear|lazy"),
    ("Conv2d-channels",
     lambda: nn.Sequential({"conv1": nn.Conv2d(3, 8, 3)})(zeros(2, 4, 8, 8)), ValueError,
     r"conv1 \(Conv2d\(3, 8, .*expected 3 input channels, x has 4; x=\(2, 4, 8, 8\)"),
    ("Conv2d-groups", lambda: nn.Conv2d(3, 8, 3, groups=2), ValueError,
     r"Conv2d: groups must divide in_channels, got in_channels=3, groups=2"),
    ("Conv2d-stride", lambda: nn.Conv2d(3, 8, 3, stride=0), ValueError, r"Conv2d: stride.*got 0"),
    ("Conv2d-padding_mode", lambda: nn.Conv2d(3, 8, 3, padding_mode="mirror"), ValueError,
     r"Conv2d: padding_mode must be one of .*'circular'\), got 'mirror'"),
    ("Conv2d-image", lambda: nn.Conv2d(3, 8, 5)(zeros(2, 3, 4, 9)), ValueError,
     r"Conv2d.*\(5, 5\).*larger than the padded image: \(4, 9\)"),
    ("Conv1d-axes", lambda: nn.Conv1d(3, 8, 3)(zeros(1, 3, 8, 8)), ValueError,
     r"Conv1d.*\(N, C, L\) or \(C, L\), got \(1, 3, 8, 8\)"),
    ("ConvTranspose2d-output_size",
     lambda: nn.ConvTranspose2d(3, 8, 3, stride=2)(zeros(1, 3, 4, 4), output_size=11), ValueError,
     r"ConvTranspose2d.*output_size=\(11, 11\).*\(9, 9\) to \(10, 10\)"),
    ("ConvTranspose1d-output_padding",
     lambda: nn.ConvTranspose1d(3, 8, 3, stride=2, output_padding=2), ValueError,
     r"ConvTranspose1d: output_padding must be smaller than stride or dilation"),
    ("LazyConv2d-groups", lambda: nn.LazyConv2d(4, 3, groups=2)(zeros(1, 3, 8, 8)), ValueError,
     r"LazyConv2d.*groups=2 must divide the input channels, x has 3"),
    ("Unflatten-sizes", lambda: nn.Unflatten(1, (2, 4))(zeros(3, 9)), ValueError,
     r"Unflatten.*\(2, 4\).*\(3, 9\)"),
    ("resnet-depth", lambda: dlx.models.resnet(18), ValueError, r"resnet: .*6n \+ 2.* got 18"),
    ("course_cnn-size", lambda: dlx.models.course_cnn(image_size=30), ValueError,
     r"course_cnn: image_size must be 28 or 32, got 30"),
    ("dcgan-size", lambda: dlx.models.dcgan(image_size=48), ValueError,
     r"dcgan: image_size must be one of 28, 32, 64, got 48"),
    ("Sequential-member", lambda: nn.Sequential(nn.ReLU(), 3), TypeError, r"Sequential.*int"),
    ("SGD-nothing", lambda: optim.SGD([], lr=0.1), ValueError, r"(SGD|optim).*param|param.*empty"),
    ("Adam-lr", lambda: optim.Adam([dlx.tensor([1.0], requires_grad=True)], lr=-0.1), ValueError,
     r"-0\.1"),
    ("RMSprop-alpha", lambda: optim.RMSprop(nn.Linear(2, 2).parameters(), alpha=1.5), ValueError,
     r"RMSprop.*alpha.*1\.5"),
    ("Adagrad-lr_decay", lambda: optim.Adagrad(nn.Linear(2, 2).parameters(), lr_decay=-1),
     ValueError, r"Adagrad.*lr_decay.*-1"),
    ("Adadelta-rho", lambda: optim.Adadelta(nn.Linear(2, 2).parameters(), rho=-0.5), ValueError,
     r"Adadelta.*rho.*-0\.5"),
    ("AdamW-lr-class", lambda: optim.AdamW([nn.Parameter(zeros(2))], lr=optim.schedules.step),
     TypeError, r"AdamW.*lr.*number.*type"),
    ("linear-steps", lambda: optim.schedules.linear(0.1, steps=0), ValueError,
     r"linear.*steps.*1.*0"),
    ("cosine-steps", lambda: optim.schedules.cosine(0.1, steps=1.5), TypeError,
     r"cosine.*steps.*integer.*1\.5"),
    ("exponential-factor", lambda: optim.schedules.exponential(0.1, -0.9), ValueError,
     r"exponential.*factor.*-0\.9"),
    ("max_pool2d-padding", lambda: F.max_pool2d(zeros(1, 1, 5, 5), 3, 1, 2), ValueError,
     r"max_pool2d: .*padding of at most half.*padding=\(2, 2\) kernel_size=\(3, 3\)"),
    ("max_pool2d-kernel", lambda: F.max_pool2d(zeros(2, 1, 2, 5), 3), ValueError,
     r"max_pool2d: .*larger than the image.*x=\(2, 1, 2, 5\).*\(3, 3\)"),
    ("max_pool2d-stride", lambda: F.max_pool2d(zeros(1, 1, 5, 5), 2, 0), ValueError,
     r"max_pool2d: .*stride of at least 1, got \(0, 0\)"),
    ("max_pool2d-dilation", lambda: F.max_pool2d(zeros(1, 1, 5, 5), 2, dilation=0), ValueError,
     r"max_pool2d: .*dilation of at least 1"),
    ("max_pool2d-axes", lambda: F.max_pool2d(zeros(5, 5), 2), ValueError,
     r"max_pool2d: .*\(N, C, H, W\) or \(C, H, W\); x=\(5, 5\)"),
    ("max_pool2d-integers", lambda: F.max_pool2d(zeros(1, 1, 5, 5, dtype="int64"), 2), TypeError,
     r"max_pool2d: no kernel for int64; .*float32, float64"),
    ("max_pool2d-text", lambda: F.max_pool2d(zeros(1, 1, 5, 5), 2, padding="full"), ValueError,
     r"max_pool2d: .*'valid' or 'same'.*'full'"),
    ("max_pool2d-same-ceil", lambda: F.max_pool2d(zeros(1, 5, 5), 2, padding="same",
     ceil_mode=True), ValueError, r"max_pool2d: .*ceil_mode=False with padding='same'"),
    ("max_pool2d-empty", lambda: F.max_pool2d(zeros(1, 1, 0, 5), 2), ValueError,
     r"max_pool2d: .*at least one element; x=\(1, 1, 0, 5\)"),
    ("max_pool1d-axes", lambda: F.max_pool1d(zeros(1, 1, 5, 5), 2), ValueError,
     r"max_pool1d: .*\(N, C, L\) or \(C, L\)"),
    ("max_pool1d-kernel", lambda: F.max_pool1d(zeros(1, 5), (2, 2)), ValueError,
     r"max_pool1d: .*kernel_size to be an int, got \(2, 2\)"),
    ("avg_pool2d-kernel", lambda: F.avg_pool2d(zeros(1, 1, 5, 5), 0), ValueError,
     r"avg_pool2d: .*kernel_size of at least 1, got \(0, 0\)"),
    ("avg_pool2d-pair", lambda: F.avg_pool2d(zeros(1, 1, 5, 5), (2, 2, 2)), ValueError,
     r"avg_pool2d: .*an int or 2 of them, got \(2, 2, 2\)"),
    ("avg_pool2d-float", lambda: F.avg_pool2d(zeros(1, 1, 5, 5), 2.5), TypeError,
     r"avg_pool2d: .*ints as kernel_size, got float"),
    ("avg_pool2d-divisor", lambda: F.avg_pool2d(zeros(1, 1, 5, 5), 2, divisor_override=0),
     ValueError, r"avg_pool2d: .*divisor_override other than 0"),
    ("sum_pool2d-padding", lambda: F.sum_pool2d(zeros(1, 1, 5, 5), 2, padding=-1), ValueError,
     r"sum_pool2d: .*padding of at least 0, got \(-1, -1\)"),
    ("adaptive_avg_pool2d-size", lambda: F.adaptive_avg_pool2d(zeros(1, 1, 5, 5), (2, -1)),
     ValueError, r"adaptive_avg_pool2d: .*output_size of at least 0, got \(2, -1\)"),
    ("adaptive_max_pool1d-size", lambda: F.adaptive_max_pool1d(zeros(1, 5), (2, 3)), ValueError,
     r"adaptive_max_pool1d: .*output_size to be an int, got \(2, 3\)"),
    ("MaxPool2d-kernel", lambda: nn.MaxPool2d(0), ValueError,
     r"MaxPool2d: kernel_size must be at least 1, got 0"),
    ("MaxPool2d-image", lambda: nn.Sequential(nn.MaxPool2d(3))(zeros(1, 1, 2, 2)), ValueError,
     r"0 \(MaxPool2d\(3\)\): max_pool2d: .*larger than the image.*x=\(1, 1, 2, 2\)"),
    ("AvgPool2d-padding", lambda: nn.AvgPool2d(2, padding="full"), ValueError,
     r"AvgPool2d: padding must be ints, 'same' or 'valid', got 'full'"),
    ("GlobalAvgPool2d-axes", lambda: nn.GlobalAvgPool2d()(zeros(3, 4)), ValueError,
     r"GlobalAvgPool2d: expected x of shape \(N, C, H, W\).*x=\(3, 4\)"),
    ("interpolate-both", lambda: F.interpolate(zeros(1, 1, 5, 5), 3, 2), ValueError,
     r"interpolate: expected either size or scale_factor, got size=3 scale_factor=2"),
    ("interpolate-none", lambda: F.interpolate(zeros(1, 1, 5, 5)), ValueError,
     r"interpolate: .*either size or scale_factor"),
    ("interpolate-corners", lambda: F.interpolate(zeros(1, 1, 5, 5), 3, align_corners=True),
     ValueError, r"interpolate: align_corners needs mode 'linear' or 'bilinear', got 'nearest'"),
    ("interpolate-mode", lambda: F.interpolate(zeros(1, 1, 5, 5), 3, mode="bicubic"), ValueError,
     r"interpolate: .*'nearest'.*'bilinear'; got 'bicubic'"),
    ("interpolate-axes", lambda: F.interpolate(zeros(1, 5, 5), 3, mode="bilinear"), ValueError,
     r"interpolate: mode 'bilinear' expects x of shape \(N, C, H, W\); x=\(1, 5, 5\)"),
    ("upsample_nearest2d-size", lambda: dlx.upsample_nearest2d(zeros(1, 1, 5, 5), (0, 3)),
     ValueError, r"upsample_nearest2d: .*size of at least 1, got \(0, 3\)"),
    ("upsample_bilinear2d-factor", lambda: dlx.upsample_bilinear2d(zeros(1, 1, 5, 5),
     scale_factor=-2), ValueError, r"upsample_bilinear2d: .*above 0 as scale_factor, got -2"),
    ("upsample_bilinear2d-integers", lambda: dlx.upsample_bilinear2d(
     zeros(1, 1, 5, 5, dtype="int32"), 3), TypeError, r"upsample_bilinear2d: no kernel for int32"),
    ("Upsample-none", lambda: nn.Upsample(), ValueError,
     r"Upsample: expected either size or scale_factor"),
    ("pad-mode", lambda: dlx.pad(zeros(3), 1, "mirror"), ValueError, r"pad.*reflect.*mirror"),
    ("pad-reflect", lambda: dlx.pad(zeros(2, 3), ((0, 0), (0, 3)), "reflect"), ValueError,
     r"pad: reflect.*axis 1.*3.*\(2, 3\)"),
    ("pad-circular", lambda: F.pad(zeros(2, 3), (4, 0), "circular"), ValueError,
     r"pad: circular.*axis 1.*3.*4.*\(2, 3\)"),
    ("pad-crop", lambda: F.pad(zeros(2, 3), (-2, -2)), ValueError, r"pad.*-2.*axis 1.*\(2, 3\)"),
    ("pad-odd", lambda: F.pad(zeros(2, 3), (1, 2, 3)), ValueError, r"pad.*\(1, 2, 3\).*\(2, 3\)"),
    ("pad-width", lambda: dlx.pad(zeros(2, 3), ((1, 2), (3,))), ValueError, r"pad.*\(2, 3\)"),
    ("pad-width-type", lambda: dlx.pad(zeros(2, 3), 1.5), TypeError, r"pad.*ints.*float"),
    ("pad-value", lambda: dlx.pad(zeros(2, dtype="uint8"), 1, value=300), OverflowError,
     r"pad.*300.*uint8"),
    ("flip-axis", lambda: dlx.flip(zeros(2, 3), 2), IndexError, r"flip.*2"),
    ("roll-shifts", lambda: dlx.roll(zeros(2, 3), (1, 2), 0), ValueError, r"roll.*\(1, 2\).*0"),
    ("tile-negative", lambda: dlx.tile(zeros(2), (2, -1)), ValueError, r"tile.*\(2, -1\)"),
    ("tril-vector", lambda: dlx.tril(zeros(3)), ValueError, r"tril.*2 dim.*\(3,\)"),
    ("triu-vector", lambda: dlx.triu(zeros(3)), ValueError, r"triu.*2 dim.*\(3,\)"),
    ("cumsum-axis", lambda: dlx.cumsum(zeros(2, 3)), ValueError, r"cumsum.*axis.*\(2, 3\)"),
    ("cumulative_sum-axis", lambda: dlx.cumulative_sum(zeros(2, 3), axis=2), IndexError,
     r"cumulative_sum.*2"),
    ("split-sizes", lambda: zeros(5).split((2, 2)), ValueError, r"split.*5.*\(2, 2\)"),
    ("chunk-none", lambda: zeros(5).chunk(0), ValueError, r"chunk.*0"),
    ("unflatten-sizes", lambda: zeros(2, 6).unflatten(1, (4, -1)), ValueError,
     r"unflatten.*\(4, -1\).*\(2, 6\)"),
    ("repeat-few", lambda: zeros(2, 3).repeat(2), ValueError, r"repeat.*2.*\(2,\)"),
    ("outer-matrix", lambda: zeros(2, 3).outer(zeros(3)), ValueError, r"outer.*\(2, 3\).*\(3,\)"),
    ("one_hot-label", lambda: dlx.one_hot(labels(0, 1, 5), 4), IndexError,
     r"one_hot.*label 5.*position 2.*4"),
    ("one_hot-negative", lambda: F.one_hot(labels(0, -1)), IndexError,
     r"one_hot.*label -1.*position 1"),
    ("one_hot-nothing", lambda: F.one_hot(zeros(0, dtype="int64")), ValueError,
     r"one_hot.*num_classes.*\(0,\)"),
    ("one_hot-float", lambda: dlx.one_hot(zeros(2), 3), TypeError, r"one_hot.*integer.*float32"),
    ("embedding-index", lambda: F.embedding(labels(0, 9, 1), zeros(5, 3)), IndexError,
     r"embedding.*index 9.*position 1.*5 rows"),
    ("embedding-negative", lambda: F.embedding(labels(-1), zeros(5, 3)), IndexError,
     r"embedding.*index -1.*position 0"),
    ("embedding-swapped", lambda: F.embedding(zeros(5, 3), labels(0, 1)), TypeError,
     r"embedding.*integer.*float32"),
    ("embedding-weight", lambda: F.embedding(labels(0, 1), zeros(5)), ValueError,
     r"embedding.*\(V, D\).*\(5,\)"),
    ("Embedding-range", lambda: nn.Sequential(nn.Embedding(5, 3))(labels(7)), IndexError,
     r"index 7.*5 rows"),
    ("Embedding-padding", lambda: nn.Embedding(5, 3, padding_idx=5), ValueError,
     r"Embedding.*padding_idx 5.*5 rows"),
    ("Embedding-max_norm", lambda: nn.Embedding(5, 3, max_norm=1.0), TypeError, r"max_norm"),
    ("Embedding-dtype", lambda: nn.Embedding.from_pretrained(zeros(2, 3, dtype="int64")), TypeError,
     r"Embedding: embeddings must be floating, got int64"),
    ("roll-flat", lambda: dlx.roll(zeros(2, 3), (1, 2)), ValueError,
     r"roll: expected a shift for each axis, got \(1, 2\) and None"),
    ("ZeroPad2d-number", lambda: nn.ZeroPad2d(1.5), TypeError,
     r"ZeroPad2d: expected ints as padding, got float"),
    ("ZeroPad2d-sides", lambda: nn.ZeroPad2d((1, 2)), ValueError, r"ZeroPad2d.*\(1, 2\)"),
    ("ReflectionPad2d-large", lambda: nn.ReflectionPad2d(4)(zeros(1, 1, 4, 9)), ValueError,
     r"ReflectionPad2d.*reflect.*axis 2.*4.*\(1, 1, 4, 9\)"),
    ("ConstantPad2d-dims", lambda: nn.ConstantPad2d(1, 0.0)(zeros(4, 9)), ValueError,
     r"ConstantPad2d.*\(4, 9\)"),
    ("tensor-ragged", lambda: dlx.tensor([[1, 2], [3]]), ValueError, r"tensor.*(2|1)"),
    ("tensor-text", lambda: dlx.tensor("abc"), TypeError, r"tensor.*str"),
    ("tensor-int-grad", lambda: dlx.tensor([1], requires_grad=True),
     (TypeError, RuntimeError, ValueError),
     r"int64"),
    ("zeros-negative", lambda: dlx.zeros((2, -1)), ValueError, r"zeros.*(\(2, -1\)|-1)"),
    ("zeros-type", lambda: dlx.zeros((2, 1.5)), TypeError, r"zeros.*(1\.5|float)"),
    ("zeros-huge", lambda: dlx.zeros((2**40, 2**40)), (ValueError, MemoryError), r"1099511627776"),
    ("full-text", lambda: dlx.full((2,), "a"), TypeError, r"full.*str"),
    ("arange-step", lambda: dlx.arange(0, 3, 0), ValueError, r"arange.*0"),
    ("linspace-num", lambda: dlx.linspace(0, 1, -3), ValueError, r"linspace.*-3"),
    ("eye-negative", lambda: dlx.eye(-2), ValueError, r"eye.*-2"),
    ("from_dlpack-type", lambda: dlx.from_dlpack([1]), TypeError, r"from_dlpack.*list"),
    ("device-cuda", lambda: dlx.ones((2,), device="cuda:3"), RuntimeError, r"cuda:3.*dlx info"),
    ("normal-std", lambda: dlx.random.normal((2,), 0.0, -1.0), ValueError, r"normal.*-1"),
    ("uniform-bounds", lambda: dlx.random.uniform((2,), 3.0, 1.0), ValueError, r"uniform.*3.*1"),
    ("randint-bounds", lambda: dlx.random.randint(5, 5, (2,)), ValueError, r"randint.*5.*5"),
    ("permutation-negative", lambda: dlx.random.permutation(-1), ValueError, r"permutation.*-1"),
    ("seed-type", lambda: dlx.seed("a"), TypeError, r"seed.*str"),
    ("threads-many", lambda: dlx.set_num_threads(1000), ValueError, r"1000"),
    ("item-many", lambda: zeros(2, 3).item(), (ValueError, RuntimeError), r"item.*(\(2, 3\)|6)"),
    ("bool-many", lambda: bool(zeros(2)), (ValueError, RuntimeError), r"\(2,\)|2 elements"),
    ("len-scalar", lambda: len(zeros()), TypeError, r"len|0-d"),
    ("backward-twice", backward_twice, RuntimeError, r"backward|retain_graph"),
    ("backward-no-graph", lambda: zeros(1).backward(), RuntimeError, r"backward.*grad"),
    ("grad-fn", lambda: dlx.grad(3), TypeError, r"grad.*int"),
    ("vjp-fn", lambda: dlx.vjp(3, zeros(1)), TypeError, r"vjp.*int"),
    ("jvp-tangents", lambda: dlx.jvp(dlx.exp, (zeros(2),), (zeros(3),)), ValueError,
     r"jvp.*\(2,\).*\(3,\)"),
    ("load-missing", lambda: dlx.load("no/such/file.dlx"), FileNotFoundError, r"no/such/file\.dlx"),
    ("fit-lengths", lambda: compiled().fit(zeros(4, 3), labels(0, 1, 0)), ValueError, r"4.*3"),
    ("optimizer-name",
     lambda: nn.Sequential(nn.Linear(2, 2)).compile(optimizer="adamm", loss="mse_loss"),
     ValueError,
     r"adamm.*adam"),
    ("mnist-altered-file", altered_mnist, ValueError,
     r"train-images-idx3-ubyte.gz: .*expected SHA-256 440f.*, got [0-9a-f]{64} \(7 bytes\)"),
    ("conv2d-channels", lambda: dlx.conv2d(zeros(2, 4, 8, 8), zeros(8, 3, 3, 3)), ValueError,
     r"conv2d: w expects 3 input channels, x has 4; x=\(2, 4, 8, 8\) w=\(8, 3, 3, 3\)"),
    ("conv2d-groups", lambda: F.conv2d(zeros(2, 4, 8, 8), zeros(6, 1, 3, 3), groups=4), ValueError,
     r"conv2d: w's 6 output channels do not fall into 4 groups.*groups=4"),
    ("conv2d-groups-none", lambda: dlx.conv2d(zeros(1, 4, 8, 8), zeros(4, 4, 3, 3), groups=0),
     ValueError, r"conv2d: .*groups >= 1, got 0"),
    ("conv2d-kernel", lambda: dlx.conv2d(zeros(1, 1, 3, 3), zeros(1, 1, 6, 2), padding=1),
     ValueError, r"conv2d: a kernel of \(6, 2\).*larger than the padded image: \(3, 3\)"),
    ("conv2d-kernel-empty", lambda: dlx.conv2d(zeros(1, 1, 3, 3), zeros(1, 1, 0, 2)), ValueError,
     r"conv2d: .*kernel of at least one element, got \(0, 2\)"),
    ("conv2d-stride", lambda: dlx.conv2d(zeros(1, 1, 5, 5), zeros(1, 1, 3, 3), stride=0),
     ValueError, r"conv2d: expected stride >= 1, got 0"),
    ("conv2d-stride-sign", lambda: F.conv2d(zeros(1, 1, 5, 5), zeros(1, 1, 3, 3), None, (1, -2)),
     ValueError, r"conv2d: expected stride >= 1, got \(1, -2\)"),
    ("conv2d-stride-count", lambda: dlx.conv2d(zeros(1, 1, 5, 5), zeros(1, 1, 3, 3), None,
                                               (1, 1, 1)),
     ValueError, r"conv2d: expected stride of 2 numbers, got \(1, 1, 1\)"),
    ("conv2d-stride-float", lambda: dlx.conv2d(zeros(1, 1, 5, 5), zeros(1, 1, 3, 3), stride=1.5),
     TypeError, r"conv2d: expected an int or 2 of them as stride, got float"),
    ("conv2d-dilation", lambda: dlx.conv2d(zeros(1, 1, 5, 5), zeros(1, 1, 3, 3), dilation=0),
     ValueError, r"conv2d: expected dilation >= 1, got 0"),
    ("conv2d-padding", lambda: dlx.conv2d(zeros(1, 1, 5, 5), zeros(1, 1, 3, 3), padding=-1),
     ValueError, r"conv2d: expected padding >= 0, got -1"),
    ("conv2d-padding-huge",
     lambda: dlx.conv2d(zeros(1, 1, 5, 5), zeros(1, 1, 3, 3), padding=2**40), ValueError,
     r"conv2d: expected padding below 2147483648, got 1099511627776"),
    ("conv2d-padding-text",
     lambda: F.conv2d(zeros(1, 1, 5, 5), zeros(1, 1, 3, 3), padding="full"), ValueError,
     r"conv2d: expected padding .same., .valid. or numbers, got padding='full'"),
    ("conv2d-same-stride",
     lambda: F.conv2d(zeros(1, 1, 5, 5), zeros(1, 1, 3, 3), stride=2, padding="same"), ValueError,
     r"conv2d: padding=.same. works with stride 1 only, got stride=\(2, 2\)"),
    ("conv2d-ndim", lambda: dlx.conv2d(zeros(5, 5), zeros(1, 1, 3, 3)), ValueError,
     r"conv2d: expected x of shape \(N,C,H,W\).*x=\(5, 5\) w=\(1, 1, 3, 3\)"),
    ("conv2d-bias", lambda: dlx.conv2d(zeros(1, 1, 5, 5), zeros(4, 1, 3, 3), zeros(3)), ValueError,
     r"conv2d: expected a bias of shape \(4,\).*got \(3,\)"),
    ("conv2d-mixed", lambda: dlx.conv2d(zeros(1, 1, 5, 5), zeros(1, 1, 3, 3, dtype="float64")),
     TypeError, r"conv2d: expected one dtype, got float32, float64"),
    ("conv2d-ints", lambda: dlx.conv2d(zeros(1, 1, 5, 5, dtype="int64"),
                                       zeros(1, 1, 3, 3, dtype="int64")),
     TypeError, r"conv2d: no kernel for int64; it works on float32, float64"),
    ("conv1d-channels", lambda: F.conv1d(zeros(2, 4, 8), zeros(8, 3, 3)), ValueError,
     r"conv1d: w expects 3 input channels, x has 4; x=\(2, 4, 8\) w=\(8, 3, 3\)"),
    ("conv1d-ndim", lambda: dlx.conv1d(zeros(2, 4, 8, 8), zeros(8, 4, 3)), ValueError,
     r"conv1d: expected x of shape \(N,C,L\) or \(C,L\) and w of 3 dimensions"),
    ("conv1d-kernel", lambda: dlx.conv1d(zeros(1, 1, 4), zeros(1, 1, 3), dilation=2), ValueError,
     r"conv1d: a kernel of \(3,\) with dilation \(2,\) is larger.*\(4,\)"),
    ("conv_transpose2d-channels",
     lambda: dlx.conv_transpose2d(zeros(2, 4, 8, 8), zeros(3, 8, 3, 3)), ValueError,
     r"conv_transpose2d: w expects 3 input channels, x has 4; x=\(2, 4, 8, 8\)"),
    ("conv_transpose2d-output_padding",
     lambda: F.conv_transpose2d(zeros(1, 1, 4, 4), zeros(1, 1, 3, 3), None, 2, 1, 2), ValueError,
     r"conv_transpose2d: expected output_padding below stride or dil.*output_padding=\(2, 2\)"),
    ("conv_transpose2d-output_size",
     lambda: dlx.conv_transpose2d(zeros(1, 1, 4, 4), zeros(1, 1, 3, 3), stride=2,
                                  output_size=(9, 11)),
     ValueError, r"output_size=\(9, 11\) is impossible: it can be \(9, 9\) to \(10, 10\)"),
    ("conv_transpose2d-nothing",
     lambda: dlx.conv_transpose2d(zeros(1, 1, 1, 1), zeros(1, 1, 2, 2), padding=2), ValueError,
     r"conv_transpose2d: the result would be \(-2, -2\)"),
    ("conv_transpose1d-stride",
     lambda: F.conv_transpose1d(zeros(1, 1, 4), zeros(1, 1, 3), stride=0), ValueError,
     r"conv_transpose1d: expected stride >= 1, got 0"),
    ("conv2d_backward_weight-size",
     lambda: dlx.conv2d_backward_weight(zeros(1, 1, 5, 5), zeros(1, 1, 4, 4), 3), ValueError,
     r"conv2d_backward_weight: expected dy of size \(3, 3\), got \(4, 4\)"),
    ("conv2d_backward_weight-images",
     lambda: dlx.conv2d_backward_weight(zeros(1, 1, 5, 5), zeros(2, 1, 3, 3), 3), ValueError,
     r"conv2d_backward_weight: expected as many images in dy as in x"),
]  # fmt: skip


def compiled():
    model = nn.Sequential(nn.Linear(3, 2))
    model.compile(optimizer="sgd", lr=0.1, loss="cross_entropy")
    return model


@pytest.mark.parametrize(
    ("call", "error", "message"), [pytest.param(*w[1:], id=w[0]) for w in WRONG]
)
def test_wrong_use(call, error, message, device):
    with dlx.device(device), pytest.raises(error, match="(?s)" + message) as caught:
        call()
        settle(device)
    assert "incompatible function arguments" not in str(caught.value)


def test_a_layer_names_itself_in_an_error_of_the_call():
    with pytest.raises(IndexError, match=r"(?s)Sequential\.0.*Embedding\(5, 3\).*index 7.*5 rows"):
        nn.Sequential(nn.Embedding(5, 3))(labels(7))
    with pytest.raises(ValueError, match=r"BCELoss: binary_cross_entropy.*got 2 at element 0"):
        nn.BCELoss()(dlx.tensor([2.0]), zeros(1))


def test_there_are_enough_of_them():
    assert len({w[0] for w in WRONG}) == len(WRONG) >= 30


# --- anything at all, given to every public function

ORDINARY = (
    TypeError, ValueError, IndexError, KeyError, RuntimeError, OverflowError, OSError, MemoryError,
    StopIteration,
)  # fmt: skip


SPECIAL = "getitem setitem add radd matmul pow iadd eq lt bool float len iter contains"


def method(name):
    """As a function of the tensor; on anything else there is no such method."""

    def call(*args, **kwargs):
        if not args or not isinstance(args[0], dlx.Tensor):
            raise TypeError(f"{name}: not a Tensor")
        return getattr(args[0], name)(*args[1:], **kwargs)

    call.__signature__ = signature(getattr(dlx.Tensor, name))
    return call


def signature(function):
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # a function written in C
        return inspect.Signature()


def public_functions():
    for prefix, owner in [("", dlx), ("nn.functional.", F), ("random.", dlx.random)]:
        for name in sorted(owner.__all__):
            value = getattr(owner, name)
            if callable(value) and not isinstance(value, type) and name != "set_num_threads":
                yield pytest.param(value, id=prefix + name)
    for name in sorted(n for n in dir(dlx.Tensor) if not n.startswith("_")):
        if callable(getattr(dlx.Tensor, name)):
            yield pytest.param(method(name), id="Tensor." + name)
    for name in SPECIAL.split():
        if hasattr(dlx.Tensor, f"__{name}__"):
            yield pytest.param(method(f"__{name}__"), id=f"Tensor.__{name}__")


def palette():
    x = dlx.tensor(np.arange(6.0, dtype=np.float32).reshape(2, 3), requires_grad=True)
    tensors = [
        x,
        zeros(2, 3),
        zeros(3, dtype="float64"),
        zeros(),
        zeros(0, 2),
        labels(0, 1),
        dlx.tensor([True, False]),
        zeros(2, 3, dtype="bfloat16"),
        x * 2.0,
    ]
    others = [
        None, -1, 0, 1, 5, 2**70, 1.5, float("nan"), True, "text", "float32", b"bytes", (), (0,),
        (2, 3), (2, -1), (1, 0), [], [zeros(2), zeros(2)], {}, object(), slice(None), Ellipsis,
        dlx.float16, np.zeros((2, 3)), np.array(["a"]), lambda v: v, int, [[0, 1], [0]],
        -(2**63), 1e300, "cuda:0",
    ]  # fmt: skip
    return tensors, others


@pytest.mark.parametrize("function", list(public_functions()))
def test_any_argument_gives_an_ordinary_exception(function, device, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # save() is among them
    rng = random.Random(0)
    with dlx.device(device):
        tensors, others = palette()
    everything = tensors + others
    names = [n for n in signature(function).parameters if n not in ("self", "args", "kwargs")]
    calls = [()] + [(a,) for a in everything]
    calls += [(a, b) for a in tensors for b in everything]
    calls += [tuple(rng.choices(everything, k=rng.randint(2, 5))) for _ in range(300)]
    calls = [(args, {}) for args in calls]
    for _ in range(300):
        chosen = (
            rng.sample(names, rng.randint(1, min(3, len(names)))) if names else ["no_such_keyword"]
        )
        calls.append(((rng.choice(tensors),), {n: rng.choice(everything) for n in chosen}))
    silent = 0
    for args, kwargs in calls:
        try:
            function(*args, **kwargs)
            settle(device)
            silent += 1
        except ORDINARY as error:
            described = f"{args!r:.200} {kwargs!r:.200}: {error!r:.300}"
            assert "incompatible function arguments" not in str(error), described
            assert not isinstance(error, NotImplementedError | RecursionError), described
            assert str(error), described
        except Exception as error:
            raise AssertionError(f"{args!r:.300} {kwargs!r:.300}: {error!r:.300}") from error
        tensors[0].grad = None
    assert silent < len(calls), "an op that takes anything checks nothing"
