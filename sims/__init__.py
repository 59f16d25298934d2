"""Ground truth: simulators that learned worlds are trained on, as Gymnasium environments."""
