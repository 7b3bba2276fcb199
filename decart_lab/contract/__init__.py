"""What both ends of the wire must agree on: models, requests, responses, states, prices.

Client and emulator share this package and :mod:`decart_lab.media`, and nothing else. It imports
only ``errors`` (and pydantic), does no I/O and knows no clock. Facts about the service are dated
rows; each says where it was learned.
"""
