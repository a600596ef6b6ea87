//! Imports run one way, and files stay readable: what ARCHITECTURE.md says, checked over the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// No longer than this, without a reason.
const LONGEST_FILE: usize = 700;

/// Files that may be longer, and why.
const LONGER_FILES: [(&str, &str); 0] = [];

/// What a module may not import: a module by its folder or file under `src`, or `*` for every one of them.
const FORBIDDEN: &[(&[&str], &[&str])] = &[
    // Words of every room: they know no room.
    (
        &["diagnostic", "names", "expression", "session", "catalog", "audit", "identity"],
        &["cli", "config", "demo", "endpoints", "engine", "federate", "policy", "registry", "stewardship", "unified"],
    ),
    (&["diagnostic", "names"], &["error", "session", "catalog", "audit", "expression"]),
    (&["config"], &["cli", "demo", "engine", "federate", "policy", "registry", "stewardship", "unified", "audit"]),
    // Stages: each takes the type that the one before it made, and none knows a driver.
    (&["policy"], &["audit", "cli", "demo", "engine", "execution", "federate", "registry", "stewardship", "unified"]),
    (&["federate"], &["audit", "cli", "config", "demo", "engine", "registry", "stewardship", "unified"]),
    (&["unified"], &["audit", "cli", "demo", "engine", "federate", "registry", "stewardship"]),
    (&["registry"], &["audit", "cli", "demo", "engine", "federate", "policy", "stewardship", "unified"]),
    (
        &["execution"],
        &[
            "audit",
            "catalog",
            "cli",
            "config",
            "demo",
            "engine",
            "federate",
            "policy",
            "registry",
            "session",
            "stewardship",
            "unified",
        ],
    ),
    (&["engine"], &["cli", "demo", "endpoints", "identity", "stewardship"]),
    // Surfaces: what they show is the engine's, and no rule of policy is theirs.
    (
        &["endpoints"],
        &["catalog", "cli", "demo", "execution", "federate", "policy", "registry", "stewardship", "unified"],
    ),
    // Above the engine, beside the surfaces: what they show of policy.
    (&["stewardship"], &["cli", "demo", "execution", "federate", "registry", "unified"]),
    (&["demo"], &["cli", "stewardship"]),
    (&["error"], &["cli", "demo", "engine", "federate", "policy", "registry", "stewardship", "unified"]),
];

/// The one place that names concrete databases.
const NAMES_CONNECTORS: &str = "registry";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A file under `src`, by the module at the top that it belongs to.
fn modules() -> Vec<(String, PathBuf, String)> {
    let source = root().join("src");
    rust_files(&source)
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs"))
        .map(|path| {
            let inner = path.strip_prefix(&source).unwrap();
            let first = inner.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
            let module = first.strip_suffix(".rs").unwrap_or(&first).to_owned();
            let text = code_of(&std::fs::read_to_string(&path).unwrap());
            (module, path, text)
        })
        .collect()
}

