"""`prm-search serve-reward`: one HTTP server of rewards for every framework.

Only `app`, `bodies`, `metrics` and `server` need FastAPI, uvicorn and prometheus-client (the
extra `serve`); the other modules are pure.
"""
