"""The other side of benchmarks/learn.py: statsforecast on series that are given. Imports no twinkit."""

import json
import sys
import time
import warnings


def answered(asked):
    import numpy as np
    import pandas as pd
    from statsforecast import StatsForecast
    from statsforecast.models import MSTL, AutoETS, SeasonalNaive

    warnings.simplefilter("ignore")
    with np.load(asked["file"]) as given:
        values = given["values"]
    length, count = values.shape
    table = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(count), length),
            "ds": np.tile(pd.date_range("2025-01-06", periods=length, freq="h"), count),
            "y": values.T.ravel(),
        }
    )
    models = {
        "mstl": MSTL(season_length=[24, 168], trend_forecaster=AutoETS(model="ZZN")),
        "naive": SeasonalNaive(season_length=168),
    }
    model = models[asked["model"]]
    # what is compiled at the first call is not counted
    StatsForecast(models=[model], freq="h").forecast(df=table[table.unique_id == 0], h=asked["leads"], level=[90])
    start = time.perf_counter()
    said = StatsForecast(models=[model], freq="h").forecast(df=table, h=asked["leads"], level=[90])
    taken = time.perf_counter() - start
    name = repr(model)
    columns = [f"{name}-lo-90", name, f"{name}-hi-90"]
    out = said.sort_values(["unique_id", "ds"])[columns].to_numpy().reshape(count, asked["leads"], 3)
    np.savez(asked["out"], said=out.transpose(2, 1, 0))
    return {"seconds": taken}


if __name__ == "__main__":
    out = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        print(json.dumps(answered(json.loads(line))), file=out, flush=True)
