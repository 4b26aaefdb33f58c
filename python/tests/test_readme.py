"""The examples of the READMEs and of the documentation run."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", ["README.md", "python/README.md", "docs/first-tasks.md"])
def test_the_block_of_the_page(path):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(), re.DOTALL)
    exec(compile(block, path, "exec"), {})


@pytest.mark.parametrize("name", ["hypertape", "hypertape.calls", "hypertape.problem", "hypertape.transforms"])
def test_the_examples_of_the_documentation(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0 and result.attempted > 0
