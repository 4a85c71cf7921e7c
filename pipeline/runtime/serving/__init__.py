"""A server of packages: HTTP requests -> answers. Needs fastapi, uvicorn, python-multipart and prometheus-client."""
