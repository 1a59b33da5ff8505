"""MMRec's server: the app, and before it a check of whom each request is meant for. ``python -m mmrec_core serve`` starts it."""

from streamlit.starlette import App

from pages.parts.gate import gate

app = App("app.py", middleware=[gate()])
