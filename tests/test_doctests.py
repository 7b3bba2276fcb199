"""Every example in a docstring runs and is true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import decart_lab

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(decart_lab.__path__, "decart_lab.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(importlib.import_module(name), optionflags=flags).failed == 0
