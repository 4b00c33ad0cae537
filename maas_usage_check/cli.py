"""The command line: arguments, exit codes, and the handler of all exceptions.

Exit codes: 0 something was collected; 1 nothing was; 2 the configuration or the arguments are wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
from functools import partial
from typing import Callable, ContextManager, Iterator, List, NoReturn, Optional, Sequence

from .cloud import Pool
from .collection import Collector, run_cycle
from .collection.preflight import run_preflight
from .commands.arguments import read_arguments
from .commands.collect import check_output, write_batches
from .commands.runner import REAL, Runtime, make_collectors, on_sigterm, open_store
from .commands.stdout_writer import StdoutWriter, wrap_stdout, write_all
from .config import Instance, load_file, load_instance, load_warnings
from .errors import ConfigError, MaasError, Problem, one_line
from .scheduling import WINDOW_S
from .version import __version__

COLLECTED, NOT_COLLECTED, CONFIG_WRONG, INTERRUPTED = 0, 1, 2, 130


def run() -> NoReturn:
    """Run as a program; exit without interpreter shutdown once the output is written.

    The shutdown would take a seventh of a `collect`, and could wait for a thread that hangs.
    """
    sys.stdout = wrap_stdout(sys.stdout)
    code = main()
    with contextlib.suppress(OSError, ValueError, AttributeError):  # None if it was closed before the start
        sys.stderr.flush()
    os._exit(code)


def main(argv: Optional[Sequence[str]] = None, runtime: Runtime = REAL) -> int:
    """Run one command; return its exit code. Exceptions become one line on standard error.

    Args:
        argv: the arguments; None for those of the process.
        runtime: the clock and the transport, which tests replace.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    code = _run_guarded(arguments, runtime)
    return COLLECTED if code == NOT_COLLECTED and "--exit-zero" in arguments else code


def _run_guarded(argv: List[str], runtime: Runtime) -> int:
    try:
        try:
            return _run(argv, runtime)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except ConfigError as error:
        _log(f"E! {error}")
        return CONFIG_WRONG
    except MaasError as error:
        _log(f"E! {error}")
        return NOT_COLLECTED
    except BrokenPipeError:  # the reader closed the pipe: no message
        return NOT_COLLECTED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        line = f"{os.path.basename(frame.tb_frame.f_code.co_filename)}:{frame.tb_lineno}" if frame else ""
        _log(
            f"E! internal error in maas-usage-check {__version__} ({type(error).__name__} at {line}): please report it"
        )
        return NOT_COLLECTED


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
    if args.quiet:
        sys.stderr = None  # silences libraries too
    problems: List[Problem] = []

    def warn(text: str) -> None:
        problems.append(Problem("W", text, text))

    if args.output is not None:
        check_output(args.output)
    now = runtime.clock.now()
    instances, writer = load_file(args.config, now), _stdout_writer()
    for text in load_warnings(instances, now):
        warn(text)
    with contextlib.closing(open_store(instances, warn, runtime.clock)) as store, contextlib.closing(Pool()) as pool:
        consumer = f"collect {os.path.realpath(args.config)}"
        collectors = make_collectors(instances, store, consumer, args.format, pool=pool, runtime=runtime)
        run_preflight(collectors, warn, args.deadline)
        on_sigterm(collectors, writer.stop)
        batches = run_cycle(collectors, args.deadline)
        write_batches(batches, args.format, args.output, writer, warn)
        _log_problems([*(problem for batch in batches for problem in batch.problems), *problems])
    return COLLECTED if any(batch.collected for batch in batches) else NOT_COLLECTED


# A command's own modules are imported where it runs: those of `report` alone take 181 million instructions.
def _execd(args: argparse.Namespace, runtime: Runtime) -> int:
    from .commands import execd
    from .commands.problem_log import ProblemLog

    instances = load_file(args.config, runtime.clock.now())
    if sys.stdin is None:  # closed before the start: no newline can arrive
        return COLLECTED
    with _collectors(instances, f"execd {os.path.realpath(args.config)}", "influx", runtime) as collectors:
        execd.run(collectors, ProblemLog(_log, runtime.clock.monotonic), sys.stdin.fileno(), _stdout_writer())
    return COLLECTED


def _serve(args: argparse.Namespace, runtime: Runtime, on_listening: Callable[[str], None] = lambda url: None) -> int:
    try:
        from .commands.serve import serve
    except ModuleNotFoundError as error:
        raise _without_extra(error, "serve") from None
    # Not the real path: Kubernetes links a new folder at each change of the file.
    consumer = f"serve {os.path.abspath(args.config)}"

    def load() -> ContextManager[List[Collector]]:
        return _collectors(load_file(args.config, runtime.clock.now()), consumer, "prometheus", runtime, WINDOW_S)

    try:
        serve(args, load, _log, runtime.clock, on_listening)
    except ModuleNotFoundError as error:
        raise _without_extra(error, "serve") from None
    return COLLECTED


