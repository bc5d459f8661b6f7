"""Whether what other processes fit can be brought home without a risk to the user's call."""

from __future__ import annotations

from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

__all__ = ["comes_home"]

#: Packages whose objects pickle once they are fitted, as their own tests demand.
SAFE = frozenset(
    ("builtins", "imblearn", "lightgbm", "numpy", "pandas", "scipy", "sklearn", "skopt", "xgboost")
)
#: Params of these kinds were pickled on the way there, and training leaves them alone.
FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, type)


def comes_home(estimator: Any) -> bool:
    """Tell whether an estimator that is fitted in another process is sure to pickle there.

    Estimators of the user's own may hold a lock or a connection once they are fitted. Sent home,
    they would end a call that works without us. And a class of ``__main__`` that is unpickled here
    replaces the methods of the user's class.

    Parameters
    ----------
    estimator : BaseEstimator
        With all its params, nested ones too.
    """
    return _is_safe(estimator) and all(map(_is_safe, estimator.get_params(deep=True).values()))


def _is_safe(value: Any) -> bool:
    if isinstance(value, FUNCTIONS):
        return True
    if type(value).__module__.partition(".")[0] not in SAFE:
        return False
    if isinstance(value, dict):
        return all(map(_is_safe, value.values()))
    if isinstance(value, list | tuple | set):
        return all(map(_is_safe, value))
    return True
