//! `wayleave policy diff`: who gains and who loses what between two sets of policy files.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use serde::Serialize;

use super::super::Failure;
use super::format::ReportArgs;
use super::load_policies;
use crate::audit::{AskedQuery, recent_queries};
use crate::engine::Engine;
use crate::policy::Clock;
use crate::policy::files::PolicySet;
use crate::stewardship::{Difference, REPLAYED, Replay, replay};

/// Show who gains and who loses what between two sets of policy files
///
/// Reads the policy files only; no agency is asked. With --replay the latest different queries of the audit log are asked again
/// under both sets, of the agencies as they are now, and on the record: which would be refused, which get more or fewer rows,
/// and how many rows and persons of each table they read.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DiffArgs {
    /// A directory of policy files, or a directory of a git revision as git writes it, such as HEAD~1:policies
    #[arg(value_name = "OLD")]
    old: String,
    /// The same; where it is left out, the policy files of the configuration
    #[arg(value_name = "NEW")]
    new: Option<String>,
    /// Ask recent queries again under both, and compare; 20 of them unless another number is given
    #[arg(long, value_name = "QUERIES", num_args = 0..=1, default_missing_value = "20")]
    replay: Option<usize>,
    #[command(flatten)]
    report: ReportArgs,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave policy diff policies-in-force policies
  wayleave policy diff HEAD~1:policies policies
  wayleave policy diff main:policies HEAD:policies --format markdown --output changes.md
  wayleave policy diff HEAD:./policies            # against the configuration's policies
  wayleave policy diff HEAD:./policies --replay   # and what recent queries would get

Exit codes, as of diff: 0 nothing changes, 1 something does, 2 the files could not be compared.";

pub async fn run(config: &Path, args: &DiffArgs) -> Result<(), Failure> {
    let compared = compare(config, args).await;
    match compared {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::Ended { code: 1 }),
        Err(Failure::PipeClosed) => Err(Failure::PipeClosed),
        Err(failure) => {
            failure.report();
            Err(Failure::Ended { code: 2 })
        }
    }
}

/// Whether nothing changes.
async fn compare(config: &Path, args: &DiffArgs) -> Result<bool, Failure> {
    let old = load(&args.old)?;
    let new = match &args.new {
        Some(new) => load(new)?,
        None => load_policies(&super::super::load_config(config)?.policies)?,
    };
    let difference = Difference::between(&old, &new);
    let unchanged = difference.is_empty();
    let Some(queries) = args.replay else {
        args.report.write(&difference, &difference.document(), &difference.grid())?;
        return Ok(unchanged);
    };
    let config = super::super::load_config(config)?;
    let audit = config.audit.directory.clone();
    let before = Engine::with_policies(config.clone(), old, Clock::System).await?;
    let after = Engine::with_policies(config, new, Clock::System).await?;
    // What was replayed, or asked about a person by an operator, is no asker's query.
    let wanted = |query: &AskedQuery| !query.user.starts_with(REPLAYED) && !query.sql.starts_with("POLICY EXPLAIN ");
    let asked = recent_queries(&audit, queries, wanted).map_err(Failure::Audit)?;
    let replayed = replay(&before, &after, &asked).await?;
    let mut document = difference.document();
    replayed.add_to(&mut document);
    let grid = difference.grid();
    args.report.write(&WhatIf { changes: difference, replay: replayed }, &document, &grid)?;
    Ok(unchanged)
}

/// A difference, and what it does to what is asked.
#[derive(Serialize)]
struct WhatIf {
    #[serde(flatten)]
    changes: Difference,
    replay: Replay,
}

fn load(place: &str) -> Result<PolicySet, Failure> {
    let directory = Path::new(place);
    if directory.is_dir() || !place.contains(':') {
        return load_policies(directory);
    }
    let files = of_revision(Path::new("."), place)?;
    PolicySet::parse(directory, &files).map_err(|diagnostics| Failure::Wayleave(diagnostics.into()))
}

/// The policy files of a directory in a git revision, by their names relative to it.
fn of_revision(working: &Path, place: &str) -> Result<BTreeMap<PathBuf, String>, Failure> {
    let unreadable = |detail: String| Failure::Output {
        message: format!("`{place}` cannot be read from git"),
        detail: format!("{detail}; write REVISION:DIRECTORY, such as HEAD~1:policies"),
    };
    // Git would take it for an option.
    if place.starts_with('-') {
        return Err(unreadable("a revision does not begin with `-`".to_owned()));
    }
    let listed =
        git(working, &["ls-tree", "-r", "-z", "--full-tree", "--name-only", place], b"").map_err(unreadable)?;
    let listed = String::from_utf8(listed).map_err(|_| unreadable("a file's name is not UTF-8".to_owned()))?;
    let names: Vec<&str> =
        listed.split('\0').filter(|name| PolicySet::holds_policy(Path::new(name)) && !name.contains('\n')).collect();
    let separator = if place.ends_with([':', '/']) { "" } else { "/" };
    let wanted: String = names.iter().map(|name| format!("{place}{separator}{name}\n")).collect();
    let contents = git(working, &["cat-file", "--batch"], wanted.as_bytes()).map_err(unreadable)?;
    let mut rest = contents.as_slice();
    let mut files = BTreeMap::new();
    for name in names {
        let (text, after) = blob(rest).ok_or_else(|| unreadable(format!("`{name}` is no file")))?;
        files.insert(PathBuf::from(name), text);
        rest = after;
    }
    Ok(files)
}

