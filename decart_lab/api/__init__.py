"""The REST client: DecartClient with process, queue, tokens, files, models and realtime.quota.

What belongs here: the operations of the service, one file each, over one shared caller. Transport
is ``_http``'s, what may be repeated ``_retry``'s, what the wire says ``contract``'s, and what is in
a file ``media``'s.
"""
