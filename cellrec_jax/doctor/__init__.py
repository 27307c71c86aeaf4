"""What this machine has, and what files are, for people who look for a fault."""
