"""A model with all that it needs to be used honestly: its features and units, its margin, its domain, its card.

On disk it is a zip of two members: ``model.skops``, the estimator, read back by skops, which makes only objects of
types named here (a pickle would run whatever its writer liked); and ``about.json``, all the rest, with the versions
and the digest of the first.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.learn.drift import Domain, cautious
from twinkit.learn.features import table
from twinkit.learn.interval import Margin

__all__ = ["Model", "load", "save"]

FORMAT = 1
LARGEST = 1 << 29

TRUSTED = (
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.RationalQuadratic",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.tree._tree.Tree",
)
"""Types beyond skops' own list of which models of scikit-learn are made: holders of arrays and formulas."""


@dataclass(frozen=True)
class Model:
    """A fitted estimator and what its numbers mean.

    Attributes
    ----------
    estimator : fitted scikit-learn estimator
    features : tuple of str
        In the order in which it learned them.
    target, unit : str
        What it predicts, a word of the vocabulary where there is one.
    units : dict of str to str
        Feature to the unit that it learned in.
    margin : Margin, optional
    known : Domain, optional
    card : str
        Name of its card.
    """

    estimator: Any
    features: tuple[str, ...]
    target: str
    unit: str
    units: dict[str, str] = field(default_factory=dict)
    margin: Margin | None = None
    known: Domain | None = None
    card: str = ""

    def predict(self, features: Any) -> xr.DataArray:
        """What the model says, with quantiles where it has a margin; a warning and wide intervals far outside.

        Parameters
        ----------
        features : Dataset, DataFrame or array (row, feature)
            Those that it learned, by name; of a Dataset the units are checked.

        Returns
        -------
        DataArray (quantile, *dims of the Dataset, or row) [unit]
            Of a classifier of two classes, the probability of the second.

        Errors
        ------
        TwinError
            A feature is missing, has another unit, or holds words or infinite numbers.
        """
        if isinstance(features, xr.Dataset):
            absent = [n for n in self.features if n not in features.data_vars]
            if absent:
                raise TwinError(f"the features {', '.join(self.features)}", found=f"no '{absent[0]}'", hint="add it")
            features = features[list(self.features)]
            for name, unit in self.units.items():
                said = features[name].attrs.get("units", unit)
                if said != unit:
                    raise TwinError(
                        f"{name} in {unit}", found=f"unit '{said}'", hint=f"convert it to {unit}", where=name
                    )
        frame = table(features).rename(columns=str)
        missing = [n for n in self.features if n not in frame]
        if missing:
            raise TwinError(f"the features {', '.join(self.features)}", found=f"no '{missing[0]}'", hint="add it")
        frame = frame[list(self.features)]
        numbers = frame.select_dtypes("number")
        endless = [n for n in numbers if np.isinf(numbers[n].to_numpy(float)).any()]
        if endless:
            raise TwinError(
                "finite features, NaN where missing", found="an infinite one", hint="clean them", where=str(endless[0])
            )
        rows = frame if hasattr(self.estimator, "feature_names_in_") else frame.to_numpy()
        try:
            if hasattr(self.estimator, "predict_proba"):
                point = self.estimator.predict_proba(rows)[:, -1]
            else:
                point = self.estimator.predict(rows)
        except (TypeError, ValueError) as wrong:
            raise TwinError(
                "features of the kind that the model learned", found=str(wrong).splitlines()[-1], hint="see its card"
            ) from None
        said = xr.DataArray(np.asarray(point, dtype=float), dims="row")
        if self.margin is not None:
            said = self.margin.around(said)
            if self.known is not None:
                said = cautious(said, self.known.distance(frame), known=self.known)
        if isinstance(features, xr.Dataset):
            dims = dict.fromkeys(str(d) for v in features.data_vars.values() for d in v.dims)
            sizes = {d: features.sizes[d] for d in dims}
            shape = (*said.shape[:-1], *sizes.values())
            axes = {d: features.indexes[d] for d in sizes if d in features.indexes}
            lead = {"quantile": said["quantile"].to_numpy()} if "quantile" in said.dims else {}
            said = xr.DataArray(said.to_numpy().reshape(shape), lead | axes, (*lead, *sizes))
        said.attrs = {"units": self.unit, "provenance": f"modelled: {type(self.estimator).__name__}"}
        if self.card:
            said.attrs["method"] = f"card {self.card}"
        return said.rename(self.target)


