"""What random arrivals do to the steps of continuous batching: equation (45), with prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.occupancy import occupancy_noise

MOST = 0.999  # of a step that may depend on the load; serving has no steady state beyond


@dataclass(frozen=True, slots=True)
class ArrivalNoise:
    """Squared coefficients of variation: of a gap by the batch, of a request's steps by the batch and by prompts."""

    gap: Floats
    request: Floats
    prompts: Floats


def arrival_noise(decode_load: Floats, prompt_load: Floats, batch: Floats, met: Floats | None = None) -> ArrivalNoise:
    """What Poisson arrivals make of continuous batching: equation (45) with prompts.

    A step takes ``s = t0 + a b + c A`` with b sequences and A arrivals, each with its prompt. Linearised about (44),
    ``δs = (a G h + c) ε/(1 - ρ_c - ρ_a h)``, h as in (45) and ε the arrivals' own noise. With ``r = ρ_a/(1-ρ_c)``

        gap       (ρ_a/(1-ρ_c))²/(b (1-ρ_c)(1-ρ_a-ρ_c))
        request   (ρ_a² I(r) + ρ_a ρ_c (1/(1-r) + r I(r)))/(b (1-ρ_c)²)
        prompts   ρ_c²/(b (1-ρ_c)² (1-r))

    Without prompts the batch varies by b/(1-ρ), which is exact (processor sharing), and a request by (45).

    Parameters
    ----------
    decode_load, prompt_load : ρ_a = λ G a and ρ_c = λ c, shares of a step. batch : mean sequences that decode, b.
    met : prompts of others in the steps of a request; b as they come at random, but those that come during its own
        prompt join its first step.

    Examples
    --------
    >>> noise = arrival_noise(np.array([0.5]), np.array([0.0]), np.array([50.0]))
    >>> round(float(noise.gap[0]), 3), round(float(noise.request[0]) ** 0.5, 3), float(noise.prompts[0])
    (0.01, 0.09, 0.0)
    """
    ahead = np.minimum(prompt_load, MOST)
    own = np.minimum(decode_load / (1.0 - ahead), MOST)
    settle, wander = 1.0 / (1.0 - own), occupancy_noise(own)  # (1/2π) ∫ |h|²/|1 - r h|² dω is the first
    beside = ahead / (1.0 - ahead)
    each = np.maximum(batch, 1e-30)
    joined = 1.0 if met is None else np.maximum(met / each, 1.0)
    return ArrivalNoise(
        gap=own**2 * settle / (each * (1.0 - ahead) ** 2),
        request=(own**2 * wander + own * beside * (settle + own * wander)) / each,
        prompts=beside**2 * settle * joined / each,
    )


def boundary_noise(batch: Floats, gaps: Floats) -> Floats:
    """Squared variation of ``gaps`` steps by the wait for the first of them, uniform over a step (45)."""
    return np.clip(batch - 1.0, 0.0, 1.0) / (12.0 * gaps**2)
