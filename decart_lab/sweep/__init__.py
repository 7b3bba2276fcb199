"""Sweeps, headless: define a grid, check and price it, buy its points, keep what came back.

Nothing here knows about notebooks, threads of the engine or how results look; the sync face is
:mod:`decart_lab.lab`.
"""
