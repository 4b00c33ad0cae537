"""The command line: arguments, exit codes, and the one guard around everything.

Exit codes: 0 something was collected; 1 nothing was; 2 the configuration or the arguments are wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
from functools import partial
from typing import ContextManager, Iterator, List, NoReturn, Optional, Sequence

from . import __version__
from .cloud import Pool
from .collection import (
    REAL,
    Batch,
    Collector,
    Problem,
    Runtime,
    forewarn,
    make_collectors,
    on_sigterm,
    open_store,
    run_cycle,
)
from .commands.arguments import read_arguments
from .commands.stdout_writer import Output, write_all
from .commands.terminal import for_people
from .config import Instance, load_file, load_instance, load_warnings
from .errors import ConfigError, MaasError, one_line

COLLECTED, NOTHING, WRONG = 0, 1, 2


def run() -> NoReturn:
    """Run as a program: leave at once when all is written.

    Tearing the interpreter down would take a seventh of a `collect`, and could wait on a thread that hangs.
    """
    sys.stdout = for_people(sys.stdout)
    code = main()
    with contextlib.suppress(OSError, ValueError, AttributeError):  # None where it was closed at the start
        sys.stderr.flush()
    os._exit(code)


def main(argv: Optional[Sequence[str]] = None, runtime: Runtime = REAL) -> int:
    """Run one command and return its exit code. No exception passes, and no traceback.

    Args:
        argv: the arguments; None for those of the process.
        runtime: the clock and the transport, which tests replace.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    code = _guarded(given, runtime)
    return COLLECTED if code == NOTHING and "--exit-zero" in given else code


def _guarded(argv: List[str], runtime: Runtime) -> int:
    try:
        try:
            return _run(argv, runtime)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except ConfigError as error:
        _say(f"E! {error}")
        return WRONG
    except MaasError as error:
        _say(f"E! {error}")
        return NOTHING
    except BrokenPipeError:  # the reader has gone; nobody is left to tell
        return NOTHING
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        where = f"{os.path.basename(frame.tb_frame.f_code.co_filename)}:{frame.tb_lineno}" if frame else ""
        _say(f"E! a fault in maas-usage-check {__version__} ({type(error).__name__} at {where}): please report it")
        return NOTHING


def _run(argv: List[str], runtime: Runtime) -> int:
    args = read_arguments(argv)
    if args.command != "collect":
        gc.enable()
    commands = {
        "collect": _collect, "execd": _execd, "serve": _serve, "report": _report, "doctor": _doctor, "demo": _demo,
        "assets": _assets,
    }  # fmt: skip
    return commands[args.command](args, runtime)


def _collect(args: argparse.Namespace, runtime: Runtime) -> int:
    from .commands.collect import check_output, write

    if args.quiet:
        sys.stderr = None  # as where it was closed at the start, for the libraries too
    problems: List[Problem] = []

    def warn(text: str) -> None:
        problems.append(Problem("W", text, text))

    if args.output is not None:
        check_output(args.output)
    now = runtime.clock.now()
    instances, output = load_file(args.config, now), _output()
    for text in load_warnings(instances, now):
        warn(text)
    with contextlib.closing(open_store(instances, warn, runtime.clock)) as store, contextlib.closing(Pool()) as pool:
        taker = f"collect {os.path.realpath(args.config)}"
        collectors = make_collectors(instances, store, taker, args.format, pool=pool, runtime=runtime)
        forewarn(collectors, warn, args.deadline)
        on_sigterm(collectors, output.end)
        batches = run_cycle(collectors, args.deadline)
        write(batches, args.format, args.output, output)
        _tell([*(problem for batch in batches for problem in batch.problems), *problems])
    return _code(batches)


def _code(batches: Sequence[Batch]) -> int:
    return COLLECTED if any(batch.collected for batch in batches) else NOTHING


def _execd(args: argparse.Namespace, runtime: Runtime) -> int:
    from .commands import execd
    from .commands.problem_log import ProblemLog

    instances = load_file(args.config, runtime.clock.now())
    if sys.stdin is None:  # closed at the start: nobody can ask
        return COLLECTED
    with _collectors(instances, f"execd {os.path.realpath(args.config)}", "influx", runtime) as collectors:
        execd.run(collectors, ProblemLog(_say, runtime.clock.monotonic), sys.stdin.fileno(), _output())
    return COLLECTED


