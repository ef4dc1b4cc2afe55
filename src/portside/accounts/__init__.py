"""Who may log in and what they may do: accounts, their passwords, and who has failed too often."""
