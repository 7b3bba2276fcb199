"""WebRTC by aiortc: the ground that the client's and the emulator's peers both stand on.

What belongs here: connections that work without a network, descriptions that are checked before
aiortc sees them, tracks that send and taps that receive. No signaling, no sessions, no policy of
reconnecting: those are ``realtime``'s and ``emulator``'s. Import the modules, not the package,
and only when media is wanted: aiortc is slow to load.
"""
