"""The HTTP server: routes, the line of waiting requests, and slots that compute them.

Nothing here knows how a medium is made: a request is composed and computed as `run` does it. The
page that a browser shows lies in the folder `page`.
"""
