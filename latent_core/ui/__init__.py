"""The demo page: how compression chooses words, why the achieved rate differs, and models answering side by side.

Everything that decides or renders is a function without Gradio; `app` only wires it to components.
"""
