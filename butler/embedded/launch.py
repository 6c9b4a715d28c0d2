"""The keeper: a small process between Butler and one embedded server, run as a script.

It guarantees that the server ends when Butler does, however Butler ends, and that once the keeper
itself is gone no process of that server is left. It watches its parent, stops the server in an
orderly way when the parent is gone, and on Linux kills what a killed server left behind. If the
keeper itself is killed, the kernel ends the server (Linux only).

Rejected: PR_SET_PDEATHSIG straight between Butler and the server. It fires when the *thread* that
started the server ends, so a server started from a pool's thread would die at some later moment;
and as a preexec_fn it runs Python between fork and exec of a process that has threads.
Rejected: a pipe whose end of file says that Butler died. Every process forked by Butler holds its
other end, so one surviving worker would keep the servers alive.

PostgreSQL refuses to run as root. Root therefore gives itself up, without creating a user and
without opening any folder: in a user namespace that shows it another uid, so files stay root's;
or, where that is refused (most containers) or would lose access (a folder below another user's),
as `nobody` with the capability to pass through folders, as root could. The first of these that
can run the program and write the folder is taken.

Only the standard library is used, and nothing of Butler: the script starts in 20 ms and runs with
`-I -S`. It prints the server's pid, or nothing when there is no server to be had; all complaints
go to stderr, which is the server's log.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pwd
import select
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_S = 0.2
CANNOT_RUN = 126

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_CHILD_SUBREAPER = 36
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522


class Order(TypedDict):
    """What Butler asks for, as JSON in the first argument."""

    argv: list[str]
    parent: int  # the pid whose end ends the server
    renounce_root: bool  # the program refuses to run as root
    folder: str  # must be writable to the server
    data: str  # must belong to the server where it already exists
    lock: int  # a descriptor that the server's processes hold as long as they live
    stop_signal: int  # ends the server in an orderly way
    death_signal: int  # from the kernel, when the keeper is killed
    grace_s: float  # from stop_signal to SIGKILL


def main() -> int:
    """Start the server, print its pid, stay until it ended; return its exit code."""
    order: Order = json.loads(sys.argv[1])
    wake = _wake_on_signals()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        become = _choose_identity(order)
    except OSError as error:
        print(error, file=sys.stderr)  # noqa: T201 - stderr is the server's log
        return CANNOT_RUN
    keeper = os.getpid()
    server = os.fork()
    if server == 0:
        _exec(order, become, keeper)
    os.close(order["lock"])
    os.write(1, b"%d\n" % server)
    os.dup2(2, 1)
    code = _keep(server, order, wake)
    _kill_leftovers()
    return code


def _wake_on_signals() -> int:
    """Make SIGCHLD and SIGTERM readable on a descriptor, and return it."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, _only_wake)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return reading


def _only_wake(number: int, frame: object) -> None:
    """Let the signal be written to the descriptor, and do nothing else."""


