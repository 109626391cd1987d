"""What runs: values, operators, classes, frames, the interpreter."""
