"""The static site: a directory's files over HTTP, with pages to look through them and to add to them."""