def save(model: Model, path: str | Path) -> str:
    """Write a model, without pickle; the file is there whole or not at all.

    Parameters
    ----------
    model : Model
    path : str or Path
        ``NAME.model``.

    Returns
    -------
    str
        The file's sha256: keep it elsewhere and give it to `load`; what stands in the file itself cannot prove that
        nobody rewrote all of it.

    Errors
    ------
    TwinError
        An estimator with parts that skops does not know (your own classes), a folder that is absent or closed, or
        skops is not installed.

    Examples
    --------
    >>> from twinkit.learn import linear
    >>> x = np.arange(20.0)[:, None]
    >>> made = Model(linear().fit(x, x[:, 0]), ("feature 0",), "load", "1")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     digest = save(made, f"{folder}/load.model")
    ...     again = load(f"{folder}/load.model", digest=digest)
    >>> bool((again.predict(x) == made.predict(x)).all())
    True
    """
    import sklearn

    skops = _skops()
    try:
        body = skops.dumps(model.estimator)
    except Exception as wrong:  # noqa: BLE001 - skops raises what the part that it cannot write raises
        raise TwinError("an estimator that skops can write", found=str(wrong), hint="use one of scikit-learn") from None
    strange = sorted(set(skops.get_untrusted_types(data=body)) - set(TRUSTED))
    if strange:
        raise TwinError(
            "an estimator of scikit-learn's own parts, so that its file can be read without running code",
            found=f"'{strange[0]}'",
            hint="pass your own function as a model instead, or fit one of scikit-learn's",
        )
    from twinkit import __version__

    about = {
        "format": FORMAT,
        "twinkit": __version__,
        "sklearn": sklearn.__version__,
        "digest": hashlib.sha256(body).hexdigest(),
        "features": list(model.features),
        "target": model.target,
        "unit": model.unit,
        "units": model.units,
        "card": model.card,
        "margin": _margin_out(model.margin),
        "known": _domain_out(model.known),
    }
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in (("about.json", json.dumps(about, sort_keys=True).encode()), ("model.skops", body)):
            file.writestr(name, text)
    target = Path(path)
    try:
        handle, scratch = tempfile.mkstemp(dir=target.parent, suffix=".part")
    except OSError as wrong:
        raise TwinError(
            "a folder to write in", found=str(wrong.strerror), hint="make it first", where=target.parent.name
        ) from None
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(memory.getvalue())
            out.flush()
            os.fsync(out.fileno())
        Path(scratch).replace(target)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    return hashlib.sha256(memory.getvalue()).hexdigest()


