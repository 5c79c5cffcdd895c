"""Installs the lessons on this computer, without internet. Run:  python install.py

It makes a folder `env` beside itself, installs twinkit into it from the folder `wheels`, runs the first lesson once,
and says how to start. Nothing outside this folder is changed; delete the folder to take everything away.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

START = '''"""Starts JupyterLab on the lessons. Run it with the Python of the folder env."""
import os
import subprocess
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
os.environ["TWINKIT_LESSONS"] = str(here / "lessons")
os.environ["TWINKIT_LESSON_DATA"] = str(here / "data")
lesson = "lab/tree/lessons/00-welcome/lesson.ipynb"
options = ["--ServerApp.root_dir=" + str(here), "--LabApp.default_url=/" + lesson]
sys.exit(subprocess.call([sys.executable, "-m", "jupyterlab", *options, *sys.argv[1:]]))
'''

TRY = """
import json, os, sys
from pathlib import Path
from twinkit.lesson.trial import executed, verdicts
place = Path(sys.argv[1])
folder = sorted(place.glob("[0-9][0-9]-*"))[0]
notebook = json.loads((folder / "lesson.ipynb").read_text(encoding="utf-8"))
outcome = executed(notebook, name=folder.name, place=place)
if outcome.error:
    sys.exit(outcome.error)
print(folder.name, "runs in", round(outcome.seconds), "s with", len(verdicts(outcome.notebook)), "exercises")
"""


def fits(about: dict) -> str:
    """What keeps this pack from this computer; "" when nothing does."""
    asked = tuple(map(int, about["python"].split(".")))
    if sys.version_info[:2] != asked:
        here = f"{sys.version_info[0]}.{sys.version_info[1]}"
        wanted = about["python"]
        again = f"py -{wanted} install.py" if os.name == "nt" else f"python{wanted} install.py"
        return f"this pack is for Python {wanted}, this is Python {here}. Try: {again}"
    here = {"Windows": "win", "Darwin": "mac", "Linux": "linux"}.get(platform.system(), "")
    if about["target"].split("-")[0] != here:
        other = f"{here or 'your system'}-{about['python']}"
        return f"this pack is for {about['target']}, this is {platform.system()}. Try: the pack made with --for {other}"
    return ""


def main() -> int:
    """Install, try, say what to do next."""
    about = json.loads((HERE / "pack.json").read_text(encoding="utf-8"))
    wrong = fits(about)
    if wrong:
        print("cannot install:", wrong)
        return 2
    env = HERE / "env"
    python = env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        print("1/3 making", env)
        made = subprocess.run([sys.executable, "-m", "venv", str(env)], capture_output=True, text=True)  # noqa: S603 - our own Python
        if made.returncode:
            print("cannot make a virtual environment:", (made.stderr or made.stdout).strip().splitlines()[-1:])
            print("Try: on Debian and Ubuntu, install python3-venv; elsewhere, Python from python.org")
            return 2
    print("2/3 installing twinkit", about["version"], "(some minutes)")
    wanted = f"twinkit[{','.join(about['extras'])}]=={about['version']}"
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--find-links",
        str(HERE / "wheels"),
        wanted,
    ]
    if subprocess.call([*install, "--disable-pip-version-check"]):  # noqa: S603 - its own pip
        print("pip could not install from the folder wheels. Try: unzip the pack again, all of it")
        return 2
    (HERE / "start.py").write_text(START, encoding="utf-8")
    print("3/3 trying the first lesson")
    place = dict(os.environ, TWINKIT_LESSONS=str(HERE / "lessons"), TWINKIT_LESSON_DATA=str(HERE / "data"))
    if subprocess.call([str(python), "-c", TRY, str(HERE / "lessons")], env=place):  # noqa: S603 - its own Python
        print("the first lesson did not run. Try: show the lines above to the person who gave you this pack")
        return 1
    print()
    print("ready. To start:", python.relative_to(HERE.parent), "start.py" if Path.cwd() == HERE else HERE / "start.py")
    print("to read only: open pages/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
