//! What the kernel says of a process.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process, and those that it starts, open as many files as it may.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where it is refused, the connections fail with a clear error of their own.
    let _refused = setrlimit(Resource::Nofile, raised);
}

/// CPU time of all threads of a process, to the nanosecond (the first field of `schedstat`).
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let mut nanos = 0u64;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split_ascii_whitespace().next().context("schedstat has fields")?;
        nanos += first.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Proportional memory of a process, in bytes.
pub(crate) fn proportional_memory(pid: u32) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next());
    Ok(kib.context("smaps_rollup tells Pss")?.parse::<u64>()? * 1024)
}
