"""The only room that touches sockets: the kernel's connections and datagrams as the contracts' values."""
