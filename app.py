"""MMRec in the browser; everything that surrounds the pages is in ``pages/parts/shell.py``."""

if __name__ == "__main__":  # Streamlit draws a page
    from pages.parts import shell

    shell.run()
else:  # ``streamlit run app.py`` asks for a server, as in server.py
    from streamlit.starlette import App

    from pages.parts import gate, home_files

    app = App("app.py", routes=home_files.routes(), middleware=[gate.gate()])
