//! `wayleave policy schema`: the JSON Schemas by which editors complete and check policy files.

use std::path::PathBuf;

use clap::Args;

use super::super::output::write_text;
use super::super::{Failure, print};
use crate::stewardship::schemas;

/// Write the JSON Schemas of policy files, cases and the configuration
///
/// They are made of the keys by which Wayleave reads the files. An editor for TOML finds one by a file's first line, such as
/// `#:schema ../agreement.schema.json`, and then completes and checks.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SchemaArgs {
    /// Where they are written, each to a file of its own; without it their names are listed
    #[arg(value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave policy schema
  wayleave policy schema policies";

pub fn run(args: &SchemaArgs) -> Result<(), Failure> {
    for (name, text) in schemas() {
        match &args.directory {
            None => print(&format!("{name}\n"))?,
            Some(directory) => {
                let file = directory.join(&name);
                write_text(Some(&file), &text)?;
                print(&format!("{}\n", file.display()))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_schema_is_a_file() {
        let directory = tempfile::tempdir().unwrap();
        run(&SchemaArgs { directory: Some(directory.path().to_owned()) }).unwrap();
        let written = std::fs::read_to_string(directory.path().join("agreement.schema.json")).unwrap();
        assert!(written.contains("\"ISA-2026-014\""), "{written}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), schemas().len());
        assert!(run(&SchemaArgs { directory: Some(directory.path().join("nowhere")) }).is_err());
    }
}
