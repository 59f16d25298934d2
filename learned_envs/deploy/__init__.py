"""Taking a dream elsewhere: ONNX graphs."""
