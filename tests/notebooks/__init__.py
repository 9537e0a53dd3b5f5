"""Each notebook in its two forms, the source for marimo and its copy for JupyterLab, and how to run both."""
