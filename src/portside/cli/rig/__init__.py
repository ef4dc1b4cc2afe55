"""What measures servers: the machine they stand on, the load, and the tables and plots of what came out."""
