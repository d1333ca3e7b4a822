"""docs/ops.md is what tools/make_ops_doc.py makes of the code, and lists no op with a gap."""

from __future__ import annotations

import functools
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    not (ROOT / "csrc/ops").exists(), reason="csrc/ is not here: an installed wheel"
)


@functools.cache
def made():
    """(catalogue, page), by the tool."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import make_ops_doc
    finally:
        sys.path.pop(0)
    catalogue = make_ops_doc.Catalogue()
    return catalogue, make_ops_doc.page(catalogue)


def test_every_op_has_equation_twin_kernel_binding_and_case():
    assert list(made()[0].problems()) == []


def test_the_page_is_up_to_date():
    stored = (ROOT / "docs/ops.md").read_text().splitlines()
    news = set(made()[1].splitlines()) ^ set(stored)
    differ = f"{len(news)} lines differ, such as: {min(news, default='')[:200]}"
    assert made()[1].splitlines() == stored, f"run python tools/make_ops_doc.py; {differ}"


def test_every_native_op_and_public_function_is_on_the_page():
    catalogue, text = made()
    assert len(catalogue.natives) > 50 and len(catalogue.functions) > 100
    names = set(catalogue.natives) | {name for f in catalogue.functions for name in f.shown}
    for name in ("softmax_backward", "optimizer_step", "dlx.optim.RMSprop", "dlx.random.normal"):
        assert name in names
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_links_lead_to_files():
    for target in set(re.findall(r"\]\((\.\./[^)]*)\)", made()[1])):
        assert (ROOT / "docs" / target).is_file(), target


def test_rows_fill_their_tables():
    """A | of a formula must not end its cell."""
    width = 0
    for line in made()[1].splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line))
        if line.startswith("|"):
            width = width or cells
            assert cells == width, line
        else:
            width = 0
