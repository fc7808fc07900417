"""What a run leaves, and what can be done with it afterwards."""
