//! Who this process is to the registry, and whether another process of this machine still lives.
//!
//! Linux tells both under `/proc`. Elsewhere a dead holder is not recognized, and its lease runs
//! out instead.

use std::fs;

use bytestring::ByteString;

use crate::{
    backend::registry::Holder,
    id::{RandomError, random_text},
};

/// This process as a holder.
pub(super) fn this_process(advertise: Option<ByteString>) -> Result<Holder, RandomError> {
    let pid = std::process::id();
    Ok(Holder {
        host: host().into(),
        pid,
        pid_started: started(pid).unwrap_or(0),
        nonce: random_text::<12>()?,
        advertise,
    })
}

/// Whether `other` is a process of this machine and boot that does not run any more.
pub(super) fn is_dead(other: &Holder, this: &Holder) -> bool {
    let same_boot = other.host == this.host && this.host.contains('/');
    same_boot && other.pid_started != 0 && started(other.pid) != Some(other.pid_started)
}

/// The machine's name and the id of its boot and of its process namespace: two containers of one
/// machine have the same boot, and pids that mean different things.
fn host() -> String {
    let read = |path| fs::read_to_string(path).map(|text| text.trim().to_owned());
    let name = read("/proc/sys/kernel/hostname").unwrap_or_else(|_| "this machine".to_owned());
    let boot = read("/proc/sys/kernel/random/boot_id");
    let pids = fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string());
    match (boot, pids) {
        (Ok(boot), Ok(pids)) => format!("{name}/{boot}/{pids}"),
        _ => name,
    }
}

/// When a process started, in clock ticks since boot: field 22 of `/proc/PID/stat` (proc(5)).
/// `None` if it does not run. A zombie does not run.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses and may hold anything; the third follows it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_is_not_dead_and_an_ended_one_is() {
        let this = this_process(None).unwrap();
        assert!(!is_dead(&this, &this));
        let reused = Holder { pid_started: this.pid_started + 1, ..this.clone() };
        assert!(is_dead(&reused, &this));
        let elsewhere = Holder { host: "other/boot/pid".into(), ..reused };
        assert!(!is_dead(&elsewhere, &this));
    }
}
