"""Recommendation ITU-R P.1812-8: path-specific propagation between points on the ground, 30 MHz to 6 GHz.

`profile` prepares a path, `diffraction` and `propagation` hold the equations, `path` is the model for one
path with every intermediate by name; `exact` and `sweep` compute whole rasters of receivers.
"""
