//! How much memory all outboxes together may hold: a part of what the process may have.

use std::{
    fs,
    sync::atomic::{AtomicI64, Ordering},
};

/// Bytes that wait in all outboxes of a node, and their bound. The shards report the change of
/// theirs after each round of work, not for each message.
#[derive(Debug)]
pub(crate) struct Waiting {
    bytes: AtomicI64,
    bound: i64,
}

impl Waiting {
    /// Nothing waits; at most `percent` of `memory` bytes may. `None` is no bound.
    pub(crate) fn new(percent: Option<u64>, memory: Option<u64>) -> Self {
        let bound = percent.zip(memory).map_or(i64::MAX, |(percent, memory)| {
            i64::try_from(memory / 100 * percent).unwrap_or(i64::MAX)
        });
        Self { bytes: AtomicI64::new(0), bound }
    }

    /// Adds a shard's change. Returns how many bytes are over the bound, 0 if none.
    pub(crate) fn add(&self, change: i64) -> i64 {
        let bytes = self.bytes.fetch_add(change, Ordering::Relaxed) + change;
        (bytes - self.bound).max(0)
    }

    /// Whether no new socket should come.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.bound
    }
}

/// The memory that this process may have: its cgroup's limit (`memory.max`, Linux's cgroup v2), or
/// else all of the machine's. `None` where neither can be read.
pub(crate) fn limit() -> Option<u64> {
    let of_cgroup = fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let of_machine = || fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_total(&text));
    of_cgroup.or_else(of_machine)
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn mem_total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read() {
        assert_eq!(mem_total("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16_777_216));
        assert_eq!(mem_total("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn the_bound_is_a_percentage_of_the_memory() {
        let waiting = Waiting::new(Some(25), Some(400));
        assert_eq!(waiting.add(100), 0);
        assert!(!waiting.is_full());
        assert_eq!(waiting.add(7), 7);
        assert!(waiting.is_full());
        assert_eq!(waiting.add(-50), 0);
        assert_eq!(Waiting::new(None, Some(1)).add(i64::MAX), 0);
    }
}
