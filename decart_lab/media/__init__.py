"""Bytes and frames: what is in a file, how it is read, and how pictures and clips are written.

Foreign media is decoded in this package and nowhere else, so that its guards (formats from a
closed list by their first bytes, the container format forced, caps from the header) stand in one
place. Nothing here knows of requests, jobs or runs. Importing the package loads no decoder.
"""
