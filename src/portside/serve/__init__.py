"""The conductor: what is served, under which model, within which limits, and how it starts, reloads and stops."""
