//! Two clients of other hands, in Python: what they read is not what we only believe to be right.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops where it fails"
)]

use std::path::Path;
use std::process::Command;

use wayleave_tds_server::{Options, PacketSplit, Server};

const EVERYTHING: &str = include_str!("everything.sql");

fn run(script: &str, splits: &[PacketSplit]) {
    let server = Server::start(Options::default()).unwrap();
    server.execute_ddl(EVERYTHING).unwrap();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../python/bin/python");
    assert!(python.exists(), "{} is missing: `tests/run` makes it from tests/requirements.txt", python.display());
    for split in splits {
        server.faults().split_packets(*split);
        let mut command = Command::new(&python);
        command.arg(manifest.join("tests/foreign").join(script)).arg(server.port().to_string()).arg(server.ca_file());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}, {split:?}:\n{said}\n{:#?}", server.log().requests());
    }
}

#[test]
fn python_tds_reads_everything() {
    // Never short packets: its `readall_fast` takes the length of its buffer for that of the packet.
    run("python_tds.py", &[PacketSplit::Whole, PacketSplit::Writes(997)]);
}

#[test]
fn mssql_python_reads_everything() {
    run("mssql_python_client.py", &[PacketSplit::Whole, PacketSplit::Writes(997)]);
}