def load(path: str | Path, *, digest: str = "") -> Model:
    """A model from its file; nothing in the file is run.

    Parameters
    ----------
    path : str or Path
    digest : str, optional
        What `save` gave: then a file that anybody rewrote is refused.

    Returns
    -------
    Model

    Errors
    ------
    TwinError
        No such file, no model's file, one that was changed, one that holds parts of unknown type, or one of another
        format or another version of scikit-learn (whose trees would be read wrongly without a word).

    Examples
    --------
    >>> load("nowhere.model")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: nowhere.model: expected a model's file; found nothing there. Try: ...
    """
    import sklearn

    name = Path(path).name
    skops = _skops()
    try:
        raw = Path(path).read_bytes()
    except OSError as wrong:
        found = "nothing there" if isinstance(wrong, FileNotFoundError) else str(wrong.strerror)
        raise TwinError("a model's file", found=found, hint="write one with tk.learn.save", where=name) from None
    if digest and hashlib.sha256(raw).hexdigest() != digest:
        raise TwinError(
            f"the file with sha256 {digest[:12]}...",
            found=f"{hashlib.sha256(raw).hexdigest()[:12]}...: it was changed, or is another",
            hint="get the file again from whom you have the digest",
            where=name,
        )
    about, body = _members(raw, name)
    if about.get("format") != FORMAT:
        raise TwinError(
            f"a model's file of format {FORMAT}",
            found=f"format {about.get('format')!r}, written by twinkit {about.get('twinkit')}",
            hint="write it again with this version",
            where=name,
        )
    if hashlib.sha256(body).hexdigest() != about.get("digest"):
        raise _broken(name, "an estimator that is not the one that was written")
    if about.get("sklearn") != sklearn.__version__:
        raise TwinError(
            f"a model of scikit-learn {sklearn.__version__}, which is installed",
            found=f"one of {about.get('sklearn')}",
            hint="fit it again here, or install that version",
            where=name,
        )
    try:
        strange = sorted(set(skops.get_untrusted_types(data=body)) - set(TRUSTED))
    except Exception as wrong:  # noqa: BLE001 - skops raises whatever a damaged schema leads it to
        raise _broken(name, str(wrong)) from None
    if strange:
        raise TwinError(
            "parts of scikit-learn and NumPy alone", found=f"'{strange[0]}'", hint="do not open this file", where=name
        )
    try:
        estimator = skops.loads(body, trusted=list(TRUSTED))
        return Model(
            estimator,
            tuple(about["features"]),
            about["target"],
            about["unit"],
            dict(about["units"]),
            _margin_in(about["margin"]),
            _domain_in(about["known"]),
            about["card"],
        )
    except Exception as wrong:  # noqa: BLE001 - the same, and what about.json lacks
        raise _broken(name, str(wrong)) from None


def _members(raw: bytes, name: str) -> tuple[dict[str, Any], bytes]:
    """The two members of a model's file."""
    about: Any = None
    body = b""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as file:
            names = file.namelist()
            if sorted(names) == ["about.json", "model.skops"] and _size(file) <= LARGEST:
                about, body = json.loads(file.read("about.json")), file.read("model.skops")
                # skops' own file is a zip too, and could unfold as far
                with zipfile.ZipFile(io.BytesIO(body)) as inner:
                    if _size(inner) > LARGEST:
                        about = None
    except Exception as wrong:  # noqa: BLE001 - damage makes zip, zlib, JSON and Unicode fail each in its own way
        raise _broken(name, str(wrong)) from None
    if not isinstance(about, dict):
        raise _broken(name, f"members {', '.join(names[:4])}, or one that is too large or no object")
    return about, body


def _size(file: zipfile.ZipFile) -> int:
    """Bytes of all members, unfolded; zipfile reads no further than they say."""
    return sum(i.file_size for i in file.infolist())


def _broken(name: str, why: str) -> TwinError:
    return TwinError(
        "a whole model's file", found=why or "damage", hint="write it again with tk.learn.save", where=name
    )


def _skops() -> Any:
    try:
        import skops.io
    except ImportError:
        raise TwinError("skops", found="none installed", hint="pip install 'twinkit[learn]'") from None
    return skops.io


def _margin_out(margin: Margin | None) -> Any:
    if margin is None:
        return None
    groups = {k: v.tolist() for k, v in margin.by_group.items()}
    return [list(margin.quantile), margin.offset.tolist(), groups, margin.normalised, margin.rows]


def _margin_in(kept: Any) -> Margin | None:
    if kept is None:
        return None
    groups = {str(k): np.array(v, dtype=float) for k, v in kept[2].items()}
    return Margin(tuple(map(float, kept[0])), np.array(kept[1], dtype=float), groups, bool(kept[3]), int(kept[4]))


def _domain_out(known: Domain | None) -> Any:
    if known is None:
        return None
    arrays = [known.middle, known.size, known.points, known.target]
    return [list(known.features), [a.tolist() for a in arrays], known.reach, known.seen]


def _domain_in(kept: Any) -> Domain | None:
    if kept is None:
        return None
    middle, size, points, target = (np.array(a, dtype=float) for a in kept[1])
    return Domain(tuple(kept[0]), middle, size, points.reshape(-1, len(middle)), float(kept[2]), target, dict(kept[3]))
