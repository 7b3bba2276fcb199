"""``%decart`` and ``%%decart``: the package by magic words.

``%load_ext decart_lab`` is quiet and harmless: it makes the words and ``df.decart`` known and does
nothing else. Each word is a row of ``words.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Make the magics, their completion, and ``df.decart`` known."""
    from ..lab.accessor import register
    from ._complete import install
    from .dispatch import DecartMagics

    register()
    shell.register_magics(DecartMagics)
    install(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics and their completion out again."""
    from ._complete import uninstall

    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("decart", None)
    uninstall(shell)
