"""Live front ends in output cells: the table of a run, and a panel to set one up.

Each is a pair: a Python module, which holds the state, and a plain ES module under ``static``,
which draws it. Nothing here buys: the panel asks its lab to.
"""
