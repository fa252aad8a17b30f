r"""What an exposure sees of a phase that flickers: which mixture of three states.

The phase is phi (1 + depth x), x = sin(2 pi f t). A PSF is taken as quadratic in x, through those at x = -1, 0 and 1:

    PSF(x) = PSF(0) + x (x - 1) / 2 [PSF(-1) - PSF(0)] + x (x + 1) / 2 [PSF(1) - PSF(0)]

so that the mean over an exposure needs the means of x and x^2 alone, which are known in closed form.
"""

from math import cos, pi, sin

from sim.effects_slm import SlmFlicker


def flicker(file: SlmFlicker, start_s: float, stop_s: float) -> tuple[float, float]:
    """Mean of x (x - 1) / 2 and of x (x + 1) / 2 between two moments; 0, 0 where nothing flickers."""
    if not file.on:
        return 0.0, 0.0
    omega, for_s = 2 * pi * file.frequency_hz, stop_s - start_s
    if omega * for_s < 1e-6:
        mean = sin(omega * start_s)
        square = mean**2
    else:
        mean = (cos(omega * start_s) - cos(omega * stop_s)) / (omega * for_s)
        square = 0.5 - (sin(2 * omega * stop_s) - sin(2 * omega * start_s)) / (4 * omega * for_s)
    return (square - mean) / 2, (square + mean) / 2
