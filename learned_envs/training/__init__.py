"""Training: dynamics from teacher forcing to the closed loop, heads; one resumable trainer."""
