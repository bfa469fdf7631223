"""How well PRMs and judges find errors."""
