"""FTP: the words of its control connection, and what travels over its data connections."""
