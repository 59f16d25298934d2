"""Acting in real worlds and writing down what happens."""
