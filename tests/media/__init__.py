"""Tests of decart_lab.media."""
