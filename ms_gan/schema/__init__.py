"""What can be set, as types: the settings of a recipe's sections, networks and updates. Needs no MindSpore."""
