"""Convolutional networks for images: one module for each family of the lecture."""
