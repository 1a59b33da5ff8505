"""Server of MMRec: the app, thumbnails and maps of the home, behind a check of each request's host name.

``python -m mmrec_core serve`` starts it.
"""

from streamlit.starlette import App

from mmrec_core import runtime
from pages.parts import home_files, host_check

runtime.serve_many()
app = App("app.py", routes=home_files.routes(), middleware=[host_check.middleware()])
