"""The chat in a browser, made with Gradio."""
