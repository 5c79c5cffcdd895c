"""The commands. A TwinError is one message and exit code 2, never a traceback."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinkit.cli._shown import called, in_commands, say, shown
from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Digital twins of telecom networks.

Begin here:

\b
    twinkit demo                            a real region's twin, a study on it, a report; three minutes
    twinkit demo --region "RW:Kigali"       the same for another place in any country

Then:

\b
    twinkit info out/shimla.twin            what is in a stored twin, and what of it was measured
    twinkit dashboard out/shimla.twin       plan, operate and withstand, in a browser
    twinkit participate out/shimla.twin     the citizens' pages
    twinkit run coverage -p budget=12       the study again with other choices
    twinkit lesson lab                      the course, from lesson 00
""",
)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Register a command whose help keeps the lines of its examples: the indented paragraphs of the docstring."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    # getdoc leaves examples without an indent where nothing but them follows the first line
    lines = ["    " + p.replace("\n", "\n    ") if p.startswith("twinkit ") else p for p in paragraphs]
    kept = ["\b\n" + p if p.startswith("    ") else p for p in lines]
    return app.command(help="\n\n".join(kept))(function)


Store = Annotated[Path, typer.Argument(help="Folder of a stored twin, e.g. out/shimla.twin.", show_default=False)]
Notebook = Annotated[
    str, typer.Argument(help="Path of a notebook, or the name of one of twinkit's (coverage).", show_default=False)
]
Radius = Annotated[float, typer.Option(help="Half the side of the square around the place [m].")]
Seed = Annotated[int, typer.Option(help="Of all that is generated: same seed, same bytes.")]
Towers = Annotated[
    Path | None, typer.Option(help="Tower register (CSV, also gzipped, or GeoJSON) in place of the generated network.")
]
Terrain = Annotated[
    Path | None, typer.Option(help="Elevation tile (.hgt, .hgt.zip, .tif) in place of the generated relief.")
]
Branch = Annotated[str, typer.Option(help="Branch.")]
Verify = Annotated[bool, typer.Option("--verify", help="Also prove that nothing was altered.")]
Head = Annotated[str | None, typer.Option(help="A head kept elsewhere: prove that no newest commit is gone.")]
File = Annotated[str | None, typer.Argument(help="A file of the list; left out, the list.", show_default=False)]
Over = Annotated[list[str] | None, typer.Option("--over", help="NAME=VALUE,VALUE,... or NAME=0:10; repeat it.")]
Runs = Annotated[Path, typer.Option(help="Folder of the runs; a sweep goes on where it stopped.")]
Update = Annotated[bool, typer.Option("--update", help="Keep the numbers of now, with the tolerances of before.")]
Choices = Annotated[list[str] | None, typer.Option("-p", "--parameter", help="NAME=VALUE; repeat it.")]
Language = Annotated[str, typer.Option(help="Labels of the figures: en, hi, fr or fa.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="The version, and nothing else.")] = False) -> None:
    if version:
        import twinkit

        say(twinkit.__version__)
        raise typer.Exit


@command
def demo(
    region: Annotated[
        str,
        typer.Option(help="Country code and place (RW:Kigali), first-level code (IN:11), or west,south,east,north."),
    ] = "IN:Shimla",
    radius: Radius = 60_000.0,
    seed: Seed = 1,
    towers: Towers = None,
    terrain: Terrain = None,
    out: Annotated[Path, typer.Option(help="Folder for all that the demo makes.")] = Path("out"),
    small: Annotated[bool, typer.Option("--small", help="30 by 30 km: a look that takes seconds.")] = False,
    language: Language = "en",
    live: Annotated[
        bool, typer.Option("--live", help="Sensors, broker, ingester, estimate, and an alarm that names a fault.")
    ] = False,
    fault: Annotated[str | None, typer.Option(help="With --live: bias, stuck, gap or none.")] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Serve the dashboards of it at the end.")] = False,
) -> None:
    """Build a real region's twin, study its coverage, and leave a report.

    Needs no network. Settlements, relief and rain are real; the network is generated unless you give yours:

        twinkit demo
        twinkit demo --dashboard
        twinkit demo --live
        twinkit demo --region "IR:Tehran" --radius 40000
        twinkit demo --region "BW:Gaborone" --towers 652.csv.gz --terrain S25E025.hgt.zip
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from twinkit.cli._demo import demo as whole

    if live and dashboard:
        raise TwinError(
            "--dashboard without --live", found="both", hint="twinkit demo --dashboard", where="--dashboard"
        )
    if live:
        _live_demo(region, radius=radius, seed=seed, out=out, fault=fault or "bias", towers=towers, terrain=terrain)
        return
    if fault is not None:
        raise TwinError("--fault with --live", found=f"--fault {fault} alone", hint="twinkit demo --live --fault stuck")
    console = Console()
    done = whole(
        region,
        radius=radius,
        seed=seed,
        out=out,
        towers=towers,
        terrain=terrain,
        small=small,
        language=language,
        say=lambda line: console.print(shown(line), highlight=False, markup=False, soft_wrap=True),
    )
    title = Text(shown(done.title, line=True))
    table = Table(title=title, show_header=False, title_justify="left", title_style="bold")
    for meaning, number in done.rows():
        table.add_row(meaning, Text(shown(number, line=True)))
    console.print()
    console.print(table)
    lines = [
        f"The report   {done.report}",
        f"The maps     {done.maps[0].parent if done.maps else out}/*.png",
        f"The numbers  {done.results}",
        "",
        "Type next:",
        f"  {called()} dashboard {_quoted(done.store)}",
        f"  {called()} info {_quoted(done.store)}",
        f'  {called("python")} -c "import twinkit as tk; print(tk.open({str(done.store)!r}))"',
        f"  {called()} lesson lab",
    ]
    console.print(shown("\n".join(lines)), highlight=False, soft_wrap=True, markup=False)
    if dashboard:
        from twinkit.cli import _dashboard

        say("")
        _dashboard.served(done.store, port=0, language=language)


def _live_demo(region: str, **choices: Any) -> None:
    """The timeline of the live demo, and what it left."""
    import time

    from rich.console import Console
    from rich.text import Text

    from twinkit.cli._demo_live import live

    console, begun = Console(), time.perf_counter()
    style = {"fault": "yellow", "ALARM": "bold red", "store": "green"}

    def told(who: str, when: str, what: str) -> None:
        line = f"{time.perf_counter() - begun:5.1f} s  {who:9} {when:10} {shown(what, line=True)}"
        console.print(Text(line, style=style.get(who, "")), soft_wrap=True)

    console.print("after   who       town's time (UTC)", highlight=False)
    done = live(region, say=told, **choices)
    verdict = (
        f"The alarm named {done.sensor}, {done.fault}, {done.hours:.1f} hours of the town's time after it went wrong."
        if done.named and done.sensor
        else "Nothing was wrong, and no alarm was raised."
        if done.named
        else "The alarm did not say what it should have said."
    )
    lines = ["", verdict, "", *([f"The picture  {done.picture}"] if done.picture else [])]
    lines += [
        f"The numbers  {done.results}",
        "",
        "Type next:",
        f"  {called()} dashboard {_quoted(done.store)} --app operate",
        f"  {called()} live {_quoted(done.store)} --rejected",
        f"  {called()} history {_quoted(done.store)} --verify",
        f"  {called()} crate {_quoted(done.store)} {_quoted(done.store.with_suffix('.zip'))}",
    ]
    console.print(shown("\n".join(lines)), highlight=False, soft_wrap=True, markup=False)
    if not done.named:
        raise typer.Exit(1)


@command
def new(
    context: typer.Context,
    region: Annotated[str, typer.Argument(help="As for demo; or 'town' for a generated one that needs no data.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the store; left out, the place's name.")] = None,
    radius: Radius = 60_000.0,
    seed: Seed = 1,
    resolution: Annotated[float | None, typer.Option(help="Edge of a pixel [m].")] = None,
    sites: Annotated[int, typer.Option(help="Only for town: its radio sites.")] = 24,
    towers: Towers = None,
    terrain: Terrain = None,
) -> None:
    """Build a twin and save it as a store.

    twinkit new "KE:Nakuru" --radius 30000
    twinkit new town --sites 40 --out classroom.twin
    """
    import twinkit as tk
    from twinkit.cli._places import region_of, same_region, spoken, store_name

    town = region == "town"
    for name in ("radius", "towers", "terrain") if town else ("sites",):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise TwinError(
                f"--{name} only for {'a region' if town else 'town'}",
                found=f"--{name} for {region}",
                hint="leave it out" if town else "leave it out, or generate a town: twinkit new town --sites 40",
            )
    grid: dict[str, Any] = {} if resolution is None else {"resolution": resolution}
    if town:
        twin = tk.datasets.town(sites=sites, seed=seed, **grid)
    else:
        twin = region_of(region, radius=radius, seed=seed, towers=towers, terrain=terrain, **grid)
    path = out or Path(f"{store_name(twin)}.twin")
    same_region(path, twin, option="--out")
    commit = tk.save(twin, path, message=spoken(twin))
    say(f"{path}: {spoken(twin)}, commit {commit.head[:12]}\nType next: {called()} info {_quoted(path)}")


@command
def info(
    path: Store,
    as_of: Annotated[str | None, typer.Option(help="What was known then, e.g. 2026-03-01.")] = None,
    branch: Branch = "main",
) -> None:
    """Say what is in a stored twin, and what of it was measured.

    twinkit info out/shimla.twin
    twinkit info out/shimla.twin --as-of 2026-03-01
    """
    import twinkit as tk
    from twinkit.cli._places import silent

    twin = tk.open(path, as_of=as_of, branch=branch)
    size = sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    lines = [f"{shown(twin.attrs.get('title', path), line=True)}  ({path}, {size / 1e6:.1f} MB)"]
    lines += [
        f"  {k:11} {shown(twin.attrs[k], line=True)}"
        for k in ("place", "crs", "seed", "licence", "sources")
        if k in twin.attrs
    ]
    lines += [f"  {'commit':11} {twin.encoding.get('head', '')}", ""]
    for name, node in twin.children.items():
        table = node.to_dataset(inherit=False)
        sizes = ", ".join(f"{d} {n:,}" for d, n in table.sizes.items()) + silent(twin, name)
        lines.append(shown(f"  {name:11} {sizes}: {', '.join(map(str, table.data_vars))}", line=True))
    # a line end within a source would make a second line, which nobody could tell from the first
    rows = [tuple(shown(text, line=True) for text in row) for row in tk.view.layers(twin).rows]
    wide = max((len(name) for name, *_ in rows), default=0)
    lines += ["", "Where it comes from:", *(f"  {name:{wide}}  {kind:10} {says}" for name, _, kind, says in rows)]
    say("\n".join(lines))


@command
def history(
    path: Store,
    branch: Branch = "main",
    verify: Verify = False,
    head: Annotated[
        str | None, typer.Option(help="A head kept elsewhere: prove that no newest commit is gone.")
    ] = None,
) -> None:
    """Say who changed what in a stored twin, when and why; and whether anything was tampered with.

    twinkit history out/shimla.twin
    twinkit history out/shimla.twin --verify --head 9f3c1a7e
    """
    import twinkit as tk

    found = tk.verify(path, head=head) if verify or head else None
    try:
        said = str(tk.history(path, branch=branch))
    except TwinError as fault:
        # a history too damaged to be read is what verify was asked about: its findings follow
        if found is None or found:
            raise
        said = str(fault)
    say(said)
    if found is not None:
        say(f"\n{found}")
        if not found:
            raise typer.Exit(1)


@command
def crate(
    source: Annotated[
        Path, typer.Argument(help="Folder of a stored twin; with --rebuild, a crate.", show_default=False)
    ],
    target: Annotated[
        Path, typer.Argument(help="The crate to write; with --rebuild, the new store.", show_default=False)
    ],
    rebuild: Annotated[bool, typer.Option("--rebuild", help="A new store from a crate, every digest checked.")] = False,
    branch: Annotated[str | None, typer.Option(help="Branch; left out, main.")] = None,
    tag: Annotated[str | None, typer.Option(help="The state that a tag names.")] = None,
    as_of: Annotated[str | None, typer.Option(help="What was known then, e.g. 2026-03-01.")] = None,
    licence: Annotated[str | None, typer.Option(help="SPDX name or address; left out, the twin's own.")] = None,
    author: Annotated[list[str] | None, typer.Option(help="'Name' or 'Name <ORCID>'; repeat it.")] = None,
    head: Annotated[str | None, typer.Option(help="With --rebuild: the head published beside the crate.")] = None,
) -> None:
    """Pack one state of a stored twin as a Research Object Crate for archives and reviewers, or rebuild one.

    twinkit crate out/shimla.twin shimla.zip --tag paper-2026
    twinkit crate --rebuild shimla.zip again.twin --head 9f3c1a7e
    """
    import twinkit as tk

    chosen = {"branch": branch, "tag": tag, "as_of": as_of, "licence": licence, "author": author}
    strange = [k for k, v in chosen.items() if v is not None] if rebuild else ["head"] if head is not None else []
    if strange:
        raise TwinError(
            f"--{strange[0].replace('_', '-')} {'where a crate is written' if rebuild else 'with --rebuild'}",
            found=f"it {'with' if rebuild else 'without'} --rebuild",
            hint="leave it out",
        )
    if rebuild:
        done = tk.exchange.rebuild(source, target, head=head)
        say(f"{target}: {done.message}, every digest checked\nType next: {called()} info {_quoted(target)}")
        return
    made = tk.exchange.crate(
        source, target, branch=branch or "main", tag=tag, as_of=as_of, licence=licence, authors=author
    )
    say(f"{made}\nPublish the head beside the crate: who rebuilds it can ask for it.")


@command
def data(
    name: Annotated[
        str | None, typer.Argument(help="A file of the list; left out, the list.", show_default=False)
    ] = None,
) -> None:
    """List the public files that twinkit knows, or fetch one; each is checked by its sha256.

    Without internet, name a folder that holds the files: TWINKIT_MIRROR=/media/usb twinkit data NAME

        twinkit data
        twinkit data srtm3/N46E008.tif
    """
    import twinkit as tk

    say(str(tk.datasets.registry() if name is None else tk.datasets.fetch(name)))


@command
def doctor() -> None:
    """Say what works on this machine, what does not, and what would mend it."""
    from rich.console import Console
    from rich.table import Table

    from twinkit.cli._doctor import examination

    findings = examination()
    table = Table(show_header=False, box=None)
    for f in findings:
        sign = "[green]well[/]" if f.well else "[red]broken[/]" if f.needed else "[yellow]missing[/]"
        table.add_row(sign, f.what, f.said.replace("[", r"\["))
    Console(soft_wrap=True).print(table)
    if not all(f.well for f in findings if f.needed):
        raise typer.Exit(1)


@command
def run(
    notebook: Notebook,
    parameter: Choices = None,
    out: Annotated[Path, typer.Option(help="Folder for the executed notebook and its results.")] = Path("out"),
    report: Annotated[bool, typer.Option("--report", help="Also one HTML page of it.")] = False,
) -> None:
    """Run a notebook with other parameters; a parameter that it does not have is an error before anything runs.

    twinkit run coverage -p "region=RW:Kigali" -p budget=12
    twinkit run mine.ipynb -p path_loss=my_models.loss --report
    """
    from twinkit import study
    from twinkit.cli._places import notebook as found
    from twinkit.cli._values import pairs

    path = found(notebook)
    done = study.run(path, pairs(parameter, study.parameters(path)), out=out)
    say(repr(done))
    if report and done.path is not None:
        say(str(study.report(done.path, done.path.with_suffix(".html"))))


@command
def sweep(
    notebook: Notebook,
    over: Annotated[
        list[str] | None, typer.Option("--over", help="NAME=VALUE,VALUE,... or NAME=0:10; repeat it.")
    ] = None,
    parameter: Choices = None,
    out: Runs = Path("out/sweep"),
    workers: Annotated[int, typer.Option(help="Runs at the same time.")] = 1,
) -> None:
    """Run a notebook over a grid of parameters; the results become one table, sweep.csv.

    twinkit sweep coverage --over seed=0:10 --over threshold=-105,-115 -p small=true --workers 2
    """
    from twinkit import study
    from twinkit.cli._places import notebook as found
    from twinkit.cli._table import table_of
    from twinkit.cli._values import pairs, several

    path = found(notebook)
    defaults = study.parameters(path)
    grid: dict[str, Any] = dict(several(over, defaults))
    if not grid:
        raise TwinError("parameters to sweep", found="none", hint="--over seed=0:10", where="--over")
    result = study.sweep(path, {**pairs(parameter, defaults)}, out=out, workers=workers, **grid)
    say(f"{table_of(result)}\n\nRun by run, with seconds, memory and errors: {out / 'sweep.csv'}")


@command
def compare(
    results: Annotated[Path, typer.Argument(help="Executed notebook, or the .json beside it.", show_default=False)],
    golden: Annotated[Path, typer.Argument(help="File with golden numbers.", show_default=False)],
) -> None:
    """Compare results with golden numbers, each with its tolerance; a change is exit code 1.

    Golden numbers are made, and after a change that was meant made again, by 'regression NAME --update'.

    twinkit compare out/coverage.json tests/golden/coverage.json
    """
    from twinkit import study

    found = study.compare(results, golden)
    say(repr(found))
    if not found:
        raise typer.Exit(1)


@command
def regression(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of golden files without .json; none for all.", show_default=False)
    ] = None,
    golden: Annotated[Path, typer.Option(help="Folder of the golden numbers.")] = Path("tests/golden"),
    update: Annotated[
        bool, typer.Option("--update", help="Keep the numbers of now, with the tolerances of before.")
    ] = False,
    research: Annotated[
        bool, typer.Option("--research", help="Without lessons: 'lesson test' compares their numbers as it runs them.")
    ] = False,
) -> None:
    """Run every notebook and lesson that has golden numbers and say which number changed.

    With --update and a name that has none yet, they are made from the notebook's own parameters.

    twinkit regression
    twinkit regression coverage --update
    """
    from twinkit.cli._regression import regressions

    changed = 0
    for name, found in regressions(golden, names or [], update=update, research=research):
        say(f"{name}: {found!r}")
        changed += not found
    if changed:
        say(f"{changed} with changed numbers")
        raise typer.Exit(1)


@command
def live(
    store: Store,
    broker: Annotated[
        str | None, typer.Option(help="mqtt://user@host:1883, or mqtts:// over TLS; never with the password.")
    ] = None,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="List what was refused and why, and nothing else.")
    ] = False,
    region: Annotated[
        str | None, typer.Option(help="Second level of the topics; left out, the twin's place.", show_default=False)
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="Its first line is the password; or set TWINKIT_BROKER_PASSWORD.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="Certificate of the authority behind the broker's (PEM).")] = None,
    mqtt: Annotated[str, typer.Option(help="5, or 3.1.1 for brokers that have no 5.")] = "5",
    client: Annotated[
        str | None, typer.Option(help="Id of the session at the broker; left out, one for this store.")
    ] = None,
    metrics: Annotated[str | None, typer.Option(help="Serve Prometheus here, e.g. 127.0.0.1:9108.")] = None,
    every: Annotated[float, typer.Option(help="Commit whole chunks this often [s].")] = 10.0,
    ahead: Annotated[float, typer.Option(help="How far a sensor's clock may run ahead of ours [s].")] = 300.0,
    behind: Annotated[
        float, typer.Option(help="Refuse readings that are older than this [s]; left out, none is.", show_default=False)
    ] = float("inf"),
    provenance: Annotated[
        str | None,
        typer.Option(help="Where the readings come from, if not from sensors: 'generated: ...'.", show_default=False),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines, also on a terminal.")] = False,
    mosquitto_conf: Annotated[
        Path | None, typer.Option(help="Write the settings that Mosquitto needs to this file, and nothing else.")
    ] = None,
) -> None:
    """Take in what sensors send to a broker: checked, durable, and only then acknowledged.

    A sensor publishes with QoS 1 to twinkit/REGION/telemetry/VARIABLE/SENSOR a reading such as
    {"time": "2026-03-01T12:15:00Z", "value": 0.42}; many at once go to twinkit/REGION/telemetry (see docs/live.md).
    What is none of the twin's is refused, and kept with the reason. Nothing is lost when this is killed, the broker
    restarts or the disk is full: start it again, and it goes on where it was.

        twinkit live out/shimla.twin --broker mqtt://127.0.0.1
        twinkit live out/shimla.twin --broker mqtts://twin@broker.example.org --password-file secret --ca ca.pem
        twinkit live out/shimla.twin --broker mqtt://127.0.0.1 --metrics 127.0.0.1:9108
        twinkit live out/shimla.twin --rejected
        twinkit live out/shimla.twin --mosquitto-conf mosquitto.conf
    """
    from twinkit.cli import _live

    if mosquitto_conf is not None:
        say(_live.write_conf(mosquitto_conf))
    elif rejected:
        say(_live.listing(store))
    elif broker is None:
        raise TwinError(
            "a broker to listen to",
            found="none",
            hint=f"--broker mqtt://127.0.0.1 after starting one: {called()} live {_quoted(store)} --mosquitto-conf "
            "mosquitto.conf, then mosquitto -c mosquitto.conf",
            where="--broker",
        )
    else:
        _live.live(
            store,
            broker=broker,
            region=region,
            password_file=password_file,
            ca=ca,
            mqtt=mqtt,
            client=client,
            metrics=metrics,
            every=every,
            ahead=ahead,
            plain=plain,
            provenance=provenance,
            behind=behind,
        )


@command
def replay(
    source: Annotated[Path, typer.Argument(help="A stored twin, or a trace: CSV, zip or Parquet.", show_default=False)],
    broker: Annotated[str, typer.Option(help="mqtt://user@host:1883, or mqtts:// over TLS; never with the password.")],
    speed: Annotated[str, typer.Option(help="Seconds of the source in a second, or max.")] = "60",
    region: Annotated[
        str | None, typer.Option(help="Second level of the topics; left out, the twin's place.", show_default=False)
    ] = None,
    start: Annotated[str | None, typer.Option(help="From here on, UTC, e.g. 2026-03-02T06:00.")] = None,
    end: Annotated[str | None, typer.Option(help="Before this, UTC.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="Its first line is the password; or set TWINKIT_BROKER_PASSWORD.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="Certificate of the authority behind the broker's (PEM).")] = None,
    mqtt: Annotated[str, typer.Option(help="5, or 3.1.1 for brokers that have no 5.")] = "5",
) -> None:
    """Send a stored period, or a trace, to a broker as if it happened now: in the order of its time, at any speed.

    twinkit replay out/shimla.twin --broker mqtt://127.0.0.1 --speed 60
    twinkit replay readings.parquet --region IN:Shimla --broker mqtt://127.0.0.1 --speed max
    """
    from twinkit.cli._replay import replayed

    replayed(
        source,
        broker=broker,
        speed=speed,
        region=region,
        start=start,
        end=end,
        password_file=password_file,
        ca=ca,
        mqtt=mqtt,
    )


@command
def participate(
    store: Annotated[Path, typer.Argument(help="The region's twin: its places name the map.", show_default=False)],
    register: Annotated[
        str | None,
        typer.Option(help="File, or postgresql://user@host/name; left out, STORE.pins.db.", show_default=False),
    ] = None,
    official: Annotated[
        str | None,
        typer.Option(
            help="NAME:ROLE, with role viewer, moderator, planner or administrator; asks for a password and ends.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for a local network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.", min=1, max=65535)] = 8080,
    prefix: Annotated[str, typer.Option(help="Path under which a proxy serves the pages, e.g. /pins.")] = "",
    path_loss: Annotated[str, typer.Option(help="Dotted path of the model of a study.")] = "twinkit.radio.rma",
    secure: Annotated[bool, typer.Option(help="A proxy in front speaks TLS: cookies over TLS alone.")] = False,
    fewest: Annotated[int, typer.Option(help="Pins from which on a square is shown.", min=1)] = 5,
    square: Annotated[float, typer.Option(help="Side of the squares [m].")] = 1000.0,
    moderated: Annotated[bool, typer.Option(help="Pins wait for a moderator.")] = True,
    hourly: Annotated[int, typer.Option(help="Pins from one line in an hour; more where many share one.", min=1)] = 10,
    keep: Annotated[float, typer.Option(help="Days after which pins are deleted, but for accepted ones.")] = 730.0,
) -> None:
    """Serve the citizens' pages: pins on a map, proposals and what became of them; no script, no names.

    The last five options count when the register is made, and stay as they were made.

    twinkit participate out/shimla.twin --official Asha:administrator
    twinkit participate out/shimla.twin
    """
    from twinkit.cli import _participate

    choices = _participate.Choices(square=square, fewest=fewest, hourly=hourly, keep=keep, moderated=moderated)
    if official is not None:
        _participate.appointed(store, register, official, choices)
        return
    _participate.serve(
        store, register=register, host=host, port=port, prefix=prefix, path_loss=path_loss, secure=secure,
        choices=choices,
    )  # fmt: skip


@command
def dashboard(
    store: Store,
    app: Annotated[
        str | None,
        typer.Option(help="plan, operate or withstand; or module.function, an app of yours.", show_default="all three"),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="en, hi, fr or fa.", show_default="what the browser asks for")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for a local network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for any that is free.", min=0, max=65535)] = 5006,
    prefix: Annotated[str, typer.Option(help="Path that a proxy hands on unchanged, e.g. /twin.")] = "",
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Host under which browsers know it behind a proxy; repeat it.")
    ] = None,
    register: Annotated[
        str | None,
        typer.Option(help="Register of twinkit participate: its officials sign in.", show_default="nobody signs in"),
    ] = None,
    oauth_provider: Annotated[
        str | None,
        typer.Option(
            help="With --register: github, google, azure, gitlab, okta, generic ...; keys in PANEL_OAUTH_KEY,"
            " PANEL_OAUTH_SECRET and PANEL_OAUTH_EXTRA_PARAMS.",
            show_default="passwords",
        ),
    ] = None,
    guests: Annotated[bool, typer.Option("--guests", help="With --register: others may look.")] = False,
    secure: Annotated[bool, typer.Option("--secure", help="A proxy in front speaks TLS.")] = False,
) -> None:
    """Serve the dashboards of a stored twin: plan, operate, withstand.

    On this computer alone, where whoever sits at it may do everything:

        twinkit dashboard out/shimla.twin
        twinkit dashboard out/shimla.twin --app withstand --language hi

    For several people: appoint them, each with a role (viewer, planner, moderator, administrator), and put a proxy that
    speaks TLS in front (docs/dashboards.md shows one):

        twinkit participate out/shimla.twin --official Asha:planner
        twinkit dashboard out/shimla.twin --register out/shimla.pins.db --secure --allow-origin twin.example.org
    """
    from twinkit.cli import _dashboard

    _dashboard.served(
        store, app=app, language=language, host=host, port=port, prefix=prefix, origins=tuple(allow_origin or ()),
        register=register, oauth=oauth_provider, guests=guests, secure=secure,
    )  # fmt: skip


@app.command(context_settings={"ignore_unknown_options": True}, add_help_option=False, no_args_is_help=False)
def lesson() -> None:
    """Lessons: write, test, build, translate, hand out, collect (twinkit lesson --help)."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; ends the process as a command does."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given[:1] == ["lesson"]:
            _lesson_commands()(args=given[1:], prog_name="twinkit lesson")
        else:
            app(args=given, prog_name="twinkit")
    except TwinError as fault:
        say(in_commands(fault), err=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        say("stopped", err=True)
        raise SystemExit(130) from None


def _lesson_commands() -> Any:
    """The lessons' own commands, imported only when they are asked for."""
    if importlib.util.find_spec("twinkit.lesson.commands") is None:
        raise TwinError("the lesson kit", found="none installed", hint="install twinkit again", where="twinkit lesson")
    return importlib.import_module("twinkit.lesson.commands").app


def _quoted(path: Path) -> str:
    text = str(path)
    return f'"{text}"' if " " in text else text
