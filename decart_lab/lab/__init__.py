"""The notebook's face: connect, Lab, Sweep, Run, and the ``df.decart`` accessor; all of it sync."""
