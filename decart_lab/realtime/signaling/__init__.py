"""How a session is agreed with the service: one protocol, one file for each dialect."""
