"""The folder that the tools may read, and what in it they still may not."""

from fnmatch import fnmatch
from pathlib import Path

from prefect_healing.errors import ToolFailed
from prefect_healing.tools.tool import ToolContext

SECRET_LIKE = (
    ".env", ".env.*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*credential*", "*secret*", ".netrc", "_netrc", ".pgpass",
    ".pypirc", ".npmrc", ".htpasswd", "kubeconfig", "profiles.toml", "*.tfstate", "*.tfstate.*", "*service-account*",
)  # fmt: skip
"""Names of files that hold secrets more often than code, in any case of letters."""

_SECRET_FOLDERS = frozenset({".git", ".ssh", ".aws", ".azure", ".gnupg", ".kube", ".docker", ".prefect"})
_CODE_SUFFIXES = frozenset({".py", ".sql"})
_PROBE_BYTES = 8_192


def code_root(ctx: ToolContext) -> Path:
    """Return the folder of the flow's code. Raises ToolFailed where the flow's author declared none."""
    declared = ctx.incident.options.code_root
    if declared is None:
        raise ToolFailed("The flow declares no code root, so no source may be read; go by logs and task runs.")
    root = Path(declared).expanduser().resolve()
    if not root.is_dir():
        raise ToolFailed(f"The code root {declared} is not a folder on this machine; go by logs and task runs.")
    return root


def readable_file(root: Path, path: str) -> Path:
    """Return a source file below `root`, symlinks resolved. Raises ToolFailed for anything else."""
    try:
        file = (root / path).resolve(strict=True)
        inside = file.is_relative_to(root)
        regular = inside and file.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise ToolFailed(f"There is no file {path[:200]!r} in the code root.") from error
    if not inside:
        raise ToolFailed(f"{path[:200]!r} is outside of the code root; only files inside may be read.")
    if not regular:
        raise ToolFailed(f"{path[:200]!r} is not a file.")
    for name in (Path(path), file.relative_to(root)):
        if is_secret_like(name):
            raise ToolFailed(f"{path[:200]!r} looks like a place for secrets and is not read.")
    return file


def refuse_binary(content: bytes, path: str) -> None:
    """Raise ToolFailed where content is no text."""
    if b"\0" in content[:_PROBE_BYTES]:
        raise ToolFailed(f"{path[:200]!r} is binary; only text is read.")


def is_secret_like(path: Path) -> bool:
    """Say whether a file's name or folder is one where secrets are kept; code named after secrets is code."""
    name = path.name.lower()
    if any(part.lower() in _SECRET_FOLDERS for part in path.parts):
        return True
    return path.suffix.lower() not in _CODE_SUFFIXES and any(fnmatch(name, pattern) for pattern in SECRET_LIKE)
