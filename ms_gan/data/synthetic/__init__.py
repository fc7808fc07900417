"""Data sets that are drawn or put together, and never read: digits, pizzas and stacked digits."""
