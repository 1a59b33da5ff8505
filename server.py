"""MMRec's server: the app, the home's thumbnails and maps, and before them a check of whom each request is meant for.
``python -m mmrec_core serve`` starts it."""

from streamlit.starlette import App

from pages.parts import gate, home_files

app = App("app.py", routes=home_files.routes(), middleware=[gate.gate()])
