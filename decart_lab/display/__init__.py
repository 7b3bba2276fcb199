"""How things look in an output cell: HTML, galleries, cards, reports, contact sheets, progress.

Everything here turns facts it is given into text or pictures. Nothing here talks to the network,
knows a Lab or a Run, or runs script in the reader's browser.
"""
