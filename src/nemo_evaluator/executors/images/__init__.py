"""Images with this tool in them: which one a configuration needs, and how one is built here."""
