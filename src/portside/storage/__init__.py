"""Files under a root that nobody gets out of: what batteries store and serve, on a disk or in memory."""
