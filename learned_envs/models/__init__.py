"""World models: a codec, a dynamics family and heads behind one pure step function."""
