"""PHP, evaluated in Python without side effects, and the Laravel classes that evaluated code uses."""
