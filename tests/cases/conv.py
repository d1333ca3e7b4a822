"""Convolution, its transpose and its weight gradient: every way of cutting the work."""

from __future__ import annotations

from cases._case import Case, normal

OF_THE_CASE = ("name", "flops", "bytes", "counts", "winograd")


def conv2d(x, w, b=True, **options):
    bias = (normal(w[0]),) if b else ()
    more = {k: options.pop(k) for k in OF_THE_CASE if k in options}
    op = "conv2d" if len(w) == 4 else "conv1d"
    return Case(op, (normal(*x), normal(*w), *bias), options, **more)


def transposed(x, w, b=True, **options):
    bias = (normal(w[1] * options.get("groups", 1)),) if b else ()
    more = {k: options.pop(k) for k in OF_THE_CASE if k in options}
    op = "conv_transpose2d" if len(w) == 4 else "conv_transpose1d"
    return Case(op, (normal(*x), normal(*w), *bias), options, **more)


def weight(x, dy, kernel_size, **options):
    more = {k: options.pop(k) for k in OF_THE_CASE if k in options}
    inputs = normal(*x), normal(*dy)
    return Case("conv2d_backward_weight", inputs, {"kernel_size": kernel_size, **options}, **more)


CASES = [
    conv2d((2, 3, 5, 7), (4, 3, 3, 3)),
    conv2d((2, 3, 5, 7), (4, 3, 3, 3), padding=1),
    conv2d((3, 5, 6), (4, 3, 3, 2), b=False, name="single"),
    conv2d((2, 2, 9, 8), (3, 2, 2, 2), stride=3, name="stride_above_kernel"),
    conv2d((2, 3, 4, 5), (3, 3, 4, 5), name="kernel_is_image"),
    conv2d((5, 6, 2, 3), (9, 2, 2, 3), groups=3, stride=2, name="kernel_is_image"),
    conv2d((2, 3, 4, 5), (3, 3, 6, 7), padding=1, name="kernel_is_padded_image"),
    conv2d((2, 4, 6, 5), (4, 1, 3, 3), padding=1, groups=4, name="depthwise"),
    conv2d((2, 3, 9, 35), (3, 1, 3, 5), padding=2, groups=3, dilation=2, name="depthwise"),
    # Channels by themselves: vectors to spare, tiles of 4 rows and fewer, rows in blocks.
    *[conv2d((2, 3, h, w), (3, 1, k, k), b=b, groups=3, dilation=d, padding=p, name="depthwise")
      for h, w, k, d, p, b in [(11, 17, 3, 1, 0, True), (7, 16, 3, 1, 2, False),
                               (13, 33, 3, (2, 1), 1, True), (9, 21, 3, (3, 2), (5, 0), False),
                               (8, 9, 5, 1, 2, True), (15, 35, 5, 2, (4, 1), False),
                               (6, 5, 5, 1, (0, 2), True), (67, 70, 5, 1, 2, True),
                               (83, 90, 3, 2, 2, True), (67, 70, 3, 1, 1, True),
                               (3, 56, 3, 1, (0, 1), False), (1, 95, 3, 1, 1, True),
                               (4, 50, 3, 1, 2, False)]],
    conv2d((2, 3, 9, 37), (6, 1, 3, 2), stride=2, padding=1, groups=3, name="two_of_each_channel"),
    conv2d((1, 4, 7, 6), (6, 2, 3, 3), padding=1, groups=2),
    conv2d((1, 6, 7, 6), (3, 2, 3, 3), stride=(1, 2), groups=3),
    conv2d((2, 2, 9, 10), (3, 2, 3, 3), padding=2, dilation=2, b=False),
    conv2d((2, 2, 9, 11), (3, 2, 3, 2), padding=(1, 3), dilation=(3, 2), stride=(2, 3)),
    conv2d((2, 5, 4, 6), (3, 5, 1, 1)),
    conv2d((3, 6, 4, 5), (9, 2, 1, 1), groups=3),
    # Read where they lie: whole panels, and some that end with an image.
    conv2d((3, 40, 7, 15), (17, 40, 1, 1), name="pointwise"),
    conv2d((2, 400, 9, 9), (20, 400, 1, 1), b=False, name="pointwise"),
    conv2d((2, 5, 5, 7), (3, 5, 1, 1), stride=2),
    conv2d((2, 5, 3, 3), (3, 5, 1, 1), padding=1, stride=2),
    conv2d((0, 3, 5, 5), (2, 3, 3, 3), padding=1),
    conv2d((3, 2, 3, 9), (5, 2, 3, 3), name="one_row"),
    conv2d((2, 2, 4, 31), (2, 2, 2, 1), name="prime_columns"),
    conv2d((1, 1, 1, 1), (1, 1, 1, 1)),
    conv2d((2, 3, 6, 5), (2, 3, 4, 3), padding="same"),
    conv2d((2, 3, 6, 5), (2, 3, 2, 4), padding="same", dilation=(3, 1), b=False),
    conv2d((2, 3, 6, 5), (2, 3, 2, 4), padding="valid"),
    # Around the tiles of every instruction set: 5x8, 6x16, 14x32 and half of that in float64.
    *[conv2d((n, 3, h, w), (k, 3, 3, 3), padding=1)
      for n, h, w, k in [(1, 3, 5, 5), (1, 4, 4, 6), (1, 2, 17, 7), (3, 3, 5, 13), (1, 4, 8, 14),
                         (1, 3, 11, 15), (2, 5, 13, 29), (5, 1, 1, 3)]],
    # Deeper than a packed block of 384.
    conv2d((1, 43, 4, 4), (3, 43, 3, 3), padding=1),
    conv2d((1, 97, 3, 6), (2, 97, 2, 2)),
    # Several threads share these.
    conv2d((4, 16, 24, 24), (32, 16, 3, 3), padding=1, name="threads", winograd=True),
    conv2d((8, 24, 20, 22), (24, 24, 3, 3), stride=2, padding=1, b=False, name="threads"),
    conv2d((4, 32, 24, 24), (32, 1, 3, 3), padding=1, groups=32, name="threads"),
    # Straight from the images, in several panels of rows, lanes to spare or none.
    *[conv2d((2, 2, 4, w), (k, 2, 3, 3), padding=1)
      for w, k in [(16, 7), (32, 9), (33, 1), (31, 2), (15, 3), (64, 21)]],
    # Sampled: a stride longer than the kernel, a dilation longer than the image.
    conv2d((2, 3, 23, 19), (5, 3, 2, 2), stride=(7, 5), b=False, name="sampled"),
    conv2d((1, 2, 5, 6), (5, 2, 3, 2), padding=(9, 8), dilation=(9, 13), name="sampled"),
    # Copies too large for one pass: 5.9 MB of an image in float64, of 4 MB.
    conv2d((3, 2, 8, 8), (5, 2, 20, 20), stride=20, padding=300, b=False, name="passes"),
    conv2d((3, 6, 11), (4, 6, 3), padding=1),
    conv2d((2, 6, 12), (4, 3, 5), stride=2, dilation=2, padding=3, groups=2),
    conv2d((6, 12), (4, 6, 4), padding="same", name="single"),
    # Winograd's way: tiles cut off, padding of any width, groups, rows of the result in parts, more
    # channels than are transformed at a time.
    conv2d((2, 19, 15, 18), (23, 19, 3, 3), padding=1, winograd=True),
    conv2d((3, 32, 9, 11), (36, 16, 3, 3), padding=(3, 0), groups=2, b=False, winograd=True),
    conv2d((1, 16, 5, 6), (230, 16, 3, 3), padding=1, winograd=True, name="parts"),
    conv2d((1, 170, 12, 15), (20, 170, 3, 3), padding=1, winograd=True, name="passes"),
    conv2d((40, 17, 3, 5), (33, 17, 3, 3), padding=1, winograd=True, name="small_images"),
    transposed((2, 21, 11, 13), (21, 20, 3, 3), padding=4, winograd=True),
    # 2 * 2 * 4 * (2*3) * 3 * (2*2) flops of products and 48 of b; x, w, b, y: 72 + 48 + 4 + 48.
    conv2d((2, 3, 3, 4), (4, 3, 2, 2), flops=1200, bytes=688, name="cost"),
    # 2 * 2 * 4 * 5 * 3 * 2 flops of products and 40 of b; x, w, b, y: 36 + 24 + 4 + 40.
    conv2d((2, 3, 6), (4, 3, 2), flops=520, bytes=416, name="cost"),
    transposed((2, 3, 4, 5), (3, 2, 3, 3)),
    transposed((2, 3, 4, 5), (3, 2, 4, 4), stride=2, padding=1),
    transposed((2, 3, 4, 5), (3, 2, 3, 3), stride=2, padding=1, output_padding=1),
    transposed((2, 2, 3, 4), (2, 3, 2, 2), stride=3, output_padding=(2, 1), name="gaps"),
    transposed((2, 2, 3, 4), (2, 3, 2, 3), dilation=3, output_padding=2, padding=(2, 1)),
    transposed((1, 4, 3, 4), (4, 3, 3, 3), stride=(1, 2), groups=2),
    transposed((2, 4, 5, 4), (4, 1, 3, 3), stride=2, padding=1, groups=4, name="depthwise"),
    transposed((2, 3, 10, 19), (3, 1, 5, 5), groups=3, padding=6, name="depthwise"),
    transposed((3, 4, 5), (3, 2, 2, 2), b=False, name="single"),
    transposed((0, 3, 4, 5), (3, 2, 3, 3), stride=2),
    transposed((2, 3, 4, 17), (3, 9, 4, 4), stride=2, padding=1, name="panels"),
    transposed((3, 2, 8, 8), (2, 5, 2, 2), dilation=600, padding=300, name="passes"),
    transposed((2, 2, 1, 2), (2, 3, 2, 2), stride=9, name="stride_above_image"),
    transposed((2, 3, 1, 1), (3, 5, 4, 4), name="from_one_pixel"),
    transposed((5, 9, 1, 1), (9, 2, 2, 3), groups=3, stride=3, name="from_one_pixel"),
    transposed((3, 6, 4, 5), (6, 3, 1, 1), groups=3),
    transposed((2, 5, 3, 3), (5, 4, 1, 1), stride=2, padding=1, output_padding=1),
    transposed((2, 3, 4, 5), (3, 2, 3, 3), stride=2, padding=1, output_size=(8, 10),
               name="by_size"),
    transposed((4, 32, 14, 14), (32, 24, 4, 4), stride=2, padding=1, name="threads"),
    transposed((2, 6, 7), (6, 2, 4), stride=2, padding=1),
    transposed((6, 7), (6, 2, 3), dilation=2, groups=2, name="single"),
    transposed((3, 8, 9, 15), (8, 7, 2, 2), stride=2, name="tiles_images"),
    transposed((2, 6, 5, 9), (6, 10, 3, 3), stride=3, groups=2, name="tiles_images"),
    transposed((2, 800, 5, 12), (800, 9, 2, 2), stride=2, name="tiles_images"),
    transposed((2, 4, 7, 6), (4, 5, 1, 4), stride=(1, 4), b=False, name="tiles_images"),
    transposed((2, 4, 70), (4, 5, 2), stride=2, name="tiles_images"),
    # 2 * 2 * 3 * (2*3) * 2 * (2*2) flops of products and 48 of b; x, w, b, y: 36 + 24 + 2 + 48.
    transposed((2, 3, 2, 3), (3, 2, 2, 2), flops=624, bytes=440, name="cost"),
    # 2 * 2 * 3 * 5 * 2 * 2 flops of products and 24 of b; x, w, b, y: 30 + 12 + 2 + 24.
    transposed((2, 3, 5), (3, 2, 2), flops=264, bytes=272, name="cost"),
    weight((2, 3, 5, 7), (2, 4, 3, 5), 3),
    weight((2, 3, 5, 7), (2, 4, 3, 2), (3, 3), stride=(2, 3), padding=1, dilation=(1, 2)),
    weight((2, 4, 5, 7), (2, 6, 5, 7), 3, padding=1, groups=2),
    weight((2, 4, 5, 7), (2, 4, 5, 7), 3, padding="same", groups=4),
    weight((3, 3, 37, 66), (3, 3, 37, 66), 3, padding="same", groups=3, name="depthwise"),
    weight((2, 3, 15, 22), (2, 3, 13, 16), 5, padding=(3, 1), dilation=(2, 2), groups=3,
           name="depthwise"),
    # PyTorch has no graph there.
    weight((0, 3, 5, 7), (0, 4, 3, 5), 3, name="by_no_image"),
    weight((5, 6, 2, 3), (5, 9, 1, 1), (2, 3), groups=3, name="kernel_is_image"),
    weight((3, 2, 8, 8), (3, 5, 8, 8), 2, padding=300, dilation=600, name="sampled"),
    weight((3, 5, 8, 8), (3, 6, 8, 8), 1, name="joined_rows"),
    weight((70, 2, 7, 7), (70, 5, 7, 7), 1, name="joined_rows"),
    weight((2, 3, 9, 40), (2, 70, 9, 40), 3, padding=1, name="row_blocks"),
    weight((1, 40, 5, 6), (1, 6, 5, 6), 3, padding=1, name="column_blocks"),
    weight((8, 16, 20, 20), (8, 24, 20, 20), 3, padding=1, name="threads", winograd=True),
    weight((12, 96, 12, 11), (12, 98, 12, 11), 3, padding=1, winograd=True),
    # 2 * 2 * 4 * (2*2) * 3 * (2*2) flops; x, dy, dw: 54 + 32 + 48.
    weight((2, 3, 3, 3), (2, 4, 2, 2), 2, flops=768, bytes=536, counts="conv2d_backward_weight",
           name="cost"),
]  # fmt: skip
