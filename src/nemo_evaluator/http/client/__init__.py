"""An HTTP/1.1 client on asyncio protocols: made for many small requests to one host.

``Pool.request`` sends, ``Response`` is read; whatever goes wrong is a ``NetError``. It neither
retries an answered request, nor follows redirects, nor keeps cookies.
"""
