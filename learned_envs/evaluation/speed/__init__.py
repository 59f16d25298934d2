"""The stopwatch: what a step costs, how many a second holds, what bounds them; and the soak."""
