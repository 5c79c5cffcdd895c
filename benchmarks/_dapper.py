"""The other side of benchmarks/assimilate.py: DAPPER on a truth and readings that are given. Imports no twinkit."""

import contextlib
import io
import json
import sys


def answered(asked):
    import dapper
    import dapper.mods as modelling
    import dapper.tools.progressbar
    import numpy as np
    from dapper.da_methods import LETKF, EnKF, EnKF_N, OptInterp

    dapper.tools.progressbar.disable_progbar = True
    method = {
        "letkf": lambda: LETKF(N=7, rot=True, infl=1.04, loc_rad=4),
        "perturbed": lambda: EnKF("PertObs", N=40, infl=1.06),
        "finite-size": lambda: EnKF_N(N=10, rot=True),
        "interpolation": lambda: OptInterp(),
    }[asked["work"]]()
    with np.load(asked["file"]) as given:
        truth, seen = given["truth"], given["seen"]
    if asked["work"] == "finite-size":
        from dapper.mods.Lorenz63.sakov2012 import HMM

        every, dt = 25, 0.01
    else:
        from dapper.mods.Lorenz96.sakov2008 import HMM

        every, dt = 1, 0.05
    HMM.tseq = modelling.Chronology(dt, dko=every, Ko=len(truth) - 1, Tplot=10, BurnIn=0)
    # between readings the truth is not asked for: what is assessed there is not read
    states = np.repeat(np.vstack([truth[:1], truth]), [1] + [every] * len(truth), axis=0)
    dapper.set_seed(1000 + asked["seed"])
    with contextlib.redirect_stdout(io.StringIO()):
        method.assimilate(HMM, states, seen, liveplots=False)
    return {"rmse": float(np.mean(np.asarray(method.stats.err.rms.a)[asked["burn"] :]))}


if __name__ == "__main__":
    out = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        print(json.dumps(answered(json.loads(line))), file=out, flush=True)
