"""The name of the flow behind an entrypoint, read from its source: nothing of the user's is run for it."""

import ast
from importlib.util import find_spec
from pathlib import Path


def flow_name_of(entrypoint: str, root: str | None = None) -> str | None:
    """Return the name that Prefect knows a flow by, None where its source cannot be found or read.

    `entrypoint` reads `path/file.py:flow` or `module:flow`; a relative path counts from `root`, else from the working
    directory.
    """
    module, _, function = entrypoint.rpartition(":")
    try:
        tree = ast.parse(_source(module, root))
    except (OSError, ValueError, SyntaxError, ImportError, RecursionError):
        return None
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    definition = next((node for node in found if node.name == function), None)
    return None if definition is None else _declared_name(definition) or function.replace("_", "-")


def _source(module: str, root: str | None) -> str:
    if module.endswith(".py"):
        return _anchored(Path(module), root).read_text(encoding="utf-8")
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(module)
    return Path(spec.origin).read_text(encoding="utf-8")


def _anchored(path: Path, root: str | None) -> Path:
    anchored = Path(root) / path if root is not None else path
    return anchored if anchored.is_file() else path


def _declared_name(definition: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    keywords = [each for call in definition.decorator_list if isinstance(call, ast.Call) for each in call.keywords]
    values = (each.value for each in keywords if each.arg == "name")
    return next((each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)), None)
