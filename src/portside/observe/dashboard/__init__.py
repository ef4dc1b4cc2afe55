"""The dashboard: an ASGI application that shows a running server to a browser, and metrics to a scraper."""
