"""Dreams as Gymnasium environments, and the runtimes that step the model under them."""