def _serve(args: argparse.Namespace, runtime: Runtime) -> int:
    try:
        from .commands.serve import serve
    except ModuleNotFoundError as error:
        if error.name != "prometheus_client":
            raise
        raise ConfigError("serve: needs the extra `serve`: pip install 'maas-usage-check[serve]'") from None
    # Not the real path: Kubernetes puts a new folder behind it with each change of the file.
    taker = f"serve {os.path.abspath(args.config)}"

    def load() -> ContextManager[List[Collector]]:
        return _collectors(load_file(args.config, runtime.clock.now()), taker, "prometheus", runtime)

    serve(args, load, _say, runtime.clock)
    return COLLECTED


@contextlib.contextmanager
def _collectors(instances: Sequence[Instance], taker: str, form: str, runtime: Runtime) -> Iterator[List[Collector]]:
    """Make what a surface keeps from cycle to cycle, and say what can be known to go wrong."""
    for text in load_warnings(instances, runtime.clock.now()):
        _warn(text)
    with contextlib.closing(open_store(instances, _warn, runtime.clock)) as store, contextlib.closing(Pool()) as pool:
        collectors = make_collectors(instances, store, taker, form, pool=pool, runtime=runtime)
        forewarn(collectors, _warn)
        yield collectors


def _report(args: argparse.Namespace, runtime: Runtime) -> int:
    from .commands.collect import put
    from .commands.report import report

    return COLLECTED if report(args, _tell, _warn, lambda text: put(text, _output()), runtime) else NOTHING


def _doctor(args: argparse.Namespace, runtime: Runtime) -> int:
    from .commands.doctor import FAIL, counted, examine

    now = runtime.clock.now()
    instances = load_file(args.config, now) if args.config is not None else [load_instance({}, {}, "arguments", now)]
    marks: List[str] = []
    with contextlib.closing(open_store(instances, _warn, runtime.clock)) as store:
        examined = [examine(instance, store, runtime) for instance in instances]
        several = len(instances) > 1
        what = f"{len(instances)} instances" if several else f"region {instances[0].region}"
        print(f"ok    configuration    {args.config or 'the defaults'}: {what}")  # noqa: T201
        for i, (instance, findings) in enumerate(zip(instances, examined)):
            if several:
                print(one_line(f"--    instance         instances[{i}]: {instance.display_name}"))  # noqa: T201
            for finding in findings:
                print(one_line(str(finding)), flush=True)  # noqa: T201 - what was asked for
                marks.append(finding.mark)
    print(counted(marks))  # noqa: T201
    return NOTHING if FAIL in marks else COLLECTED


def _demo(args: argparse.Namespace, runtime: Runtime) -> int:
    from .emulator.demo import demo

    return demo(partial(main, runtime=runtime), args.serve, args.port, runtime.clock.now)


def _assets(args: argparse.Namespace, runtime: Runtime) -> int:
    from .commands.assets import write_assets

    for path in write_assets(args.folder):
        print(path)  # noqa: T201 - what was asked for
    return COLLECTED


def _output() -> Output:
    def write(data: bytes) -> None:
        if sys.stdout is None:
            raise MaasError("standard output is closed: open it where this is started")
        # Not through sys.stdout: a thread that is blocked in it at exit would hold its lock.
        write_all(sys.stdout.fileno(), data)

    return Output(write)


def _tell(problems: Sequence[Problem]) -> None:
    """Print the decisive problem first: of a failed run Telegraf logs that one line alone."""
    for problem in sorted(problems, key=lambda problem: "EWI".index(problem.level)):
        _say(str(problem))


def _warn(text: str) -> None:
    _say(f"W! {text}")


def _say(line: str) -> None:
    if sys.stderr is None:  # closed at the start: print would take standard output instead
        return
    with contextlib.suppress(OSError, ValueError):  # nobody is left to tell, and what was collected still counts
        print(one_line(line), file=sys.stderr, flush=True)  # noqa: T201 - the one place
