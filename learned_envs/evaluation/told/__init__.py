"""What it is worth to a dream to be told a game's own variables, and how well it foretells them."""
