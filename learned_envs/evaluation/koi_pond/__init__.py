"""How the koi pond fares, from pixels alone: its fish, its water, its bed."""