def _keep(server: int, order: Order, wake: int) -> int:
    """Wait for the server's end; stop it when asked to, or when the parent is gone."""
    kill_at: float | None = None
    asked_to_stop = False
    while True:
        pid, status = os.waitpid(server, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if kill_at is None and (asked_to_stop or os.getppid() != order["parent"]):
            os.kill(server, order["stop_signal"])
            kill_at = time.monotonic() + order["grace_s"]
        elif kill_at is not None and time.monotonic() > kill_at:
            os.kill(server, signal.SIGKILL)
        ready, _, _ = select.select([wake], [], [], POLL_S)
        asked_to_stop |= bool(ready) and signal.SIGTERM in os.read(wake, 512)


def _kill_leftovers() -> None:
    """Kill what a killed server left: its workers write no more once this returns (Linux)."""
    children = Path("/proc/self/task", str(os.getpid()), "children")
    while True:
        try:
            # Orphans become the keeper's own children: it is their subreaper.
            for pid in children.read_text().split():
                os.kill(int(pid), signal.SIGKILL)
            os.waitpid(-1, 0)
        except (ChildProcessError, FileNotFoundError):
            return


def _exec(order: Order, become: Callable[[], None], keeper: int) -> NoReturn:
    """Turn this forked child into the server."""
    try:
        become()
        # After the change of identity, which clears it.
        _prctl(PR_SET_PDEATHSIG, order["death_signal"])
        if os.getppid() == keeper:
            os.dup2(2, 1)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execv(order["argv"][0], order["argv"])  # noqa: S606 - no shell is wanted
    except OSError as error:
        os.write(2, f"cannot start {order['argv'][0]}: {error}\n".encode())
    finally:
        os._exit(CANNOT_RUN)


def _choose_identity(order: Order) -> Callable[[], None]:
    """Return what turns a forked child into a user the server accepts; OSError if there is none."""
    if not order["renounce_root"] or (os.geteuid() != 0 and _has_account(os.geteuid())):
        return _stay
    uid, gid = _unprivileged_account()
    refused: list[str] = []
    for name, become, owner in (
        ("a user namespace", lambda: _enter_user_namespace(uid, gid), os.geteuid()),
        ("an unprivileged user", lambda: _step_down(uid, gid), uid),
    ):
        reason = _try_out(order, become)
        if not reason:
            _give_data_to(owner, order["data"])
            return become
        refused.append(f"{name}: {reason}")
    message = "PostgreSQL does not run as root, and root cannot be given up here: "
    raise PermissionError(message + "; ".join(refused))


def _stay() -> None:
    """Keep the identity of the caller."""


def _has_account(uid: int) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwuid(uid))
    return False


def _unprivileged_account() -> tuple[int, int]:
    """Return uid and gid of ``nobody``, or else of any account but root's: initdb wants a name."""
    accounts = sorted(pwd.getpwall(), key=lambda account: account.pw_name != "nobody")
    for account in accounts:
        if account.pw_uid != 0:
            return account.pw_uid, account.pw_gid
    message = "no account but root's in the password database"
    raise PermissionError(message)


def _try_out(order: Order, become: Callable[[], None]) -> str:
    """Return why a child of this identity could not serve, or an empty string."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, _serving_problem(order, become).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        reason = answer.read().decode()
    os.waitpid(child, 0)
    return reason


def _serving_problem(order: Order, become: Callable[[], None]) -> str:
    """Become it, and do what the server will do; os.access() would not count capabilities."""
    trial = Path(order["folder"], f".trial-{os.getpid()}")
    try:
        become()
        os.close(os.open(order["argv"][0], os.O_RDONLY))
        os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        trial.unlink()
    except OSError as error:
        return str(error)
    return ""


def _enter_user_namespace(uid: int, gid: int) -> None:
    """See oneself as ``uid``, while the files still belong to who one was."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    _libc_call("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")


def _step_down(uid: int, gid: int) -> None:
    """Become ``uid``, able to read and pass through folders as root is, and nothing else."""
    capabilities = (1 << CAP_DAC_OVERRIDE) | (1 << CAP_DAC_READ_SEARCH)
    _libc_call("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable, for the first 32 capabilities and for the rest
    _libc_call("capset", header, (ctypes.c_uint32 * 6)(*[capabilities] * 3, 0, 0, 0))
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        _libc_call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _give_data_to(uid: int, data: str) -> None:
    """Hand over what another identity made at an earlier start; PostgreSQL insists on owning it."""
    top = Path(data)
    if top.exists() and top.stat().st_uid != uid:
        for path in (top, *top.rglob("*")):
            os.chown(path, uid, -1, follow_symlinks=False)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        _libc_call("prctl", option, value, 0, 0, 0)


def _libc_call(name: str, *arguments: Any) -> None:
    if sys.platform != "linux":
        message = f"{name} is a call of Linux; start as a user who is not root"
        raise PermissionError(message)
    wide = [ctypes.c_ulong(arg) if isinstance(arg, int) else arg for arg in arguments]
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*wide) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    sys.exit(main())
