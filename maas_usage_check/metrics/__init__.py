"""What is published: the catalogue of measurements, the points made from it, and one encoder per format."""
