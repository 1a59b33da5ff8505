"""Server of MMRec: the app, thumbnails and maps of the home, behind a check of each request's host name.

``python -m mmrec_core serve`` starts it.
"""

import sys

from streamlit.starlette import App

from pages.parts import home_files, host_check

app = App("app.py", routes=home_files.routes(), middleware=[host_check.middleware()])

sys.setswitchinterval(0.0005)
"""A page releases Python's lock at each of its dozens of reads and writes, and waits for it as long as another thread
may keep it; computations of other visitors keep it for the whole interval (by default .005 s)."""
