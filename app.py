"""Entry point of the Streamlit app; navigation and layout are in ``pages/parts/shell.py``."""

if __name__ == "__main__":  # Streamlit runs a page
    from pages.parts import shell

    shell.run()
else:  # ``streamlit run app.py`` imports it for the server, as in server.py
    from streamlit.starlette import App

    from pages.parts import gate, home_files

    app = App("app.py", routes=home_files.routes(), middleware=[gate.gate()])
