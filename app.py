"""MMRec in the browser: navigation over ``pages/``, the dataset switch, and one place where errors are told."""

import streamlit as st

from mmrec_core.settings import ROOT
from pages.parts import shell

st.set_page_config(page_title="MMRec", page_icon=str(ROOT / "assets" / "icon.png"), layout="wide")
shell.run()
