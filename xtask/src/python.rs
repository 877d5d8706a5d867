//! Python for the tests: a virtual environment with the packages of `tests/python`.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use crate::run::{Step, root};

/// Where the environment is made; git ignores it.
const FOLDER: &str = "tests/.venv";

/// The packages, each with its version.
const REQUIREMENTS: &str = "tests/python/requirements.txt";

/// The Debian package that is missing, if one is: Debian's Python makes environments only with it.
pub(crate) fn missing() -> Option<&'static str> {
    let there = Command::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    (!there).then_some("python3-venv")
}

/// Makes the environment, unless it is there with just these packages.
pub(crate) fn packages(shell: &Shell) -> Result<()> {
    let wanted = fs::read(root().join(REQUIREMENTS)).context(REQUIREMENTS)?;
    let folder = root().join(FOLDER);
    // pip is slow to say that nothing is to be done, so what was installed is kept.
    let installed = folder.join("installed.txt");
    let python = folder.join("bin/python");
    let works = cmd!(shell, "{python} --version").quiet().ignore_stdout().ignore_stderr().run();
    if works.is_ok() && fs::read(&installed).is_ok_and(|kept| kept == wanted) {
        return Ok(());
    }
    Step::new("python3 -m venv", "the Python client of Socket.IO lives apart from the system")
        .program("python3", ["-m", "venv", "--clear", FOLDER])
        .run(root())?;
    Step::new("pip install", "the Python packages that the tests use")
        .program(&format!("{FOLDER}/bin/python"), ["-m", "pip", "install", "--quiet"])
        .args(&["--disable-pip-version-check", "--requirement", REQUIREMENTS].map(str::to_owned))
        .run(root())?;
    fs::write(&installed, wanted).context("what was installed could not be kept")
}
