"""Entry point of the Streamlit app; navigation and layout are in ``pages/parts/layout.py``."""

if __name__ == "__main__":  # Streamlit runs a page
    from pages.parts import layout

    layout.run()
else:  # ``streamlit run app.py`` imports it for the server, as in server.py
    from streamlit.starlette import App

    from pages.parts import home_files, host_check

    app = App("app.py", routes=home_files.routes(), middleware=[host_check.middleware()])