/// One answer of `git cat-file --batch`: `<id> blob <bytes>`, a line break, the bytes, a line break.
fn blob(answer: &[u8]) -> Option<(String, &[u8])> {
    let end = answer.iter().position(|byte| *byte == b'\n')?;
    let (heading, rest) = answer.split_at_checked(end)?;
    let heading = std::str::from_utf8(heading).ok()?;
    let mut words = heading.rsplitn(3, ' ');
    let bytes: usize = words.next()?.parse().ok()?;
    if words.next()? != "blob" {
        return None;
    }
    let (text, rest) = rest.get(1..)?.split_at_checked(bytes)?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest.get(1..)?))
}

fn git(working: &Path, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = Command::new("git")
        .arg("-C")
        .arg(working)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("git cannot be started: {error}"))?;
    let stdin = child.stdin.take();
    let input = input.to_vec();
    // Written beside the reading: either pipe may fill up.
    let writer = std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let _ = writer.join();
    if output.status.success() {
        Ok(output.stdout)
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(said.lines().next().unwrap_or("git failed").to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_git_is_cut_by_its_length() {
        let (text, rest) = blob(b"0a1b blob 5\na\nb\nc\n0c missing\n").unwrap();
        assert_eq!((text.as_str(), rest), ("a\nb\nc", b"0c missing\n".as_slice()));
        for broken in [b"x missing\n".as_slice(), b"", b"0a tree 1\nx\n", b"0a blob 9\nx\n"] {
            assert!(blob(broken).is_none());
        }
    }

    #[test]
    fn a_revision_is_read_as_it_was_committed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let run = |arguments: &[&str]| git(root, arguments, b"").unwrap();
        run(&["init", "--quiet"]);
        let policies = root.join("policies/agreements");
        std::fs::create_dir_all(&policies).unwrap();
        std::fs::write(root.join("policies/registers.toml"), "first\n").unwrap();
        std::fs::write(policies.join("ä b.toml"), "an agreement").unwrap();
        std::fs::write(policies.join("a.case.toml"), "a case").unwrap();
        std::fs::write(policies.join("a.md"), "notes").unwrap();
        run(&["add", "."]);
        run(&["-c", "user.name=t", "-c", "user.email=t@t.example", "commit", "--quiet", "-m", "first"]);
        std::fs::write(root.join("policies/registers.toml"), "second").unwrap();
        let expected = BTreeMap::from([
            (PathBuf::from("agreements/ä b.toml"), "an agreement".to_owned()),
            (PathBuf::from("registers.toml"), "first\n".to_owned()),
        ]);
        assert_eq!(of_revision(root, "HEAD:policies").unwrap(), expected);
        // From below the top as well, and with a slash behind.
        assert_eq!(of_revision(&policies, "HEAD:policies/").unwrap(), expected);
        assert!(of_revision(root, "HEAD~1:policies").is_err());
    }

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: DiffArgs,
    }

    #[test]
    fn the_exit_code_says_whether_something_changes() {
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let directory = tempfile::tempdir().unwrap();
        let report = directory.path().join("report.md");
        let over = |old: &Path| {
            let words = ["diff", old.to_str().unwrap(), policies.to_str().unwrap(), "-o", report.to_str().unwrap()];
            let args = <Line as clap::Parser>::try_parse_from(words).unwrap().args;
            let done = run(Path::new("none.toml"), &args);
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(done)
        };
        over(&policies).unwrap();
        assert!(std::fs::read_to_string(&report).unwrap().contains("the two say the same"));
        let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seed/policies");
        assert!(matches!(over(&seed), Err(Failure::Ended { code: 1 })));
        assert!(std::fs::read_to_string(&report).unwrap().contains("gains"));
        assert!(matches!(over(Path::new("no-such-directory")), Err(Failure::Ended { code: 2 })));
    }

    #[test]
    fn an_option_is_no_revision() {
        assert!(matches!(of_revision(Path::new("."), "--output=x:y"), Err(Failure::Output { .. })));
        assert!(matches!(load("no-such-revision-anywhere:policies"), Err(Failure::Output { .. })));
    }
}
