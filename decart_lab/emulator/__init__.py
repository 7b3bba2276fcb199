"""Decart in a box: an emulator of the API, with real media work and no network."""
