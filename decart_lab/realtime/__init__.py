"""Live sessions over WebRTC, at the level of Python objects.

What belongs here: signaling, the peer, the session above them, recording and telemetry. What does
not: widgets (:mod:`decart_lab.widgets`), the sync face (:mod:`decart_lab.lab`), codecs and frames
(:mod:`decart_lab.media`). Importing the package loads neither aiortc nor a decoder.
"""
