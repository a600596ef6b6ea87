//! `[limits]`: how long, how much memory and how much disk.

use std::path::{Path, PathBuf};

use super::Limits;
use super::read::{LONGEST_TIMEOUT_MS, Surroundings};
use crate::diagnostic::document::{Entry, Key};
use crate::diagnostic::schema::Shape;

pub(super) const LIMIT_KEYS: &[Key] = &[
    Key::new("connect_timeout_ms", "connect_timeout_ms = 5000")
        .says("Milliseconds that a connection may take.")
        .of(Shape::Number { least: 1, most: Some(LONGEST_TIMEOUT_MS) }),
    Key::new("query_memory", "query_memory = \"1GB\"").says("What one query may hold in memory."),
    Key::new("process_memory", "process_memory = \"4GB\"")
        .says("What all running queries may hold in memory together."),
    Key::new("spill_directory", "spill_directory = \"/var/tmp\"").says("Where rows go that do not fit into memory."),
    Key::new("spill_disk", "spill_disk = \"50GB\"").says("What all running queries may hold on disk together."),
];

/// As PostgreSQL writes and reads them: powers of 1024.
const UNITS: [(&str, u64); 4] = [("kB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40)];

/// With less, not even the least query ends.
const LEAST_MEMORY: u64 = 1 << 20;

const DEFAULT_SPILL_DISK: u64 = 50 << 30;

/// Where a machine does not tell how much memory it has.
const DEFAULT_PROCESS_MEMORY: u64 = 4 << 30;

impl Default for Limits {
    /// Half of the machine's memory for all queries, a quarter of that for one.
    fn default() -> Self {
        let process_memory = machine_memory().map_or(DEFAULT_PROCESS_MEMORY, |bytes| bytes / 2).max(LEAST_MEMORY);
        Self {
            connect_timeout_ms: 5000,
            query_memory: one_query_of(process_memory),
            process_memory,
            spill_directory: default_spill_directory(),
            spill_disk: DEFAULT_SPILL_DISK,
        }
    }
}

pub(super) fn read_limits(entry: &Entry<'_>, surroundings: Surroundings<'_>) -> Option<Limits> {
    let table = entry.table(LIMIT_KEYS)?;
    let default = Limits::default();
    let size = |key: &str, default: u64| match table.optional(key) {
        Some(entry) => read_size(&entry),
        None => Some(default),
    };
    let connect_timeout_ms = match table.optional("connect_timeout_ms") {
        Some(entry) => entry.integer(1..=LONGEST_TIMEOUT_MS).map(|timeout| timeout.value),
        None => Some(default.connect_timeout_ms),
    };
    let process_memory = size("process_memory", default.process_memory);
    let query_memory = size("query_memory", process_memory.map_or(default.query_memory, one_query_of));
    let spill_disk = size("spill_disk", default.spill_disk);
    let spill_directory = match table.optional("spill_directory") {
        Some(entry) => surroundings.existing_directory(&entry),
        None => Some(default.spill_directory),
    };
    let (process_memory, query_memory) = (process_memory?, query_memory?);
    if query_memory > process_memory {
        // Only what is written can be too much: a default follows the other.
        let written = table.optional("query_memory").or_else(|| table.optional("process_memory"))?;
        written.report(
            "`query_memory` is more than `process_memory`: one query would have more than all together".to_owned(),
            format!("write at most `query_memory = \"{}MB\"`, or raise `process_memory`", process_memory >> 20),
        );
        return None;
    }
    Some(Limits {
        connect_timeout_ms: connect_timeout_ms?,
        query_memory,
        process_memory,
        spill_directory: spill_directory?,
        spill_disk: spill_disk?,
    })
}

/// A share that leaves room for others, and never less than a query needs.
fn one_query_of(process_memory: u64) -> u64 {
    (process_memory / 4).max(LEAST_MEMORY)
}

fn read_size(entry: &Entry<'_>) -> Option<u64> {
    let text = entry.text()?.value;
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = text.strip_prefix(digits).unwrap_or_default().trim();
    let number: Option<u64> = digits.parse().ok();
    let factor = UNITS.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| factor);
    let bytes = number.zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    match bytes {
        Some(bytes) if bytes >= LEAST_MEMORY => Some(bytes),
        Some(_) => {
            entry.report(format!("`{}` is less than 1MB", entry.name()), "write a larger size, such as \"512MB\"");
            None
        }
        None => {
            entry.report(
                format!("`{}` must be a size", entry.name()),
                "write a whole number and kB, MB, GB or TB, such as \"512MB\"",
            );
            None
        }
    }
}

/// On a disk, and not in memory as `/tmp` may be.
fn default_spill_directory() -> PathBuf {
    let persistent = Path::new("/var/tmp");
    if persistent.is_dir() { persistent.to_owned() } else { std::env::temp_dir() }
}

/// What the machine has, or the container that this process runs in may use.
fn machine_memory() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_total(&text));
    let container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok())
        .min();
    machine.into_iter().chain(container).min()
}

/// The first line of `/proc/meminfo`: `MemTotal:       24576 kB`.
fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_how_much_memory_there_is() {
        assert_eq!(memory_total("MemTotal:       24576 kB\nMemFree:  1 kB\n"), Some(24576 << 10));
        assert_eq!(memory_total("MemFree:  1 kB\n"), None);
    }

    #[test]
    fn without_a_word_a_query_may_use_a_quarter_of_half_the_machine() {
        let limits = Limits::default();
        assert_eq!(limits.query_memory, (limits.process_memory / 4).max(LEAST_MEMORY));
        assert!(limits.spill_directory.is_dir());
        if let Some(machine) = machine_memory() {
            assert!(limits.process_memory <= machine);
        }
    }
}