/// A file without its comments, since a `[link]` in one is no import, and without the tests at its end.
fn code_of(text: &str) -> String {
    let (shipped, _) = text.split_once("#[cfg(test)]\nmod ").unwrap_or((text, ""));
    shipped.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The modules at the top of the crate that a text names by path, in `use` or where it stands.
fn imports(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (place, _) in code.match_indices(prefix) {
        let rest = &code[place + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(top_level_names(group)),
            None => found.extend(first_name(rest)),
        }
    }
    found
}

fn first_name(text: &str) -> Option<String> {
    let name: String = text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The first names of `a::{b, c}, d}`: a and d.
fn top_level_names(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (place, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.extend(first_name(&group[start..place]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.extend(first_name(&group[start..place]));
                start = place + 1;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn imports_run_one_way() {
    let mut wrong = Vec::new();
    for (module, path, code) in modules() {
        let imported = imports(&code, "crate::");
        for (from, to) in FORBIDDEN {
            if from.contains(&module.as_str()) {
                for name in to.iter().filter(|name| imported.contains(**name)) {
                    wrong.push(format!("{} ({module}) imports {name}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_main_starts_the_command_line() {
    for (module, path, code) in modules() {
        if !["cli", "main"].contains(&module.as_str()) {
            assert!(!imports(&code, "crate::").contains("cli"), "{} imports cli", path.display());
        }
    }
}

#[test]
fn only_the_registry_names_databases() {
    let mut named = BTreeSet::new();
    for (module, path, code) in modules() {
        // The demo makes databases of its own, with the driver and not the connector.
        if ["postgres", "sqlite", "mysql", "sqlserver", "files", "odbc"]
            .iter()
            .any(|name| code.contains(&format!("wayleave_connector_{name}")))
        {
            assert_eq!(module, NAMES_CONNECTORS, "{} names a connector", path.display());
            named.insert(module.clone());
        }
        let driver = ["tokio_postgres", "rusqlite", "mysql_async", "tiberius"].iter().any(|name| code.contains(name));
        // So do rehearsals of policy, whose rows stand in the case, and the endpoint's catalogs, which list what is released.
        let writes_its_own = module == "demo"
            || path.ends_with("stewardship/cases/world.rs")
            || path.components().any(|part| part.as_os_str() == "catalog") && module == "endpoints";
        assert!(!driver || writes_its_own, "{} names a driver", path.display());
    }
    assert!(named.contains(NAMES_CONNECTORS), "the registry has moved: this test proves nothing any more");
}

#[test]
fn connectors_know_nothing_of_the_engine_nor_of_each_other() {
    for entry in std::fs::read_dir(root().join("connectors")).unwrap() {
        let directory = entry.unwrap().path();
        let Ok(manifest) = std::fs::read_to_string(directory.join("Cargo.toml")) else { continue };
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        let (shipped, _) = manifest.split_once("[dev-dependencies]").unwrap_or((&manifest, ""));
        for line in shipped.lines().filter(|line| line.trim_start().starts_with("wayleave")) {
            assert!(line.trim_start().starts_with("wayleave-connector-api"), "{name} depends on {line}");
            assert_ne!(name, "api", "the interface depends on {line}");
        }
        for path in rust_files(&directory.join("src")) {
            let code = code_of(&std::fs::read_to_string(&path).unwrap());
            assert!(!code.contains("wayleave::"), "{} names the engine", path.display());
        }
    }
}

#[test]
fn connector_crates_have_the_same_files() {
    let wanted =
        ["connector.rs", "decode.rs", "dialect.rs", "introspect.rs", "lib.rs", "options.rs", "pool.rs", "types.rs"];
    for connector in ["postgres", "sqlite", "mysql", "sqlserver", "files", "odbc"] {
        for file in wanted {
            let path = root().join("connectors").join(connector).join("src").join(file);
            assert!(path.exists(), "{} is missing", path.display());
        }
    }
}

#[test]
fn files_stay_readable() {
    let mut long = Vec::new();
    for directory in ["src", "connectors"] {
        for path in rust_files(&root().join(directory)) {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            if lines > LONGEST_FILE && !LONGER_FILES.iter().any(|(file, _)| *file == name) {
                long.push(format!("{name} has {lines} lines: look for the second noun in it"));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
    for (file, _) in LONGER_FILES {
        let lines = std::fs::read_to_string(root().join(file)).unwrap().lines().count();
        assert!(lines > LONGEST_FILE, "{file} needs no exception any more");
    }
}

#[test]
fn imports_are_found_in_every_way_of_writing_them() {
    let found = imports("use crate::{a, b::{c, d}, e};\nuse crate::f::g;\nlet x = crate::h::i();", "crate::");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "b", "e", "f", "h"]);
    assert_eq!(code_of("a // crate::b\nc\n#[cfg(test)]\nmod tests {}"), "a \nc");
}
