"""What this machine is and may do: the only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

from zoo.errors import BadPlan

NO_PATHS = "STUDIO_NO_PATHS"
ON_CLUSTER = "RUN_OF_STUDIO_ON_CLUSTER"  # marks the processes of a run that Ray started
Mode = Literal["single", "team", "demo"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Read once, in ``app.py`` or a ``__main__``, and passed on from there.

    Attributes:
        home: where datasets, caches, runs and classifiers live.
        max_upload_mb: largest upload taken, in MiB.
        cache_gb: most that decoded pictures and features may take together, in 10⁹ bytes.
        auth: ``user:password`` pairs for the page, empty for none.
        engine: the engine runs are sent to unless a plan says otherwise.
        cluster: HOST:PORT of the head of a Ray cluster, empty for none.
        cluster_token: the file with the token that its nodes were started with.
        cluster_storage: a path or URL that its nodes reach, by which runs come and go; empty where they see ``home``.
        slots: how many runs this machine takes at once; 0 for one a graphics card, or one without any.
        offline: never ask a hub.
        threads: CPU threads that computing may use.
        on_space: the page runs as a Hugging Face Space.
        local_paths: whoever asks may name folders of this machine as backbones.
        mode: who the page is for: "single" one person, "team" people who sign in and see their own things only,
            "demo" strangers, who compare small things and try.
        oauth: people sign in as the Space's host knows them.
        keeper: in a team, whose the things without an owner are.
        mcp: agents may use the page's functions as tools.
        owner_gb, owner_hours: what one of a team may take, of the disk and, a day, in running time; 0 for no limit.
    """

    home: Path
    max_upload_mb: int = 2048
    cache_gb: int = 32
    auth: tuple[tuple[str, str], ...] = ()
    engine: str = "local"
    cluster: str = ""
    cluster_token: Path | None = None
    cluster_storage: str = ""
    slots: int = 0
    offline: bool = False
    threads: int = 1
    on_space: bool = False
    local_paths: bool = True
    mode: Mode = "single"
    oauth: bool = False
    keeper: str = ""
    owner_gb: int = 0
    owner_hours: int = 0
    mcp: bool = False

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Settings as ``environ`` has them.

        Raises:
            BadPlan: a variable holds what cannot be used.
        """
        on_space = "SPACE_ID" in environ
        pairs = [pair.partition(":") for pair in environ.get("STUDIO_AUTH", "").split(",") if pair]
        if any(not user or not password for user, _, password in pairs):
            raise BadPlan("STUDIO_AUTH is not user:password.", "Write STUDIO_AUTH=name:secret, several with commas.")
        mode = _mode(environ, on_space)
        oauth = on_space and mode == "team" and not pairs and "OAUTH_CLIENT_ID" in environ
        return cls(
            home=_home(environ, on_space),
            max_upload_mb=_whole(environ, "STUDIO_MAX_UPLOAD_MB", 200 if mode == "demo" else 2048),
            cache_gb=_whole(environ, "STUDIO_CACHE_GB", 32),
            auth=tuple((user, password) for user, _, password in pairs),
            engine=environ.get("STUDIO_ENGINE", "local"),
            cluster=environ.get("STUDIO_CLUSTER", ""),
            cluster_token=_file(environ, "STUDIO_CLUSTER_TOKEN"),
            cluster_storage=environ.get("STUDIO_CLUSTER_STORAGE", ""),
            slots=_whole(environ, "STUDIO_SLOTS", 0),
            offline=any(_true(environ, name) for name in ("STUDIO_OFFLINE", "HF_HUB_OFFLINE")),
            threads=_whole(environ, "OMP_NUM_THREADS", usable_cores()),
            on_space=on_space,
            local_paths=not (on_space or environ.get("STUDIO_AUTH") or _true(environ, NO_PATHS)),
            mode=mode,
            oauth=oauth,
            keeper=pairs[0][0] if pairs else environ.get("SPACE_AUTHOR_NAME", "") if oauth else "",
            owner_gb=_whole(environ, "STUDIO_OWNER_GB", 0),
            owner_hours=_whole(environ, "STUDIO_OWNER_HOURS", 0),
            mcp=_true(environ, "STUDIO_MCP"),
        )


def keep_paths_private(settings: Settings) -> Settings:
    """``settings`` of a page that strangers reach; the processes it starts read the same from the environment."""
    os.environ[NO_PATHS] = "1"
    return replace(settings, local_paths=False)


def usable_cores() -> int:
    """CPU cores this process may run on, which a container can make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def child_environment(**more: str) -> dict[str, str]:
    """What a child process may see of the environment: no token, no password, plus ``more``."""
    hidden = ("STUDIO_AUTH", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OAUTH_CLIENT_SECRET", "OAUTH_CLIENT_ID")
    private = {NO_PATHS: "1"} if os.environ.get("STUDIO_AUTH") else {}
    return {name: value for name, value in os.environ.items() if name not in hidden} | private | more


def visible_cards(environ: Mapping[str, str] = os.environ) -> tuple[str, ...] | None:
    """The graphics cards that CUDA may use, as the environment names them; None where it may use all."""
    named = environ.get("CUDA_VISIBLE_DEVICES")
    return None if named is None else tuple(one.strip() for one in named.split(",") if one.strip())


def launched_rank(environ: Mapping[str, str] = os.environ) -> int | None:
    """This process's number among those torch's launcher, or Ray, started for one run; None without either."""
    launched = "TORCHELASTIC_RUN_ID" in environ or ON_CLUSTER in environ
    return int(environ.get("RANK", "0")) if launched else None


def set_environment(**values: str) -> None:
    """What libraries that are imported from here on read from the environment of this process."""
    os.environ.update(values)


def wait_briefly(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let threads of GNU's OpenMP, torch's on Linux, sleep soon where they wait, unless ``environ`` says otherwise.

    By default they spin 300 times longer, which is a little quicker on a machine to themselves. Where anything else is
    at work, one thread spins through the other's turn, and training takes ten times as long (tests/bench/waiting.py).
    It counts for libraries loaded from here on, and for the processes started from here.
    """
    if "OMP_WAIT_POLICY" not in environ:
        environ.setdefault("GOMP_SPINCOUNT", "1000")


def torch_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Where torch's own hub keeps the files it fetched, known without importing torch."""
    base = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("TORCH_HOME") or f"{base}/torch"
    return Path(home).expanduser() / "hub" / "checkpoints"


def _home(environ: Mapping[str, str], on_space: bool) -> Path:
    if environ.get("STUDIO_HOME"):
        return Path(environ["STUDIO_HOME"]).expanduser().absolute()
    if on_space and os.access("/data", os.W_OK):
        return Path("/data")
    base = environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "transfer-zoo"


def _file(environ: Mapping[str, str], name: str) -> Path | None:
    return Path(environ[name]).expanduser().absolute() if environ.get(name) else None


def _whole(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isdigit() or int(text) < 1:
        raise BadPlan(f"{name} is {text!r}.", "Give a whole number of 1 or more, or leave it out.")
    return int(text)


def _mode(environ: Mapping[str, str], on_space: bool) -> Mode:
    mode = environ.get("STUDIO_MODE", "") or (
        "team" if environ.get("STUDIO_AUTH") else "demo" if on_space else "single"
    )
    if mode not in get_args(Mode):
        raise BadPlan(f"STUDIO_MODE is {mode!r}.", "Choose single, team or demo.")
    return cast(Mode, mode)


def _true(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").lower() in ("1", "true", "yes", "on")
