"""What Airstriker is measured by: does the ship obey, are there as many enemies and shots."""