def _without_extra(error: ModuleNotFoundError, what: str) -> Exception:
    """Return the error for a missing module of the extra `serve`."""
    if error.name not in ("prometheus_client", "jinja2"):
        return error
    return ConfigError(f"{what}: needs the extra `serve`: pip install 'maas-usage-check[serve]'")


@contextlib.contextmanager
def _collectors(
    instances: Sequence[Instance], consumer: str, format_name: str, runtime: Runtime, rate_extension_s: float = 0.0
) -> Iterator[List[Collector]]:
    """Create the collectors of a daemon and log the warnings of its configuration."""
    for text in load_warnings(instances, runtime.clock.now()):
        _warn(text)
    with contextlib.closing(open_store(instances, _warn, runtime.clock)) as store, contextlib.closing(Pool()) as pool:
        collectors = make_collectors(
            instances, store, consumer, format_name, pool=pool, runtime=runtime, rate_extension_s=rate_extension_s
        )
        run_preflight(collectors, _warn)
        yield collectors


def _report(args: argparse.Namespace, runtime: Runtime) -> int:
    if args.format == "html":
        try:
            from .commands.serve.page.page_report import report_page as report
        except ModuleNotFoundError as error:
            raise _without_extra(error, "--format html") from None
    else:
        from .commands.report import report

    def write(text: str) -> None:
        _stdout_writer().write(text.encode())

    return COLLECTED if report(args, _log_problems, _warn, write, runtime) else NOT_COLLECTED


def _doctor(args: argparse.Namespace, runtime: Runtime) -> int:
    from .commands.doctor import FAIL, count_problems, examine

    now = runtime.clock.now()
    instances = load_file(args.config, now) if args.config is not None else [load_instance({}, {}, "arguments", now)]
    marks: List[str] = []
    with contextlib.closing(open_store(instances, _warn, runtime.clock)) as store:
        examined = [examine(instance, store, runtime, _warn) for instance in instances]
        several = len(instances) > 1
        content = f"{len(instances)} instances" if several else f"region {instances[0].region}"
        print(f"ok    configuration    {args.config or 'the defaults'}: {content}")  # noqa: T201
        for i, (instance, findings) in enumerate(zip(instances, examined)):
            if several:
                print(one_line(f"--    instance         instances[{i}]: {instance.display_name}"))  # noqa: T201
            for finding in findings:
                print(one_line(str(finding)), flush=True)  # noqa: T201 - the output of the command
                marks.append(finding.mark)
    print(count_problems(marks))  # noqa: T201
    return NOT_COLLECTED if FAIL in marks else COLLECTED


def _demo(args: argparse.Namespace, runtime: Runtime) -> int:
    from .emulator.demo import SimulatedAccount, demo, serve_demo

    def show_page(account: SimulatedAccount, on_listening: Callable[[str], None]) -> None:
        from .commands.demo_page import prepare_page

        config = prepare_page(account, runtime.clock)
        _serve(read_arguments(["serve", "--config", config, "--listen", "127.0.0.1:0"]), runtime, on_listening)

    if args.serve:
        return serve_demo(show_page, args.port, runtime.clock.now)
    return demo(partial(main, runtime=runtime), args.port, runtime.clock.now)


def _assets(args: argparse.Namespace, runtime: Runtime) -> int:
    from .commands.assets import write_assets

    for path in write_assets(args.folder):
        print(path)  # noqa: T201 - the output of the command
    return COLLECTED


def _stdout_writer() -> StdoutWriter:
    def write(data: bytes) -> None:
        if sys.stdout is None:
            raise MaasError("standard output is closed: open it in the process that starts this one")
        # Not through sys.stdout: a blocked thread would hold its lock at exit.
        write_all(sys.stdout.fileno(), data)

    return StdoutWriter(write)


def _log_problems(problems: Sequence[Problem]) -> None:
    """Log the most severe problem first: Telegraf shows only the first line of a failed run."""
    for problem in sorted(problems, key=lambda problem: "EWI".index(problem.level)):
        _log(str(problem))


def _warn(text: str) -> None:
    _log(f"W! {text}")


def _log(line: str) -> None:
    if sys.stderr is None:  # closed before the start: print would use standard output
        return
    with contextlib.suppress(OSError, ValueError):  # a closed standard error must not fail the command
        print(one_line(line), file=sys.stderr, flush=True)  # noqa: T201 - the only log function
